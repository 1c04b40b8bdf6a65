# Turns a CSV file without quotes into a JSON array, one object a line, its keys the names in the first line.
BEGIN { FS = ","; print "[" }
NR == 1 { for (i = 1; i <= NF; i++) key[i] = $i; next }
{
	line = ""
	for (i = 1; i <= NF; i++) {
		value = $i
		if (value == "") value = "null"
		else if (value !~ /^-?[0-9]+([.][0-9]+)?$/) value = "\"" value "\""
		line = line (i > 1 ? "," : "") "\"" key[i] "\":" value
	}
	printf "%s{%s}", (NR > 2 ? ",\n" : ""), line
}
END { print (NR > 1 ? "\n]" : "]") }
