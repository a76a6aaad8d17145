# SPDX-License-Identifier: GPL-3.0-or-later
# strip.awk: C sources as FILE:LINE:text without comments and without the insides of strings.
# Good enough for greps that must not stumble over prose; knows no line splices in strings.

FNR == 1 { comment = 0 }
{
	line = $0
	text = ""
	while (line != "") {
		if (comment) {
			at = index(line, "*/")
			if (!at)
				break
			line = substr(line, at + 2)
			comment = 0
			continue
		}
		if (!match(line, /\/\*|\/\/|["']/)) {
			text = text line
			break
		}
		text = text substr(line, 1, RSTART - 1)
		what = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		if (what == "/*") {
			comment = 1
		} else if (what == "//") {
			break
		} else {
			# to the closing quote, over escaped characters
			while (line != "" && substr(line, 1, 1) != what)
				line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
			line = substr(line, 2)
			text = text what what
		}
	}
	print FILENAME ":" FNR ":" text
}
