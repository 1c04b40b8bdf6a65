# figures.awk - what the plots are drawn from, out of what scripts/bench measured
#
#     awk -v to=DIR -f figures.awk RESULTS/summary.csv RESULTS/runs.csv RESULTS/starts-summary.csv RESULTS/starts.csv
#
# Every ratio becomes a cost: the time one unit of work takes, against the host. 1 is the host, 1.1 is ten percent slower,
# whether seconds or MiB/s were measured. Writes, separated by tabs, blocks apart by two empty lines as gnuplot wants them,
# the tests in the order of style.gp; a block without a row holds one line of NaN, or gnuplot would not count it:
#
#     attributes.tsv  a block for the container, one for LXC: row, cost, low, high
#     ladder.tsv      a block a test: step, cost before, cost, low, high in percent more than the host
#     starts.tsv      for 20 ms apart, then for burst: a block of row, first instruction in ms; of row, median, name
#     note.txt        what the axis says of intervals; low and high are NaN where there is none
#     order.tsv       a block a test: run order, percent from the median of its place, 1 host, 2 container, 3 LXC, 4 others

function cost_of(ratio, unit) { return unit == "s" ? ratio : 1 / ratio }

# One end of an interval, if there is one.
function edge(form, list, key) { return key in list ? sprintf(form, list[key]) : "NaN" }

# Ends a block of so many rows.
function end_block(rows, out) {
	if (!rows) print "NaN\tNaN\tNaN\tNaN\tNaN" >out
	printf "\n\n" >out
}

function keys(text, list) { return split(text, list, " ") }

function by_value(list, value, n,    i, j, held) {
	for (i = 2; i <= n; i++) {
		held = list[i]
		for (j = i - 1; j >= 1 && value[list[j]] > value[held]; j--) list[j + 1] = list[j]
		list[j + 1] = held
	}
}

function attributes(out,    p, i, rows, key) {
	for (p = 1; p <= keys("container lxc", pair); p++) {
		print "# " pair[p] >out
		rows = 0
		for (i = 1; i <= tests; i++) {
			key = pair[p] SUBSEP test[i]
			if (!(key in cost)) continue
			printf "%d\t%.5f\t%s\t%s\n", i, cost[key], edge("%.5f", low, key), edge("%.5f", high, key) >out
			rows++
		}
		end_block(rows, out)
	}
}

function ladder(out,    i, p, rows, key, before) {
	for (i = 1; i <= tests; i++) {
		print "# " test[i] >out
		rows = before = 0
		for (p = 1; p <= places; p++) {
			key = place[p] SUBSEP test[i]
			if (!(key in cost)) continue
			printf "%d\t%.3f\t%.3f\t%s\t%s\n", p, before, more[key], edge("%.3f", more_low, key), edge("%.3f", more_high, key) >out
			before = more[key]
			rows++
		}
		end_block(rows, out)
	}
}

function order(out,    i, r, rows, kind) {
	for (i = 1; i <= tests; i++) {
		print "# " test[i] >out
		rows = 0
		for (r = 1; r <= runs; r++) {
			if (run_test[r] != test[i] || !((run_place[r] SUBSEP test[i]) in median)) continue
			kind = run_place[r] in kinds ? kinds[run_place[r]] : 4
			printf "%d\t%.3f\t%d\n", run_order[r], 100 * (run_value[r] / median[run_place[r], test[i]] - 1), kind >out
			rows++
		}
		end_block(rows, out)
	}
}

function starts(out,    m, w, s, rows) {
	for (w in first) way[++ways] = w
	by_value(way, first, ways)
	for (m = 1; m <= keys("spaced burst", modes); m++) {
		print "# " modes[m] >out
		rows = 0
		for (w = 1; w <= ways; w++)
			for (s = 1; s <= started; s++)
				if (start_way[s] == way[w] && start_mode[s] == modes[m]) {
					printf "%d\t%.4f\n", w, start_first[s] / 1000 >out
					rows++
				}
		end_block(rows, out)
		print "# medians" >out
		rows = 0
		for (w = 1; w <= ways; w++)
			if ((way[w] SUBSEP modes[m]) in start_median) {
				printf "%d\t%.4f\t%s\n", w, start_median[way[w], modes[m]] / 1000, way[w] in names ? names[way[w]] : way[w] >out
				rows++
			}
		end_block(rows, out)
	}
}

BEGIN {
	FS = ","
	split("floor=C floor|nsexec-pivot=nsexec, pivot|chain=the chain of four|lxc=LXC|nspawn=systemd-nspawn", pairs, "|")
	for (i in pairs) names[substr(pairs[i], 1, index(pairs[i], "=") - 1)] = substr(pairs[i], index(pairs[i], "=") + 1)
	places = keys("namespaces cgroup root loop-buffered loop-direct container", place)
	tests = keys("cpu threads memory-read memory-write fileio-seqrd fileio-rndrd fileio-seqwr fileio-rndwr", test)
	kinds["host"] = 1
	kinds["container"] = 2
	kinds["lxc"] = 3
}
FNR == 1 { file++; next }
file == 1 {
	key = $1 SUBSEP $2
	median[key] = $4
	# Where the host has no figure there is nothing to hold this one against.
	if ($6 == "") next
	cost[key] = cost_of($6, $5)
	more[key] = 100 * (cost[key] - 1)
	if ($7 == "") { lacking = 1; next }
	if ($1 != "host") bearing = 1
	low[key] = $5 == "s" ? $7 : cost_of($8, $5)
	high[key] = $5 == "s" ? $8 : cost_of($7, $5)
	more_low[key] = 100 * (low[key] - 1)
	more_high[key] = 100 * (high[key] - 1)
}
file == 2 && $8 == 0 { run_order[++runs] = $1; run_place[runs] = $3; run_test[runs] = $4; run_value[runs] = $5 }
file == 3 { start_median[$1, $2] = $4 }
file == 3 && (!($1 in first) || $2 == "spaced") { first[$1] = $4 }
file == 4 && $6 == 0 { start_way[++started] = $2; start_mode[started] = $3; start_first[started] = $4 }
END {
	note = bearing ? "95 % interval" : ""
	if (lacking) note = note (bearing ? ", or " : "") "no interval: too few blocks"
	print note >(to "/note.txt")
	attributes(to "/attributes.tsv")
	ladder(to "/ladder.tsv")
	starts(to "/starts.tsv")
	order(to "/order.tsv")
}
