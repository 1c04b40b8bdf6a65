# Reads runs.csv; prints place,test,n,median,unit,ratio,low,high. The ratio is the median of the ratios to the host in the
# same block, where both met the same noise; low and high are its bootstrap 95 % interval: the blocks are drawn again, with
# repetition, -v resamples times (2000), and of the medians of those the middle 95 % lies between. -v seed makes the draws
# the same every time. Fewer than six blocks bear no such interval, and low and high are empty: the true
# median lies outside of all of five values with a probability of 6 %. For tests in seconds more than 1 is slower, for those in MiB/s less than 1 is.

function below(limit) {
	state = (state * 48271) % 2147483647
	return int(state / 2147483647 * limit)
}

# Sorts list[1..count].
function sort(list, count, i, j, value) {
	for (i = 2; i <= count; i++) {
		value = list[i]
		for (j = i - 1; j >= 1 && list[j] > value; j--) list[j + 1] = list[j]
		list[j + 1] = value
	}
}

# The median of a sorted list.
function middle(list, count) {
	return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
}

# The median of a draw from the sorted list: how often each was drawn is counted, and the middle looked for in the counts.
function drawn_middle(list, count, i, times, sum, first, second) {
	for (i = 1; i <= count; i++) times[i] = 0
	for (i = 1; i <= count; i++) times[below(count) + 1]++
	first = int((count + 1) / 2)
	second = int(count / 2) + 1
	sum = 0
	for (i = 1; i <= count; i++) {
		if (sum < first && sum + times[i] >= first) first_value = list[i]
		sum += times[i]
		if (sum >= second) return (first_value + list[i]) / 2
	}
}

BEGIN {
	FS = ","
	if (!resamples) resamples = 2000
	place_count = split("host namespaces cgroup root loop-buffered loop-direct container lxc", places, " ")
	test_count = split("cpu fileio-seqrd fileio-rndrd fileio-seqwr fileio-rndwr memory-read memory-write threads", tests, " ")
	print "place,test,n,median,unit,ratio,low,high"
}

FNR > 1 && NF == 8 && $8 == "0" && $5 != "" {
	value[$3, $4, $2] = $5
	unit[$4] = $6
	if ($2 > blocks) blocks = $2
}

END {
	for (t = 1; t <= test_count; t++)
		for (p = 1; p <= place_count; p++)
			summarise(places[p], tests[t])
}

function summarise(place, test, block, n, pairs, i, ratio, low, high) {
	n = pairs = 0
	for (block = 1; block <= blocks; block++) {
		if (!((place, test, block) in value)) continue
		values[++n] = value[place, test, block] + 0
		if (("host", test, block) in value && value["host", test, block] > 0)
			ratios[++pairs] = value[place, test, block] / value["host", test, block]
	}
	if (!n) return
	sort(values, n)
	ratio = low = high = ""
	if (place == "host") ratio = low = high = "1.0000"
	else if (pairs) {
		sort(ratios, pairs)
		ratio = sprintf("%.4f", middle(ratios, pairs))
	}
	if (place != "host" && pairs >= 6) {
		# Each cell draws from the beginning, so that it does not depend on the others.
		state = seed % 2147483646 + 1
		for (i = 0; i < 20; i++) below(1)
		for (i = 1; i <= resamples; i++) medians[i] = drawn_middle(ratios, pairs)
		quantiles(resamples)
		low = sprintf("%.4f", medians[int(resamples * 0.025) + 1])
		high = sprintf("%.4f", medians[resamples - int(resamples * 0.025)])
	}
	printf "%s,%s,%d,%.4f,%s,%s,%s,%s\n", place, test, n, middle(values, n), unit[test], ratio, low, high
}

# Puts medians[1..count] in order: a heap, because there are thousands.
function quantiles(count, i, kept) {
	for (i = int(count / 2); i >= 1; i--) sift(i, count)
	for (i = count; i > 1; i--) {
		kept = medians[1]; medians[1] = medians[i]; medians[i] = kept
		sift(1, i - 1)
	}
}

function sift(at, count, child, value) {
	value = medians[at]
	while ((child = 2 * at) <= count) {
		if (child < count && medians[child + 1] > medians[child]) child++
		if (medians[child] <= value) break
		medians[at] = medians[child]
		at = child
	}
	medians[at] = value
}
