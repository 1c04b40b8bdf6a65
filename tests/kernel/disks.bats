#!/usr/bin/env bats
# cgset --io and --io-weight on a disk of the test's own, measured on a monotonic clock. Run by: tests/run kernel disks

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash

setup() {
	setup_group
	device='' scheduler=''
}

teardown() {
	if [ -n "$device" ]; then
		! is_parted || delpart "$device" 1
		[ -z "$scheduler" ] || echo "$scheduler" >"$queue/scheduler"
		losetup --detach "$device"
	fi
	teardown_group
}

# Whether the device has a partition 1.
is_parted() {
	[ -e "/sys/block/${device#/dev/}/${device#/dev/}p1" ]
}

# Attaches an image of the test's own; `device` is its node.
attach_image() {
	truncate -s 64M image
	device=$(losetup --find --show image)
}

# Writes past the page cache: DEVICE BYTES-OF-A-WRITE WRITES. Four at once, so that there is always one that waits. Prints how
# many writes a second the disk has counted, from one of them on.
WRITE='use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep); use Fcntl;
($node, $size, $writes) = @ARGV;
sub written { open S, "/sys/block/" . $node =~ s|.*/||r . "/stat" or die; (split " ", <S>)[6] * 512 / $size }
sub wait_for { sleep 0.005 until written >= $_[0]; (clock_gettime(CLOCK_MONOTONIC), written) }
$count = written;
for $part (0 .. 3) {
	next if $child[$part] = fork;
	sysopen F, $node, O_WRONLY|O_DIRECT or die "$!\n";
	$buffer = "x" x ($size + 4096);
	$skip = 4096 - unpack("J", pack "P", $buffer) % 4096;
	for (;;) { sysseek F, $part << 24, 0; for (1 .. 16) { syswrite(F, $buffer, $size, $skip) == $size or die "$!\n" } }
}
($began, $first) = wait_for($count + 2);
($ended, $last) = wait_for($first + $writes);
kill 9, @child; 1 while wait != -1;
printf "%.3f\n", ($last - $first) / ($ended - $began + 1e-6)'

# Asserts that a group makes so many writes a second: rate_is RATE BYTES-OF-A-WRITE OPTION... GROUP. Never more; less, where the
# machine is so busy that the kernel comes late to let the next one go, for then what was not written by then is not made up
# for: twice that may be.
rate_is() {
	local wanted=$1 size=$2 rate
	shift 2
	for _ in 1 2 3; do
		rate=$(cgset "$@" -- perl -e "$WRITE" "$device" "$size" $((wanted * 3)))
		awk -v is="$rate" -v wanted="$wanted" 'BEGIN { exit !(is <= wanted * 1.1) }' || break
		! near "$rate" "$wanted" 10 || return 0
	done
	fail "$rate instead of $wanted"
}

@test "--io: written past the cache at 4 MB/s and no faster, whether the disk, its image or a path on it is named" {
	attach_image
	rate_is 4 1048576 --transient --io "$device:wbps=4M" "$group"
	cgset --io "image:wbps=4M" "$group"
	rate_is 4 1048576 "$group"
	# Without it, and with a limit for reading only, it is faster.
	cgset --io "image:wbps=max,rbps=4M" "$group"
	faster=$(cgset "$group" -- perl -e "$WRITE" "$device" 1048576 24)
	[ "${faster%.*}" -ge 8 ] || fail "$faster"
	cgset --remove "$group"
}

@test "--io: a partition means the disk it is on, whose limit it is" {
	attach_image
	addpart "$device" 1 2048 20480
	part=/sys/block/${device#/dev/}/${device#/dev/}p1
	cgset --io "$(cat "$part/dev"):wbps=4M" "$group"
	[[ $(io_lines) == "$(cat "$part/../dev") "* ]] || fail "$(io_lines)"
	cgset --remove "$group"
}

@test "--io: so many requests a second" {
	attach_image
	rate_is 20 4096 --transient --io "$device:wiops=20" "$group"
}

@test "--io-weight is written where the kernel counts weights, and what is no disk is refused" {
	run --separate-stderr -- cgset --io-weight 250 "$group"
	if [ "$status" = 0 ]; then
		if is_two io 2>/dev/null; then
			[ "$(cat "$(place io)"/io.bfq.weight "$(place io)"/io.weight 2>/dev/null | grep -c '^default 250$')" -ge 1 ]
		else
			[ "$(cat "$(place blkio)/blkio.bfq.weight")" = 250 ]
		fi
		cgset --remove "$group"
	else
		[[ $stderr == 'cgset: --io-weight 250: this kernel has no scheduler that counts weights'* ]] || fail "$stderr"
	fi
	refuses 'cgset: "/proc" is on proc, whose number is no disk'\''s
cgset: hint: name the disk itself, by its node or as MAJOR:MINOR: lsblk lists them' --io /proc:wbps=4M "$group"
	refuses 'cgset: "/dev/null" is neither a disk nor a file on one
cgset: hint: name the disk itself, by its node or as MAJOR:MINOR: lsblk lists them' --io /dev/null:wbps=4M "$group"
	run -125 --separate-stderr -- cgset --io 4000:7:wbps=4M "$group"
	[[ $stderr == *'No such device (ENODEV)'*'hint: no disk has that number, or it takes no limits'* ]] || fail "$stderr"
	no_groups
}

@test "--io-weight: writers of weights 100 and 300 share a disk 1 to 3, and equal ones share it equally" {
	attach_image
	queue=/sys/block/${device#/dev/}/queue
	scheduler=$(grep -o '\[.*\]' "$queue/scheduler" | tr -d '[]')
	echo bfq >"$queue/scheduler" || lacking 'no bfq, the scheduler that counts weights'
	# Nobody is favoured for being new, and there is one request at a time: what they share is the disk.
	echo 0 >"$queue/iosched/low_latency"
	echo 1 >"$queue/iosched/strict_guarantees"
	shared_as 100 300 3 35
	shared_as 200 200 1 30
}

# Asserts that a writer of the second weight gets so many times as much of a disk as one of the first, within some percent; a
# second time, and a third, where a busy machine let one of them wait with nothing to write: shared_as ONE TWO TIMES PERCENT.
shared_as() {
	for _ in 1 2 3; do
		! near "$(share_disk "$1" "$2")" "$3" "$4" || return 0
	done
	return 1
}

share_disk() {
	local one two writer='use Fcntl; sysopen F, $ARGV[0], O_WRONLY|O_DIRECT or die "$!\n";
		$buffer = "x" x 69632; $skip = 4096 - unpack("J", pack "P", $buffer) % 4096;
		for (;;) { sysseek F, $ARGV[1] << 20, 0; for (1 .. 16) { syswrite(F, $buffer, 65536, $skip) == 65536 or die "$!\n" } }'
	start cgset --cpu-weight 10000 --io-weight "$1" "$group/one" -- perl -e "$writer" "$device" 0
	one=$started
	start cgset --cpu-weight 10000 --io-weight "$2" "$group/two" -- perl -e "$writer" "$device" 32
	two=$started
	until_true has_written "$one"
	until_true has_written "$two"
	sleep 0.3
	# Of both at the same moment.
	cat "/proc/$one/io" "/proc/$two/io" >before
	sleep 1.5
	cat "/proc/$one/io" "/proc/$two/io" >after
	kill -9 "$one" "$two"
	wait "$one" "$two" || :
	cgset --remove "$group/one"
	cgset --remove "$group/two"
	cat before after | awk '$1 == "write_bytes:" { wrote[++n] = $2 } END { printf "%.3f\n", (wrote[4] - wrote[2]) / (wrote[3] - wrote[1]) }'
}

has_written() {
	! grep -qx 'write_bytes: 0' "/proc/$1/io"
}

@test "--io: what is refused later puts back the line of the same disk" {
	attach_image
	cgset --io "$device:wbps=4M" "$group"
	before=$(io_lines)
	run -125 cgset --io "$device:wbps=8M,rbps=8M" "$group" pids.nonsense=1
	same "$before" "$(io_lines)"
	# The other version's name does the same.
	numbers=$(lsblk --noheadings --nodeps --output MAJ:MIN "$device" | tr -d ' ')
	cgset "$group" "io.max=$numbers wbps=max riops=9"
	[ "$(io_lines)" = "$(is_two io 2>/dev/null && echo "$numbers rbps=max wbps=max riops=9 wiops=max" || echo "$numbers 9")" ]
	cgset "$group" "blkio.throttle.read_iops_device=$numbers 0"
	[ -z "$(io_lines)" ]
	cgset --remove "$group"
}

# Prints every limit of I/O the group has.
io_lines() {
	cat "$(place io)/io.max" 2>/dev/null || cat "$(place blkio)"/blkio.throttle.*ps_device
}
