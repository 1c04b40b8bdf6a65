# What is measured, how often and how long: read from the command line, kept in DIR/settings with the amounts of work
# that were found, and the same for as long as DIR lives. Sourced by bench.
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables

all_places='host namespaces cgroup root loop-buffered loop-direct container lxc'
all_tests='cpu fileio-seqrd fileio-rndrd fileio-seqwr fileio-rndwr memory-read memory-write threads'
all_ways='floor nsexec-pivot chain unshare bwrap runc lxc nspawn'
# What must not change while DIR lives, and what was found once.
asked='blocks seconds rounds file_size memory only tree sysbench'
found='seed cpu threads memory_read memory_write seqrd rndrd seqwr rndwr'

# Reads the command line.
read_options() {
	verb=run mode='' only='' seed='' lab=${LAB_DIR:-lab}
	dir=$lab/bench tree=$lab/rootfs
	blocks=12 seconds=0.8 rounds=100 file_size=256M memory=512M given=
	while [ $# -gt 0 ]; do
		case $1 in
		--dir | --tree | --only | --blocks | --seconds | --rounds | --file-size | --memory | --seed)
			[ -n "${2-}" ] || refuse "$1 wants a value" 'bench --help lists what it takes'
			set_option "$1" "$2"
			shift
			;;
		--*=*) set_option "${1%%=*}" "${1#*=}" ;;
		--quick | --full) set_mode "$1" ;;
		--plan | --summary) verb=${1#--} ;;
		-h | --help) help ;;
		*) refuse "there is no option $1" 'bench --help lists what it takes' ;;
		esac
		shift
	done
	case $mode in
	quick) : "${blocks_given:=6}" "${seconds_given:=0.4}" "${rounds_given:=30}" "${size_given:=128M}" ;;
	full) : "${blocks_given:=30}" "${seconds_given:=1.4}" "${rounds_given:=300}" "${size_given:=512M}" ;;
	esac
	blocks=${blocks_given:-12} seconds=${seconds_given:-0.8} rounds=${rounds_given:-100} file_size=${size_given:-256M}
	dir=$(realpath -m "$dir") tree=$(realpath -m "$tree")
	for number in "--blocks $blocks" "--rounds $rounds" "--seed ${seed:-1}"; do
		case ${number#* } in *[!0-9]* | '' | 0*) refuse "$number is no number of 1 or more" 'bench --help lists what it takes' ;; esac
	done
	case $seconds in *[!0-9.]* | . | *.*.*) refuse "--seconds $seconds is no number" 'as in --seconds 0.5' ;; esac
	for size in "--file-size $file_size" "--memory $memory"; do
		number=${size#* }
		case ${number%[KMG]} in *[!0-9]* | '') refuse "$size is no size" 'as in 256M' ;; esac
	done
	check_only
	sysbench=$(sha256sum "$tree/usr/bin/sysbench" 2>/dev/null | cut -d' ' -f1) || :
}

set_mode() {
	[ -z "$mode" ] || [ "$mode" = "${1#--}" ] || refuse '--quick and --full together' 'one of them'
	mode=${1#--}
}

set_option() {
	[ -n "$2" ] || refuse "$1 wants a value" 'bench --help lists what it takes'
	case $1 in
	--dir) dir=$2 ;;
	--tree) tree=$2 ;;
	--only) only=$2 ;;
	--blocks) blocks_given=$2 ;;
	--seconds) seconds_given=$2 ;;
	--rounds) rounds_given=$2 ;;
	--file-size) size_given=$2 ;;
	--memory) memory=$2 ;;
	--seed) seed=$2 ;;
	*) refuse "there is no option $1" 'bench --help lists what it takes' ;;
	esac
}

# Refuses an --only that matches nothing. The shell must not take its patterns for files.
check_only() {
	set -f
	for pattern in $(printf '%s\n' "$only" | tr , '\n'); do
		case $pattern in
		*/*) ;;
		*) refuse "--only $pattern: no slash in it" 'TEST/PLACE, as in cpu/lxc or cpu/*' ;;
		esac
		hit=
		for name in $(cells) $(starts_cells); do
			# shellcheck disable=SC2254 # it is a pattern
			case $name in $pattern) hit=yes ;; esac
		done
		[ -n "$hit" ] || refuse "--only $pattern matches nothing" \
			"tests: $all_tests starts; places: $all_places; ways to start: $all_ways"
	done
	set +f
}

# Tells whether the cell $1, as in cpu/lxc, is wanted.
wanted() {
	[ -n "$only" ] || return 0
	rest=$only,
	while [ -n "$rest" ]; do
		# shellcheck disable=SC2254 # it is a pattern
		case $1 in ${rest%%,*}) return 0 ;; esac
		rest=${rest#*,}
	done
	return 1
}

# Prints every cell of the ladder that is wanted, or of the starts.
cells() {
	for place in $all_places; do
		for test in $all_tests; do
			! wanted "$test/$place" || printf '%s/%s\n' "$test" "$place"
		done
	done
}

starts_cells() {
	for way in $all_ways; do
		! wanted "starts/$way" || printf 'starts/%s\n' "$way"
	done
}

# Refuses settings that are not those DIR was begun with.
check_settings() {
	[ -f "$dir/settings" ] || return 0
	for name in $asked; do
		eval "now=\$$name"
		was=$(sed -n "s/^$name=//p" "$dir/settings")
		[ "$now" != "$was" ] || continue
		# A plan runs none.
		[ "$verb,$name,$now" != plan,sysbench, ] || continue
		anew="name another --dir to begin anew, or remove $dir"
		# With another program no words lead back.
		[ "$name" = sysbench ] || anew="$(quote "$here/bench" --dir "$dir") $(begun_words "$dir") goes on there; $anew"
		refuse "$dir was begun with $name ${was:-none}, and this asks for ${now:-none}" "$anew"
	done
	was=$(sed -n 's/^seed=//p' "$dir/settings")
	[ -z "$seed" ] || [ "$seed" = "$was" ] || refuse "$dir was begun with seed $was" 'leave --seed out, or name another --dir'
}

# Keeps the settings, complete or not at all.
keep_settings() {
	[ -n "$seed" ] || seed=$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
	for name in $asked $found; do
		eval "printf '%s=%s\n' $name \"\$$name\""
	done >"$dir/settings.new"
	mv "$dir/settings.new" "$dir/settings"
}

read_settings() {
	[ -f "$dir/settings" ] || refuse "there are no results in $dir" 'bench makes some; --dir names where they are'
	while IFS='=' read -r name value; do
		case " $asked $found " in *" $name "*) eval "$name=\$value" ;; esac
	done <"$dir/settings"
}
