# The stage vm: which tests run once more on an emulated kernel, and their machines. Sourced by tests/run.
# shellcheck shell=sh disable=SC2154 # the parts share their variables

# Prints which tests of a file run on the emulated kernel by default: one takes twenty times as long there as here, so
# not those about terminals, and of dry runs and random kills a few.
vm_tests() {
	case $1 in
	chain) echo '^[^Tt]' ;;
	cgset+transient+compare)
		printf %s "group is made|either version|does not exist|a path:|not root|--transient:|memory hog|fork bomb|spinner|"
		echo "one that waits|--freeze|dry run|^compare: ours"
		;;
	verify+keep)
		printf %s "^our own line|^broken: (without --pid|no limit of)|"
		echo "every new namespace|takes processes in|half-way|younger|--boottime:"
		;;
	disks+devices+report+labels+orphaned+move+room)
		printf %s '^--device: (what is in|a group may)|^--io: written|^a report is|^labels stand|^--tree:|'
		echo '^kill -9 of the parent|^--move:|^--pids: nobody'
		;;
	freetree) echo . ;;
	vethup+uplink+routed)
		printf %s "the program has|^--nat:|^eight started|--netns by name|not root|a subnet|dry run equals run: (links|an uplink)|"
		echo "^--uplink: the program|each end|called so|^--list|the cure is one|the cure, which is one"
		;;
	container+verbs+save)
		echo "^the line|the gateway|memory hog|kill -9 of any|run: a container|the program runs when|^exec: in its|^save: a copy"
		;;
	esac
}

# Kernel tests once more, on Debian 12's own kernel, with its one tree of control groups, or with no controller mounted.
# VM_FILES names the files, as in VM_FILES='nsexec pivot', and then all their tests run; those with a + between share a
# machine. readme stands for the transcripts that wait for nothing by the clock. The machines share this one's cores: more
# of them at a time take as long in all, and each of them longer.
stage_vm() {
	at_once=$(($(nproc) * 2))
	for file in ${VM_FILES-container+verbs+save vethup+uplink+routed cgset+transient+compare verify+keep \
		disks+devices+report+labels+orphaned+move+room chain readme freetree}; do
		wait_for_room "$at_once"
		case $file in
		readme) set -- "$top/tests/readme" "$top/README.md" "$top/mkimg/README.md" ;;
		*)
			# shellcheck disable=SC2046 # names of files
			set -- "$top/tests/run" --in-vm kernel $(printf %s "$file" | tr + ' ')
			[ -n "${VM_FILES-}" ] || set -- "$@" -f "$(vm_tests "$file")"
			;;
		esac
		version=v2
		[ "$file" != freetree ] || version=v1
		begin count_machine "$file" env --default-signal "$top/tests/vm" --cgroup "$version" --timeout 2400 -- MUST_RUN=1 LONG=0 \
			PATIENCE=60 BATS_TEST_TIMEOUT=600 README_TIMEOUT=1200 "BOXUTILS_BIN=$BOXUTILS_BIN" "$@"
	done
	wait_for_room "$at_once"
	[ -n "${VM_FILES-}" ] || begin count_machine portable env --default-signal "$top/tests/portable"
	wait_for_room 1
}

# Adds what the tests in a machine counted, whose output is in a file: count_machine NAME FILE.
count_machine() {
	add "tests/vm $1" "$(grep -c '^ok ' "$2")" "$(grep -c '^not ok ' "$2")"
	[ "$answer" != 125 ] || fail "tests/vm $1: the machine did not come to an end"
}
