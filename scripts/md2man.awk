# Turns Markdown, as far as the README.md of a tool uses it, into a man(7) page.
#
#     awk -v name=nsexec -v version=0.1.0 -f md2man.awk nsexec/README.md
#
# Known: "## SECTION", "### subsection", paragraphs, fenced and indented code, lists ("- ", "1. ")
# nested by two spaces, tables, `code` and **strong** (bold), *emphasis* (italic), links (their text),
# <!-- comments -->. Anything else passes as text. A page without "## NAME" gets one made of its name
# and first paragraph. "# title" is for the web only.

# Text as roff takes it: backslashes are escape characters there, and a lone - is a hyphen.
function escape(s) {
	gsub(/\\/, "\\e", s)
	gsub(/--/, "\\-\\-", s)
	return s
}

# Code as roff takes it: what is copied from the page must be what was typed.
function escape_code(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/'/, "\\(aq", s)
	gsub(/`/, "\\(ga", s)
	gsub(/\^/, "\\(ha", s)
	gsub(/~/, "\\(ti", s)
	return s
}

# A line that starts with . or ' would be a request.
function guard(s) {
	return s ~ /^[.']/ ? "\\&" s : s
}

# Fonts and links of one piece of text.
function inline(s,    out, bold, mark) {
	while (match(s, /`[^`]+`|\*\*|\*[^* ][^*]*\*|\[[^]]*\]\([^)]*\)|\\[^A-Za-z0-9 ]/)) {
		out = out escape(substr(s, 1, RSTART - 1))
		mark = substr(s, RSTART, RLENGTH)
		s = substr(s, RSTART + RLENGTH)
		if (mark ~ /^`/) {
			out = out "\\fB" escape_code(substr(mark, 2, length(mark) - 2)) (bold ? "" : "\\fR")
		} else if (mark == "**") {
			bold = !bold
			out = out (bold ? "\\fB" : "\\fR")
		} else if (mark ~ /^\*/) {
			out = out "\\fI" escape(substr(mark, 2, length(mark) - 2)) (bold ? "\\fB" : "\\fR")
		} else if (mark ~ /^\\/) {
			out = out escape_code(substr(mark, 2))
		} else {
			sub(/\]\(.*/, "", mark)
			out = out inline(substr(mark, 2))
		}
	}
	return out escape(s)
}

# Starts a paragraph, where a heading has not just done so.
function paragraph() {
	if (!fresh) print (depth ? ".IP" : ".PP")
	fresh = 0
}

# Prints the paragraph, list item or table collected so far.
function flush(    i) {
	if (rows) flush_table()
	if (!lines) return
	if (bullet) {
		print ".IP " bullet
		fresh = 0
	} else paragraph()
	for (i = 1; i <= lines; i++) print guard(inline(line[i]))
	lines = 0
	bullet = ""
}

# Lays a table out by tbl; columns with long cells (x) share what is left of the page's width.
function flush_table(    r, c, font, text) {
	paragraph()
	print ".TS"
	for (font = "lb"; font; font = font == "lb" ? "l" : "") {
		for (c = 1; c <= columns; c++) printf "%s%s", font, (width[c] > 34 ? "x " : " ")
		print (font == "l" ? "." : "")
	}
	for (r = 1; r <= rows; r++)
		for (c = 1; c <= columns; c++) {
			text = inline(cell[r, c])
			printf "%s%s", (width[c] > 34 ? "T{\n" guard(text) "\nT}" : "\\&" text), (c < columns ? "\t" : "\n")
		}
	print ".TE"
	rows = columns = 0
	split("", width)
	split("", cell)
}

# Prints a heading of one of the two levels.
function heading(macro, title) {
	flush()
	nest(0)
	in_name = macro == ".SH" && title == "NAME"
	if (in_name) named = 1
	print macro " " inline(title)
	fresh = 1
}

# Goes to a depth of lists; 0 is no list.
function nest(to) {
	for (; depth > to; depth--) if (depth > 1) print ".RE"
	for (; depth < to; depth++) if (depth > 0) print ".RS 4"
}

# Starts and ends a block of code.
function code_start(kind) {
	flush()
	paragraph()
	print ".RS 4\n.EX"
	code = kind
	gap = ""
}

function code_end() {
	print ".EE\n.RE"
	code = ""
}

BEGIN {
	# The first line asks man(1) for tbl.
	printf "'\\\" t\n.TH %s 1 \"\" \"boxutils %s\" \"User Commands\"\n.nh\n.ad l\n", toupper(name), version
}

code == "fenced" && $0 ~ fence { code_end(); next }
code == "fenced" { print guard(escape_code($0)); next }
code == "indented" && /^$/ { gap = gap "\n"; next }
code == "indented" && !/^    / { code_end() }
code == "indented" || (/^    / && !lines && !depth) {
	if (!code) code_start("indented")
	print gap guard(escape_code(substr($0, 5)))
	gap = ""
	next
}
/^ *```/ {
	match($0, /^ *```+/)
	fence = "^" substr($0, 1, RLENGTH) " *$"
	code_start("fenced")
	next
}

/^<!--/ { comment = 1 }
comment { comment = !/-->/; next }

/^# / { next }
/^## / { heading(".SH", toupper(substr($0, 4))); next }
/^###+ / { sub(/^#+ /, ""); heading(".SS", $0); next }
/^ *$/ { flush(); next }

/^ *\|[-:| ]+$/ { next }
/^ *\|/ {
	if (lines) flush()
	gsub(/\\\|/, "\001")
	gsub(/^ *\| *| *\| *$/, "")
	rows++
	columns = split($0, part, / *\| */)
	for (c = 1; c <= columns; c++) {
		gsub(/\001/, "|", part[c])
		cell[rows, c] = part[c]
		if (length(part[c]) > width[c]) width[c] = length(part[c])
	}
	next
}

/^ *([-*]|[0-9]+\.) / {
	flush()
	match($0, /^ */)
	nest(int(RLENGTH / 2) + 1)
	match($0, /([-*]|[0-9]+\.) +/)
	bullet = substr($0, RSTART, RLENGTH)
	bullet = bullet ~ /^[-*]/ ? "\\(bu 2" : bullet "4"
	line[++lines] = substr($0, RSTART + RLENGTH)
	next
}

!lines && !/^ / { nest(0) }
!named {
	heading(".SH", "NAME")
	if (index($0, name) != 1) $0 = name " - " $0
}
{ sub(/^ +/, "") }
in_name {
	gsub(/[`*]/, "")
	sub(/ (-|--|–|—) /, " \\- ")
	print
	next
}
{ line[++lines] = $0 }

END {
	if (code) code_end()
	flush()
	nest(0)
}
