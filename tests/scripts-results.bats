#!/usr/bin/env bats
# scripts/report/results: the report of a full run that is kept. Its figures follow from its raw data, README says of them
# what they say, and it names no directory of the machine it was made on.

bats_require_minimum_version 1.5.0

same() {
	[ "$1" = "$2" ] || { diff <(echo "$1") <(echo "$2"); return 1; }
}

setup() {
	top=$(dirname "$BATS_TEST_DIRNAME")
	kept=$top/scripts/report/results
	cp -r "$kept" "$BATS_TEST_TMPDIR/results"
	cd "$BATS_TEST_TMPDIR" || return
}

# Computes once more in ./results all that follows from the raw data, as bench and report/build do.
compute() {
	"$top/scripts/bench" --summary --dir results
	awk -v to=results -f "$top/scripts/report/figures.awk" results/summary.csv results/runs.csv results/starts-summary.csv \
		results/starts.csv
}

# Prints each cost with its interval that a text on stdin names, as in `1.07 (1.05 – 1.09)`.
named() {
	tr '\n' ' ' | tr -s ' ' | grep -oE '[0-9]+\.[0-9]{2} \([0-9]+\.[0-9]{2} – [0-9]+\.[0-9]{2}\)'
}

# Prints the cost of every test in place $1 in the same way: the time that one unit of work takes, against the host.
measured() {
	awk -F, -v place="$1" 'NR > 1 && $1 == place {
		if ($5 == "s") printf "%.2f (%.2f – %.2f)\n", $6, $7, $8
		else printf "%.2f (%.2f – %.2f)\n", 1 / $6, 1 / $8, 1 / $7
	}' "$kept/summary.csv"
}

@test "the summary and the plots' numbers follow from the raw data" {
	compute
	for file in summary.csv starts-summary.csv attributes.tsv ladder.tsv; do
		cmp "results/$file" "$kept/$file"
	done
	# Negative: half of the host's time, and they are others.
	awk -F, -v OFS=, '$3 == "host" && $4 == "cpu" { $5 /= 2 } 1' "$kept/runs.csv" >results/runs.csv
	compute
	for file in summary.csv attributes.tsv ladder.tsv; do
		run -1 cmp -s "results/$file" "$kept/$file"
	done
}

@test "the raw data are what sysbench said, of thirty blocks, every test in every place" {
	tar -xJf results/raw.tar.xz -C results
	# Prints the runs whose figure does not stand in sysbench's answer.
	unsaid() {
		while IFS=, read -r order _ place test value _ _ status; do
			[ "$order" != order ] || continue
			[ "$status" = 0 ] && head -n 1 "results/raw/$order.txt" | grep -qF ": $test in $place: " &&
				grep -qwF -e "$value" -e "${value}s" "results/raw/$order.txt" || echo "$order"
		done
	}
	[ -z "$(unsaid <"$kept/runs.csv")" ]
	[ "$(awk -F, -v OFS=, 'NR == 2 { $5 = 123.4567 } 1' "$kept/runs.csv" | unsaid | wc -l)" = 1 ]
	awk -F, 'NR > 1 { count[$3, $4]++ } END { for (cell in count) if (count[cell] != 30) exit 1; exit length(count) != 64 }' "$kept/runs.csv"
}

# Prints what README's text on stdin, up to the word LXC, says of ours; and what it says behind it, of LXC.
of_ours() { tr '\n' ' ' | sed 's/LXC.*//' | named || :; }
of_lxc() { tr '\n' ' ' | awk 'index($0, "LXC") { print substr($0, index($0, "LXC")) }' | named || :; }

# Prints the point of README's list about the costs that begins with such words.
point() {
	awk -v begin="- **$1" 'index($0, "- **") == 1 || !NF { inside = index($0, begin) == 1 } inside' "$top/README.md"
}

@test "README names the costs of the summary: ours as ours, LXC's as LXC's, and no others" {
	measured container >ours
	measured lxc >theirs
	for words in 'CPU and memory' Threads Files; do
		point "$words" >text
		[ -s text ]
		of_ours <text >>said-of-ours
		of_lxc <text >>said-of-lxc
	done
	same "$(sort ours)" "$(sort said-of-ours)"
	[ "$(wc -l <said-of-lxc)" = 5 ]
	run -1 grep -vxFf theirs said-of-lxc
	# Negative: one that nobody measured; and LXC's in our place.
	echo 'It takes 7.77 (7.70 – 7.80) times as long.' | of_ours >>said-of-lxc
	run -0 grep -vxFf theirs said-of-lxc
	[ "$output" = '7.77 (7.70 – 7.80)' ]
	run -0 grep -vxFf ours theirs
	# The rungs of the ladder that it compares.
	for place in loop-buffered loop-direct; do measured "$place"; done >rungs
	awk '/^The ladder says/, !NF' "$top/README.md" | named >said-of-rungs
	[ "$(wc -l <said-of-rungs)" = 2 ]
	run -1 grep -vxFf rungs said-of-rungs
}

@test "it says when and on what it was made, and names no directory of that machine" {
	for key in date cpu kernel sysbench lxc boxutils cgroup; do
		grep -qP "^$key\t." "$kept/environment.tsv"
	done
	# The root directory's mount, and what the lines of the places name inside the tree, are no such thing.
	directories() {
		grep -rhoE '(^|[ =:"'"'"'])/(root|home|tmp|work|srv|opt|mnt|media)/[^ ]*' "$@"
	}
	run -1 directories "$kept" --exclude=*.pdf --exclude=*.xz
	echo 'tree=/tmp/here/rootfs' >one
	run -0 directories one
}

@test "the report is made from it once more" {
	"$top/scripts/report/build" --dir results --output once-more.pdf
	# What it says of the figures, without the plots, the lines' ends and the pages' heads: another gnuplot or Typst may draw
	# and break them differently.
	insights() {
		pdftotext -layout "$1" - | sed -n '/Insights/,/Threats to validity/p' |
			grep -vE '^ *[0-9]+ / [0-9]+$|^.?A Linux container from five small tools' | tr -s '[:space:]' '\n'
	}
	[ "$(insights once-more.pdf | tr '\n' ' ' | grep -o 'In our container the same work' | wc -l)" = 8 ]
	diff <(insights once-more.pdf) <(insights "$kept/report.pdf")
}
