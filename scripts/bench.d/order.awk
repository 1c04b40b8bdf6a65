# Reads the cells, TEST/PLACE, one a line; prints ORDER BLOCK PLACE TEST for every run: each cell once a block, in an order
# of the block's own. -v seed, -v blocks; block 0 comes first. The generator is Lehmer's, exact in a double: the same order
# from every awk.

function below(limit) {
	state = (state * 48271) % 2147483647
	return int(state / 2147483647 * limit)
}

{ cell[++count] = $1 }

END {
	state = seed % 2147483646 + 1
	# Small seeds are near each other in their first numbers.
	for (i = 0; i < 20; i++) below(1)
	for (block = 0; block <= blocks; block++) {
		for (i = count; i > 1; i--) {
			other = below(i) + 1
			kept = cell[i]; cell[i] = cell[other]; cell[other] = kept
		}
		for (i = 1; i <= count; i++) {
			split(cell[i], part, "/")
			print ++order, block, part[2], part[1]
		}
	}
}
