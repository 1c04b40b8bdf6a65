# What becomes of the runs: what is missing, the summary, the same as JSON. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# Prints PLACE/TEST, tab, why for each cell that lacks a run, and WAY, tab, why for each way that lacks a start.
list_missing() {
	cells | while IFS=/ read -r test place; do
		[ -s "$dir/runs.csv" ] || { printf '%s/%s\tnot run yet\n' "$place" "$test" && continue; }
		awk -F, -v place="$place" -v test="$test" -v blocks="$blocks" '
			NR > 1 && NF == 8 && $3 == place && $4 == test { if ($8 == "0") good++; else { order = $1; status = $8 } }
			END { if (good < blocks) print blocks - good, (status == "" ? "- -" : order " " status) }' "$dir/runs.csv" |
			while read -r lack order status; do
				why='not run yet'
				[ "$order" = - ] || why="status $status: $(last_words "$dir/raw/$order.txt")"
				printf '%s/%s\t%s (%s of %s blocks)\n' "$place" "$test" "$why" "$lack" "$blocks"
			done
	done
	for cell in $(starts_cells); do
		name=${cell#*/}
		good=$(awk -F, -v way="$name" '$2 == way && $6 == "0"' "$dir/starts.csv" 2>/dev/null | wc -l)
		[ "$good" -lt $((2 * rounds)) ] || continue
		why=$(awk -F '\t' -v way="$name" '$1 == way || $1 == "starts" { why = $2 } END { print why }' "$dir/starts-failed.tsv" 2>/dev/null) || :
		printf '%s\t%s (%s of %s starts)\n' "$name" "${why:-not run yet}" $((2 * rounds - good)) $((2 * rounds))
	done
}

# Computes all that follows from the runs. Ends with status 1 where something is missing.
finish() {
	progress 'computing the summary'
	list_missing >"$dir/missing.tsv"
	: >"$dir/runs.empty"
	write summary.csv awk -v seed="$seed" -f "$here/bench.d/summary.awk" "$dir/$(there runs.csv)"
	write starts-summary.csv awk -f "$here/bench.d/starts-summary.awk" "$dir/$(there starts.csv)"
	rm "$dir/runs.empty"
	for name in runs summary starts starts-summary; do
		[ ! -s "$dir/$name.csv" ] || write "$name.json" awk -f "$here/bench.d/csv2json.awk" "$dir/$name.csv"
	done
	progress ''
	[ -s "$dir/missing.tsv" ] || return 0
	say "$(wc -l <"$dir/missing.tsv") of the figures are missing or not complete; $dir/missing.tsv says why:"
	sed 's/^/    /; s/	/: /' "$dir/missing.tsv" | head -n 12 >&2
	exit 1
}

# Prints the name $1, or that of an empty file where there is no such file in DIR.
there() {
	[ ! -f "$dir/$1" ] || { echo "$1" && return; }
	echo runs.empty
}

# Writes the output of a command to a file of DIR, complete or not at all.
write() {
	written=$1
	shift
	"$@" >"$dir/$written.new"
	mv "$dir/$written.new" "$dir/$written"
}
