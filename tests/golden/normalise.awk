# SPDX-License-Identifier: GPL-3.0-or-later
# normalise.awk: takes out of a golden output what differs from run to run.
#
# -v ids="PID TID TID..." -v host=NAME -v victims=FOLDER
#   addresses          each digit becomes x: the width stays
#   pids and tids      PID, TID2, TID3... ; such a line loses its alignment
#   durations          <T>; likewise. In JSON: "..._ns": 0
#   build-ids          BUILDID
#   dates with time    <DATE>

BEGIN {
	n = split(ids, id, " ")
	for (i = 1; i <= n; i++)
		name[id[i]] = i == 1 ? "PID" : "TID" i
}

# every match of re in s replaced by what kind says; sets changed
function replace(s, re, kind,    out, hit, new)
{
	out = ""
	while (match(s, re)) {
		hit = substr(s, RSTART, RLENGTH)
		new = hit
		if (kind == "hex" && length(hit) >= 8)
			new = "0x" substr("xxxxxxxxxxxxxxxx", 1, length(hit) - 2)
		else if (kind == "range" && length(hit) >= 11 && hit ~ /[0-9]/)
			new = length(hit) == 40 ? "BUILDID" : substr("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 1, length(hit))
		else if (kind == "number" && hit in name) {
			new = name[hit]
			changed = 1
		}
		out = out substr(s, 1, RSTART - 1) new
		s = substr(s, RSTART + RLENGTH)
	}
	return out s
}

{
	changed = 0
	if (victims != "")
		while ((at = index($0, victims)) > 0)
			$0 = substr($0, 1, at - 1) "VICTIMS" substr($0, at + length(victims))
	if (host != "")
		while ((at = index($0, "\"" host "\"")) > 0)
			$0 = substr($0, 1, at) "HOST" substr($0, at + 1 + length(host))
	line = $0
	gsub(/_ns": *[0-9]+/, "_ns\": 0", line)
	gsub(/"bytes_read": *[0-9]+/, "\"bytes_read\": 0", line)
	line = replace(line, "0x[0-9a-f]+", "hex")
	line = replace(line, "[0-9a-f]+", "range")
	if (gsub(/[0-9]+(\.[0-9]+)? (ns|us|ms|s)([^a-zA-Z]|$)/, "<T> ", line)) {
		sub(/ +$/, "", line)
		changed = 1
	}
	if (gsub(/[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T][0-9][0-9]:[0-9][0-9]:[0-9][0-9]/, "<DATE>", line))
		changed = 1
	line = replace(line, "[0-9]+", "number")
	if (changed && line !~ /^ *"/) {
		match(line, /^ */)
		indent = substr(line, 1, RLENGTH)
		line = substr(line, RLENGTH + 1)
		gsub(/   */, "  ", line)
		line = indent line
	}
	print line
}
