# Reads starts.csv; prints way,mode,n,first_median_usec,first_p90_usec,whole_median_usec,whole_p90_usec,ratio_to_floor.
# The ratio is that of the medians of the whole life, in the same mode.

function sort(count, i, j, value) {
	for (i = 2; i <= count; i++) {
		value = list[i]
		for (j = i - 1; j >= 1 && list[j] > value; j--) list[j + 1] = list[j]
		list[j + 1] = value
	}
}

# The value below which a share of the list lies: the nearest one.
function quantile(share, count) {
	if (share == 0.5) return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
	return list[int(share * (count - 1) + 0.5) + 1]
}

BEGIN {
	FS = ","
	way_count = split("floor nsexec-pivot chain unshare bwrap runc lxc nspawn", ways, " ")
	split("burst spaced", modes, " ")
	print "way,mode,n,first_median_usec,first_p90_usec,whole_median_usec,whole_p90_usec,ratio_to_floor"
}

FNR > 1 && NF == 6 && $6 == "0" && $5 != "" {
	n = ++count[$2, $3]
	first[$2, $3, n] = $4
	whole[$2, $3, n] = $5
}

END {
	for (m = 1; m <= 2; m++)
		for (w = 1; w <= way_count; w++) {
			way = ways[w]; mode = modes[m]
			n = count[way, mode]
			if (!n) continue
			for (i = 1; i <= n; i++) list[i] = first[way, mode, i] + 0
			sort(n)
			first_median = quantile(0.5, n); first_p90 = quantile(0.9, n)
			for (i = 1; i <= n; i++) list[i] = whole[way, mode, i] + 0
			sort(n)
			median = quantile(0.5, n)
			if (way == "floor") floor[mode] = median
			ratio = (mode in floor) ? sprintf("%.3f", median / floor[mode]) : ""
			printf "%s,%s,%d,%.1f,%.1f,%.1f,%.1f,%s\n", way, mode, n, first_median, first_p90, median, quantile(0.9, n), ratio
		}
}
