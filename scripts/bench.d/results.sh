# What becomes of the runs: what is missing, the summary, the same as JSON. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# Prints PLACE/TEST, tab, why for each cell that lacks a run, and WAY, tab, why for each way that lacks a start.
list_missing() {
	cells | while IFS=/ read -r test place; do
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
		good=$(awk -F, -v way="$name" '$2 == way && $6 == "0"' "$dir/starts.csv" | wc -l)
		[ "$good" -lt $((2 * rounds)) ] || continue
		why=$(awk -F '\t' -v way="$name" '$1 == way || $1 == "starts" { why = $2 } END { print why }' "$dir/starts-failed.tsv" 2>/dev/null) || :
		printf '%s\t%s (%s of %s starts)\n' "$name" "${why:-not run yet}" $((2 * rounds - good)) $((2 * rounds))
	done
}

# Begins the tables that are not there yet: whoever reads DIR finds them all, whatever --only left out.
begin_tables() {
	for file in runs.csv warmup.csv; do
		[ -s "$dir/$file" ] || printf '%s\n' "$runs_header" >"$dir/$file"
	done
	[ -s "$dir/starts.csv" ] || printf '%s\n' "$starts_header" >"$dir/starts.csv"
	[ -e "$dir/explain.txt" ] || : >"$dir/explain.txt"
}

# Tells whether what is missing is no more than a machine may lack: host, container and LXC are complete, and of the rest
# each has been tried.
enough() {
	! awk -F '\t' '$1 ~ "^(host|container|lxc)/" || $2 ~ /^not run yet/ { found = 1 } END { exit !found }' "$dir/missing.tsv"
}

# Computes all that follows from the runs. Ends with status 1 where what is missing makes the results useless.
finish() {
	progress 'computing the summary'
	begin_tables
	list_missing >"$dir/missing.tsv"
	write summary.csv awk -v seed="$seed" -f "$here/bench.d/summary.awk" "$dir/runs.csv"
	write starts-summary.csv awk -f "$here/bench.d/starts-summary.awk" "$dir/starts.csv"
	for name in runs summary starts starts-summary; do
		write "$name.json" awk -f "$here/bench.d/csv2json.awk" "$dir/$name.csv"
	done
	progress ''
	if [ -s "$dir/missing.tsv" ]; then
		say "$(wc -l <"$dir/missing.tsv") of the figures are missing or not complete; $dir/missing.tsv says why:"
		sed 's/^/    /; s/	/: /' "$dir/missing.tsv" | head -n 12 >&2
		enough || exit 1
	fi
	# On a terminal; elsewhere success is silent.
	[ ! -t 2 ] || say "the results are in $(quote "$dir"); $(report_line) makes the report of them"
}

# Prints the line that makes the report of these results.
report_line() {
	if [ "$dir" = "$(realpath -m "$lab/bench")" ]; then
		printf '%s%s\n' "${LAB_DIR:+LAB_DIR=$(quote "$LAB_DIR") }" "$(quote "$here/lab" report)"
	else
		quote "$here/report/build" --dir "$dir"
	fi
}

# Writes the output of a command to a file of DIR, complete or not at all.
write() {
	written=$1
	shift
	"$@" >"$dir/$written.new"
	mv "$dir/$written.new" "$dir/$written"
}
