#!/usr/bin/env bats
# pivot on the kernel it is for: what the program may do, and see of the kernel, each with its negative twin.
# Run by: tests/run kernel pivot-privileges

# What looks like a slip is meant: words for the shell inside stand in single quotes, a test's variables end with it, and
# some are set by the functions of lib.bash and pivot.bash.
# shellcheck disable=SC2001,SC2005,SC2010,SC2016,SC2030,SC2031,SC2046,SC2086,SC2103,SC2143,SC2154,SC2164
load lib.bash
load pivot.bash

# ---- privileges (C)

CONFINED='CapInh:0000000000000000
CapPrm:00000000000004fb
CapEff:00000000000004fb
CapBnd:00000000000004fb
CapAmb:0000000000000000
NoNewPrivs:1'

posture() {
	"$@" "$root" grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\t'
}

@test "C1: exactly these eight capabilities in all sets that hold any; --bare takes none away" {
	same "$CONFINED" "$(posture pivot)"
	same "$CONFINED" "$(posture contain)"
	same "$CONFINED" "$(posture setpriv --inh-caps=+net_raw,+chown --ambient-caps=+net_raw,+chown pivot)"
	same "$(grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\t')" "$(posture pivot --bare --bind /proc:/proc)"
	[ "$(status_of self CapEff)" != 00000000000004fb ]
}

@test "C1: a user has no capability, and what is added to it reaches the program" {
	none=${CONFINED//4fb/000}
	same "$none" "$(posture pivot --user user)"
	same "$none" "$(posture pivot --cap-drop ALL)"
	same "${none//0000000000000000/0000000000002020}" "$(posture pivot --user 1000 --cap-add net_raw,CAP_KILL)"
	same "$CONFINED" "$(posture pivot --user 0)"
}

@test "--cap-add, --cap-drop and ALL" {
	effective() {
		posture pivot "$@" | grep CapEff
	}
	[ "$(effective --cap-add NET_RAW)" = CapEff:00000000000024fb ]
	[ "$(effective --cap-drop chown,KILL)" = CapEff:00000000000004da ]
	[ "$(effective --cap-drop ALL --cap-add KILL)" = CapEff:0000000000000020 ]
	[ "$(effective --cap-add NET_RAW --cap-drop NET_RAW)" = CapEff:00000000000004fb ]
	[ "$(effective --cap-add ALL)" = "CapEff:$(status_of self CapPrm)" ]
	[ "$((0x$(effective --cap-add ALL --cap-drop MKNOD | cut -d: -f2) & 1 << 27))" = 0 ]
	posture pivot --cap-add ALL | grep -q NoNewPrivs:1
	fails_with 125 'pivot: NET is no capability: see capabilities(7)' pivot --cap-add NET "$root" true
}

@test "--cap-add of what this process has not itself" {
	names=cap_chown,cap_dac_override,cap_fowner,cap_fsetid,cap_kill,cap_setgid,cap_setuid,cap_net_bind_service,cap_sys_time
	fails_with 125 "$(said "capset({effective=permitted=$names, inheritable=0}); prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL): Operation not permitted (EPERM)" \
		'keep these capabilities and no others, and hand none down by inheritance' \
		'what this process has not itself it cannot hand on: see CapPrm in /proc/self/status, and --cap-drop')" \
		without sys_time pivot --cap-add SYS_TIME "$root" true
	prints '' without sys_time pivot --cap-add ALL "$root" true
}

@test "giving up takes capabilities too: without them it is said which step" {
	hint() { echo "that takes $1: this root lacks $1, as in a container, run it on the host"; }
	fails_with 125 "$(said 'prctl(PR_CAPBSET_DROP, 2): Operation not permitted (EPERM)' \
		'no program started from here on can ever have other capabilities than these' "$(hint CAP_SETPCAP)")" without setpcap pivot "$root" true
	fails_with 125 "$(said 'setgroups(0, []): Operation not permitted (EPERM)' \
		"groups of the caller would open the host's files to it" "$(hint CAP_SETGID)")" without setgid pivot "$root" true
	fails_with 125 "$(said 'setresuid(1000, 1000, 1000): Operation not permitted (EPERM)' 'be who was asked for' "$(hint CAP_SETUID)")" \
		without setuid pivot --user 1000 "$root" true
	prints '' without sys_boot pivot --user 1000 "$root" true
}

@test "C2: the groups of the caller stay outside" {
	prints 'uid=0(root) gid=0(root)' setpriv --groups 1,2,1000 pivot "$root" id
	prints 'uid=1000(user) gid=1000(user)' setpriv --groups 1,2,1000 pivot --user user "$root" id
	prints '1 2 1000 ' setpriv --groups 1,2,1000 pivot --bare --bind /proc:/proc "$root" sed -n 's/^Groups:\t//p' /proc/self/status
}

@test "C3: 40 strings for --user: the exact ids, or refused, never something near it" {
	small_root tree
	cat >tree/etc/passwd <<-'E'
		root:x:0:0::/root:/bin/sh
		4294967296:x:0:0::/:/bin/sh
		4294967295:x:0:0::/:/bin/sh
		1x:x:0:0::/:/bin/sh
		-1:x:0:0::/:/bin/sh
		1:x:0:0::/:/bin/sh
		user:x:1000:100::/home/user:/bin/sh
		over:x:4294967296:0::/:/bin/sh
		minus:x:-1:0::/:/bin/sh
		last:x:4294967295:0::/:/bin/sh
		plus:x:+0:0::/:/bin/sh
		blank:x: 0:0::/:/bin/sh
		few:x:0:0
		hex:x:0x0:0::/:/bin/sh
	E
	printf 'root:x:0:\ntty:x:5:\nbig:x:4294967296:\nplus:x:+0:\n' >tree/etc/group
	accepted=0 refused=0
	while IFS='|' read -r text wanted; do
		run --separate-stderr pivot --user "$text" tree sh -c 'echo $(id -u):$(id -g)'
		if [ "$wanted" = no ]; then
			[ "$status" = 125 ] || fail "'$text': $status $output" || return
			[ -z "$output" ] || fail "'$text' ran" || return
			refused=$((refused + 1))
		else
			[ "$status $output" = "0 $wanted" ] || fail "'$text': $status $output $stderr" || return
			accepted=$((accepted + 1))
		fi
	done <<-'E'
		0|0:0
		1|1:1
		1000|1000:100
		1000:5|1000:5
		1000:tty|1000:5
		user|1000:100
		user:tty|1000:5
		user:0|1000:0
		root|0:0
		0:5|0:5
		root:tty|0:5
		65534|65534:65534
		4294967294|4294967294:4294967294
		2147483648:2147483648|2147483648:2147483648
		00|0:0
		010|10:10
		4294967295|no
		4294967296|no
		99999999999999999999|no
		18446744073709551616|no
		-1|no
		+1|no
		1x|no
		 1|no
		1 |no
		0x0|no
		1:|no
		:1|no
		:|no
		1:-1|no
		1:4294967295|no
		1:2:3|no
		1,2|no
		nobody|no
		user:none|no
		user:big|no
		user:plus|no
		over|no
		minus|no
		last|no
		plus|no
		blank|no
		few|no
		hex|no
		../etc|no
		us*|no
		.ser|no
	E
	run pivot --user '' tree id
	[ "$status" = 125 ]
	run pivot --user $'user\n' tree id
	[ "$status" = 125 ]
	[ "$accepted $refused" = "16 31" ] || fail "$accepted $refused"
}

@test "--user: a name that is not in the root's files, though it is in the host's" {
	small_root tree
	grep -q ^daemon: /etc/passwd
	sed -i /daemon/d tree/etc/passwd tree/etc/group
	fails_with 125 "$(said "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS): no valid line for \"daemon\" in the new root's /etc/passwd" "$USER_WHY")" \
		pivot --user daemon tree true
	fails_with 125 "$(said "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS): no valid line for \"daemon\" in the new root's /etc/group" "$USER_WHY")" \
		pivot --user user:daemon tree true
	prints 'uid=1000(user) gid=1000(user)' pivot --user user tree id
}

@test "C5: set-user-ID bits of the image are dead, with --user as well; --bare leaves them alive" {
	own_image
	mkdir mnt
	with_mounts 'mount -o loop img mnt; cp mnt/bin/perl mnt/bin/raised; chmod 4755 mnt/bin/raised; mknod mnt/zero c 1 5; chmod 666 mnt/zero'
	prints 1000 pivot --user 1000 img raised -e 'print $>'
	# Without nosuid, by the primitive, it does raise.
	prints 0 pivot --bare img perl -e '($<, $>) = (1000, 1000); exec "/bin/raised", "-e", q{print $>}'
	# K7: and so is a device node of the image.
	fails_with 1 "cat: can't open '/zero': Permission denied" pivot img cat /zero
	prints '1' pivot --bare img sh -c 'head -c 1 /zero | wc -c'
}

@test "C10: the caller's session keys are out of reach; --bare leaves them" {
	[ "$(uname -m)" = x86_64 ] || lacking "the numbers of add_key(2) and keyctl(2) on this machine"
	search='my $k = syscall(250, 10, -3, my $t = "user", my $n = "canary", 0); print $k > 0 ? "found" : "none: " . ($!+0)'
	hold='syscall(250, 1, 0); my $k = syscall(248, my $t = "user", my $n = "canary", my $v = "secret", 6, -3); die "add_key: $!" if $k < 0; exec @ARGV'
	prints found perl -e "$hold" pivot --bare "$root" perl -e "$search"
	# ENOKEY
	prints 'none: 126' perl -e "$hold" pivot "$root" perl -e "$search"
	prints '' perl -e "$hold" pivot "$root" cat /proc/keys
	run perl -e "$hold" cat /proc/keys
	[[ $output == *canary* ]]
}

@test "C13: signals that the caller ignores or blocks are at their default; --bare leaves them" {
	signals() {
		env --ignore-signal=PIPE,INT,CHLD,RTMAX --block-signal=USR1,TERM pivot "$@" "$root" grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status | tr -d '\t'
	}
	same 'SigBlk:0000000000000000
SigIgn:0000000000000000
SigCgt:0000000000000000' "$(signals)"
	same 'SigBlk:0000000000004200
SigIgn:8000000000011002
SigCgt:0000000000000000' "$(signals --bare --bind /proc:/proc)"
}

# ---- the kernel's own files and devices (K)

# Tries to open for writing, and only that, every file below the directories given; prints those that could be.
OPENABLE='sub walk { my $d = shift; opendir my $h, $d or return; for (sort readdir $h) { next if /^\.\.?$/; my $p = "$d/$_"; next if -l $p; if (-d _) { walk($p) } elsif (-f _) { $n++; if (sysopen my $f, $p, 1|2048) { print "$p\n" } } } } walk($_) for @ARGV; print "$n looked at\n" if $n < 100'

@test "K1: no file below /proc/sys or /sys can be opened for writing, nor the levers of /proc" {
	run contain "$root" perl -e "$OPENABLE" /proc/sys /sys
	same '' "$output"
	# They can where it is privileged, so the probe does find them.
	run contain --privileged "$root" perl -e "$OPENABLE" /proc/sys/kernel
	[[ $output == */proc/sys/kernel/core_pattern* ]]
	for file in /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/sys/kernel/core_pattern /proc/fs /proc/bus; do
		[ -e "$file" ] || continue
		[ -d "$file" ] || run ! contain "$root" perl -e 'sysopen my $f, $ARGV[0], 1 or exit 1; exit((stat $f)[6] == 259)' "$file"
	done
}

@test "K1: a user inside cannot either, nor root of a user namespace" {
	own_image
	same '' "$(contain --user 1000 img perl -e "$OPENABLE" /proc/sys /sys)"
	same '' "$(contain --userns auto --cap-add ALL img perl -e "$OPENABLE" /proc/sys /sys)"
}

@test "K2: nothing can be mounted, moved or made writable again" {
	for words in 'mount -t tmpfs x /mnt' 'mount -t cgroup -o memory x /mnt' 'mount -t cgroup2 x /mnt' 'mount -t proc x /mnt' 'mount -o remount,rw /sys' 'mount -o remount,bind,rw /proc/sys' 'umount /proc/sys' 'umount /proc/kallsyms'; do
		run contain "$root" sh -c "$words"
		[ "$status" != 0 ] || fail "$words"
	done
	prints '' contain --privileged "$root" mount -t tmpfs x /mnt
}

@test "K6: what tells of the whole machine reads empty" {
	# shellcheck disable=SC2016
	look='for name in config.gz interrupts kallsyms kcore key-users keys kmsg kpagecgroup kpagecount kpageflags latency_stats mtrr pagetypeinfo sched_debug slabinfo sysrq-trigger timer_list timer_stats vmallocinfo acpi asound scsi; do
		[ -e /proc/$name ] || continue
		if [ -d /proc/$name ]; then echo "$name: $(ls -A /proc/$name | wc -l)"; else echo "$name: $(timeout 1 head -c 9 /proc/$name 2>/dev/null | wc -c)"; fi
	done
	for name in devices/virtual/block devices/virtual/powercap firmware fs/bpf kernel/debug kernel/security kernel/tracing module; do
		[ ! -e /sys/$name ] || echo "$name: $(ls -A /sys/$name | wc -l)"
	done'
	outside=$(sh -c "$look")
	[[ $outside == *"kallsyms: 9"* ]]
	[[ $outside == *"interrupts: 9"* ]]
	inside=$(contain "$root" sh -c "$look")
	same "$(sed 's/: .*/: 0/' <<<"$outside")" "$inside"
	run contain "$root" dmesg
	[ "$status" != 0 ] || fail "$output"
	# What programs read is there.
	contain "$root" sh -c 'cat /proc/cpuinfo /proc/meminfo /proc/sys/kernel/pid_max >/dev/null && test -d /sys/class/net/lo'
}

@test "K7: no device node can be made, in any place; with the capability it can, and is dead" {
	for at in /tmp/node /dev/node /dev/shm/node; do
		run contain "$root" mknod "$at" c 1 5
		[ "$status" != 0 ] || fail "$at"
	done
	prints 'head: /tmp/node: Permission denied' contain --cap-add MKNOD --tmpfs /tmp "$root" sh -c 'mknod /tmp/node c 1 5; head -c 1 /tmp/node 2>&1 || :'
}

@test "mounts: the table of a container, exactly" {
	table() {
		contain "$@" sed -E 's/^[0-9]+ [0-9]+ [^ ]+ [^ ]+ ([^ ]+) ([^ ]+) .*- ([^ ]+) .*/\1 \2 \3/' /proc/self/mountinfo | grep -v ' devtmpfs$' | grep -vE '^/(proc|sys)/.* tmpfs$'
	}
	expected="/ rw,nosuid,nodev,relatime ext4
/proc rw,nosuid,nodev,noexec,relatime proc
/proc/bus ro,nosuid,nodev,noexec,relatime proc
/proc/fs ro,nosuid,nodev,noexec,relatime proc
/proc/irq ro,nosuid,nodev,noexec,relatime proc
/proc/sys ro,nosuid,nodev,noexec,relatime proc
/dev rw,nosuid,nodev,noexec,relatime tmpfs
/dev/pts rw,nosuid,noexec,relatime devpts
/dev/shm rw,nosuid,nodev,noexec,relatime tmpfs
/dev/mqueue rw,nosuid,nodev,noexec,relatime mqueue
/sys ro,nosuid,nodev,noexec,relatime sysfs"
	own_image
	same "$expected" "$(table img)"
	same "${expected/rw/ro}" "$(table --read-only img)"
}

@test "without a network or queues of its own, /sys and /dev/mqueue are not mounted" {
	prints $'0\n0' nsexec --pid -- pivot "$root" sh -c 'ls /sys | wc -l; grep -c " /dev/mqueue " /proc/mounts || :'
	prints 1 nsexec --pid --ipc -- pivot "$root" sh -c 'grep -c " /dev/mqueue " /proc/mounts'
	prints lo nsexec --pid --net -- pivot "$root" ls /sys/class/net
}

@test "/dev/pts is new, /dev/shm is writable, /dev/fd works" {
	prints $'ptmx\nhello\nhello' contain "$root" sh -c 'ls /dev/pts; echo hello >/dev/shm/x; cat /dev/shm/x; cat /dev/fd/0 </dev/shm/x'
	[ ! -e /dev/shm/x ]
}
