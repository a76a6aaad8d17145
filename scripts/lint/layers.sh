#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# layers.sh: a layer of inspector/ includes itself and those below it only.
#
# The order is LAYERS in the Makefile. Two more walls: render/ sees report, base and model only;
# analysis/ never sees target/. hook/ stands alone: its own files and the public headers.

set -u
cd "$(dirname "$0")/../.." || exit 1
layers=$(sed -n 's/^LAYERS[[:space:]]*:= *//p' Makefile)
[ -n "$layers" ] || { echo "no LAYERS in the Makefile"; exit 1; }

# shellcheck disable=SC2046 # file names without spaces
grep -Hn '^[[:space:]]*#[[:space:]]*include' $(find inspector -name '*.[ch]') |
	awk -F: -v layers="$layers" '
	BEGIN {
		n = split(layers, l, " ")
		for (i = 1; i <= n; i++)
			rank[l[i]] = i
	}
	function bad(why) { print $1 ":" $2 ": " why; failed = 1 }
	{
		split($1, part, "/")
		here = part[2]
		text = $0
		sub(/^[^:]*:[^:]*:/, "", text)
		if (here == "hook") {
			if (text ~ /"/ && text !~ /"hook\//)
				bad("hook/ stands alone: " text)
			next
		}
		if (!(here in rank)) {
			bad("\047" here "\047 is no layer of the Makefile")
			next
		}
		if (text !~ /"/)
			next
		sub(/^[^"]*"/, "", text)
		sub(/".*$/, "", text)
		if (split(text, p, "/") < 2 || !(p[1] in rank)) {
			bad("include \047" text "\047: write it as \"layer/file\"")
			next
		}
		there = p[1]
		if (rank[there] > rank[here])
			bad(here "/ may not see " there "/ (" text ")")
		if (here == "render" && there !~ /^(render|report|base|model)$/)
			bad("render/ sees report, base and model only, not " text)
		if (here == "analysis" && there == "target")
			bad("analysis/ never sees target/ (" text ")")
	}
	END { exit failed }'
