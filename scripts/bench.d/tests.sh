# The tests: sysbench's words for each, what is read from its answer, and how much work makes a run as long as wanted.
# Sourced by bench. The words are those of sysbench 1.0: options before the command, --time=0 so that the work ends a run.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

# Prints the words of test $1 in block $2. Random offsets are the same ones everywhere in a block.
words_of() {
	case $1 in
	cpu) echo "cpu --threads=1 --cpu-max-prime=10000 --events=$cpu --time=0 run" ;;
	threads) echo "threads --threads=8 --thread-yields=100 --thread-locks=4 --events=$threads --time=0 run" ;;
	memory-read) echo "memory --threads=1 --memory-block-size=1M --memory-oper=read --memory-total-size=${memory_read}M --time=0 run" ;;
	memory-write) echo "memory --threads=1 --memory-block-size=1M --memory-oper=write --memory-total-size=${memory_write}M --time=0 run" ;;
	fileio-seqrd) echo "$(file_words) --file-test-mode=seqrd --events=$seqrd --rand-seed=$(($2 + 1)) run" ;;
	fileio-rndrd) echo "$(file_words) --file-test-mode=rndrd --events=$rndrd --rand-seed=$(($2 + 1)) run" ;;
	# sysbench's seqwr would remove the files and make new ones: it would time where blocks come from, and leave a set
	# that the reading tests refuse. seqrewr writes over the blocks that are there.
	fileio-seqwr) echo "$(file_words) --file-test-mode=seqrewr --events=$seqwr --rand-seed=$(($2 + 1)) run" ;;
	fileio-rndwr) echo "$(file_words) --file-test-mode=rndwr --events=$rndwr --rand-seed=$(($2 + 1)) run" ;;
	esac
}

# What every command about the set of files has in common: no cache of the program's own kernel, one fsync at the end.
file_words() {
	echo "fileio --threads=1 --file-num=16 --file-total-size=$file_size --file-block-size=16384" \
		"--file-extra-flags=direct --file-fsync-freq=0 --file-fsync-end=on --time=0"
}

# Prints the name of the variable that holds the amount of work of test $1.
amount_named() {
	case $1 in
	memory-*) echo "memory_${1#memory-}" ;;
	fileio-*) echo "${1#fileio-}" ;;
	*) echo "$1" ;;
	esac
}

# Prints how many events a run of test $1 must have had.
events_of() {
	eval "echo \"\$$(amount_named "$1")\""
}

unit_of() {
	case $1 in
	cpu | threads) echo s ;;
	*) echo MiB/s ;;
	esac
}

# Prints value, seconds and number of events from sysbench's answer in the file $2, what it does not say as a dash.
answer_of() {
	awk -v test="$1" '
		/^ *total time: / { seconds = $3; sub(/s$/, "", seconds) }
		/^ *total number of events: / { events = $5 }
		/^Total operations: / { events = $3 }
		/MiB transferred \(/ { rate = $0; sub(/.*\(/, "", rate); sub(/ .*/, "", rate) }
		/^ *read, MiB\/s: / && test ~ /rd$/ { rate = $3 }
		/^ *written, MiB\/s: / && test ~ /wr$/ { rate = $3 }
		END {
			value = test == "cpu" || test == "threads" ? seconds : rate
			number = "^[0-9]+([.][0-9]+)?$"
			print (value ~ number && value + 0 > 0 ? value : "-"), (seconds ~ number ? seconds : "-"), (events ~ /^[0-9]+$/ ? events : "-")
		}' "$2"
}

# Finds the amounts of work: runs a little of each on the host, and scales it to the seconds wanted.
calibrate() {
	# A set of its own, where the tree has an empty directory; the mount goes with our mount namespace.
	trial=$(mktemp -d "$(existing_parent "$dir")/.bench.XXXXXX")
	mount --bind "$trial" "$tree/mnt"
	kept_size=$file_size file_size=16M
	cpu=200 threads=200 memory_read=2000 memory_write=2000 seqrd=500 rndrd=500 seqwr=500 rndwr=500
	# shellcheck disable=SC2046 # a list of words
	try_on_host $(file_words) prepare >"$trial/said" ||
		refuse "sysbench cannot make its files below $dir with O_DIRECT: $(last_words "$trial/said")" \
			'--dir on an ext4, xfs or btrfs file system'
	for test in $all_tests; do
		cells | grep -q "^$test/" || continue
		# The fastest of three: what disturbs makes slower.
		for _ in 1 2 3; do
			# shellcheck disable=SC2046 # a list of words
			try_on_host $(words_of "$test" 0) >"$trial/said" ||
				refuse "sysbench $test failed on the host: $(last_words "$trial/said")" 'try it by hand: chroot TREE sysbench ...'
			answer_of "$test" "$trial/said" | cut -d' ' -f2
		done >"$trial/times"
		fastest=$(grep '[0-9]' "$trial/times" | sort -n | head -n 1)
		[ -n "$fastest" ] || refuse "sysbench $test gives no figure" 'it must be sysbench 1.0'
		scale "$test" "$fastest"
	done
	umount "$tree/mnt"
	rm -rf "$trial"
	trial=
	file_size=$kept_size
}

# Sets the amount of test $1, of which what is set now took $2 seconds: two digits of it, and never so little that the
# clock of four digits would round it.
scale() {
	amount=$(awk -v events="$(events_of "$1")" -v took="$2" -v wanted="$seconds" 'BEGIN {
		amount = events * wanted / (took > 0.0001 ? took : 0.0001)
		unit = 10 ^ (length(sprintf("%d", amount)) - 2)
		amount = unit > 1 ? int(amount / unit) * unit : int(amount)
		printf "%d\n", (amount > 10 ? amount : 10)
	}')
	eval "$(amount_named "$1")=\$amount"
}

# Runs sysbench on the host, on the files in the tree's /mnt.
try_on_host() {
	# shellcheck disable=SC2016 # the shell in there fills it in
	watched 60 chroot "$tree" /bin/sh -c 'cd /mnt && exec /usr/bin/sysbench "$@"' sh "$@" 2>&1
}

# Prints the last thing that was said in a file.
last_words() {
	tr '\t\r' '  ' <"$1" | grep -v '^ *$' | tail -n 1 | cut -c1-200
}

# Prints the nearest directory above $1 that exists.
existing_parent() (
	path=$1
	while [ ! -d "$path" ]; do path=$(dirname "$path"); done
	echo "$path"
)
