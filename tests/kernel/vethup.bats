#!/usr/bin/env bats
# vethup on the kernel it is for. The world's own network plays the machine, a neighbour plays the internet:
#
#     container eth0 --- bx0a62.... boxbr0   wan0 192.0.2.1/24 --- 192.0.2.2/24 wan0   internet
#     10.98.0.N/16       (world)  10.98.0.1/16                   knows no way to 10.98.0.0/16
#
# Run by: tests/run kernel vethup

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load net.bash

# Asserts exit status 125 and the whole of stderr, and that nothing was made.
refuses() {
	local text=$1
	shift
	run -125 --separate-stderr -- "$@"
	same "$text" "$stderr" || return
	[ -z "$(ip -o link show type bridge)$(ip -o link show type veth)" ] || fail "$(ip -o link)"
}

CABLE="a cable: one end in the bridge, the other in there; the outer end's name reserves the address it is made from"

# ---- the wire

@test "the program has an address, a route and the bridge's answer; the machine has a bridge with a port" {
	run -0 --separate-stderr -- vethup -- sh -c 'ip -o -4 address show dev eth0 | grep -o "inet [^ ]*"; ip route show default; ping -c 1 -W 2 10.98.0.1 >/dev/null && echo answered; ip -o link show up dev lo | wc -l'
	same $'inet 10.98.0.2/16\ndefault via 10.98.0.1 dev eth0 proto static \nanswered\n1' "$output"
	[ -z "$stderr" ]
	[ "$(ip -o -4 address show dev boxbr0 | grep -o 'inet [^ ]*')" = 'inet 10.98.0.1/16' ]
	[[ $(ip -d -o link show boxbr0) == *' forward_delay 0 '*' stp_state 0 '* ]]
	# The cable went with the namespace it led into.
	until_true no_port
	[ -z "$(nft list ruleset)" ]
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	vethup --down
	vethup --down
	[ -z "$(ip -o link show type bridge)" ]
}

@test "it is one process all along, its exit status and stdin are the program's, and 126 and 127 change nothing" {
	run -7 vethup -- sh -c 'cat; echo $PPID; exit 7' <<<words
	[ "$output" = "$(printf 'words\n%s' $$)" ] || [ "${lines[0]}" = words ]
	vethup --down
	run -127 vethup -- /nonexistent
	run -126 vethup -- /etc/passwd
	[ -z "$(ip -o link show type bridge)" ]
}

@test "--nat: the internet is reached under the machine's address, and answers; without it no answer finds back" {
	make_internet
	run -0 vethup --nat -- perl -e "$ASK"
	[ "$output" = 192.0.2.1 ]
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	vethup --down
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	[ -z "$(nft list ruleset)" ]
	echo 1 >/proc/sys/net/ipv4/ip_forward
	run -1 vethup -- perl -e "$ASK"
	run -0 ip netns exec internet true
	vethup --down
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	echo 0 >/proc/sys/net/ipv4/ip_forward
	end_internet
}

@test "forwarding goes back with the last bridge that wanted it, to what it was before the first" {
	for before in 0 1; do
		echo $before >/proc/sys/net/ipv4/ip_forward
		vethup --nat -- true
		vethup --nat --bridge other --gateway 10.99.0.1/16 -- true
		[ "$(nft list tables | xargs)" = 'table ip boxutils_boxbr0 table ip boxutils_other' ] || fail "$(nft list tables)"
		nft list ruleset | grep -q "comment \"ip_forward=$before\""
		[ "$(nft list ruleset | grep -c "comment \"ip_forward=$before\"")" = 2 ] || fail "$(nft list ruleset)"
		vethup --down --bridge boxbr0
		[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
		[ -z "$(ip -o link show boxbr0 2>/dev/null)" ]
		[ -n "$(ip -o link show other)" ]
		vethup --down --bridge other
		[ "$(cat /proc/sys/net/ipv4/ip_forward)" = $before ]
	done
	echo 0 >/proc/sys/net/ipv4/ip_forward
}

@test "any user in it may ping and listen below 1024; the machine's own network stays closed" {
	run -0 vethup -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs ping -c 1 -W 2 10.98.0.1
	run -0 vethup -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, LocalPort => 80) or exit 3'
	run -3 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, LocalPort => 80) or exit 3'
}

@test "two on one bridge reach each other; one on another bridge reaches neither" {
	start vethup -- perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalPort => 80) or die; open F, ">ready"; close F; $c = $s->accept; print $c "hello\n"'
	until_true exists ready
	run -1 vethup --bridge other --gateway 10.99.0.1/16 -- ping -c 1 -W 1 10.98.0.2
	run -0 vethup -- perl -MIO::Socket::INET -e '$c = IO::Socket::INET->new(PeerAddr => "10.98.0.2", PeerPort => 80, Timeout => 5) or die; print <$c>'
	[ "$output" = hello ]
	finish
}

# ---- addresses

@test "eight started at once have eight addresses" {
	started_all=()
	for number in 1 2 3 4 5 6 7 8; do
		vethup --nat -- sh -c 'ip -o -4 address show dev eth0 | grep -o "inet [^ ]*" >"address.$1"; touch "up.$1"; until [ -e enough ]; do sleep 0.05; done' - "$number" 3>&- &
		started_all+=("$!")
	done
	until_true eight_up
	[ "$(cat address.* | sort -u | wc -l)" = 8 ] || fail "$(cat address.*)"
	[ "$(vethup --list | grep -c '^  bx')" = 8 ]
	touch enough
	wait "${started_all[@]}"
}

@test "a bridge that another vethup is just making is waited for, and its network is the one; one that stays as it is, is not" {
	ip link add boxbr0 type bridge
	{ sleep 0.1 && ip link set boxbr0 alias boxutils up && sleep 0.1 && ip address add 10.77.0.1/16 dev boxbr0; } 3>&- &
	run -0 --separate-stderr -- vethup -- ip -o -4 address show dev eth0
	wait $!
	[[ $output == *' inet 10.77.0.2/16 '* ]] || fail "$output"
	vethup --down
	ip link add boxbr0 type bridge
	run -125 --separate-stderr -- vethup -- true
	[[ $stderr == 'vethup: "boxbr0": this bridge has no address'* ]] || fail "$stderr"
	ip link delete boxbr0
}

@test "--address: that one, of either version; one that is taken is refused and told whose link has it" {
	run -0 vethup --gateway 10.98.0.1/16 --gateway fd00:98::1/64 --address 10.98.7.7/16 --address fd00:98::7/64 -- sh -c 'ip -o address show dev eth0 scope global | grep -o "inet6* [^ ]*"; ip -6 route show default; ping -c 1 -W 2 fd00:98::1 >/dev/null && echo answered'
	same $'inet 10.98.7.7/16\ninet6 fd00:98::7/64\ndefault via fd00:98::1 dev eth0 proto static metric 1024 pref medium\nanswered' "$output"
	start vethup --address 10.98.7.7/16 -- sleeper 1000
	until_true pgrep -x sleeper
	run -125 --separate-stderr -- vethup --address 10.98.7.7/16 -- true
	same "vethup: sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"bx0a620707\", \"veth\", IFF_UP, master \"boxbr0\", peer {\"eth0\", in the namespace}}): Address already in use (EADDRINUSE)
vethup: while: $CABLE
vethup: hint: 10.98.7.7/16 is another's: bx0a620707 is its link; --address auto finds a free one" "$stderr"
	kill -9 "$started"
	finish
}

@test "a network that is full: said, and how to make another" {
	start vethup --bridge small --gateway 10.99.0.1/30 -- sleeper 1000
	until_true pgrep -x sleeper
	run -125 --separate-stderr -- vethup --bridge small -- true
	[[ $stderr == *'Cannot assign requested address (EADDRNOTAVAIL)'*"hint: every address of 10.99.0.0/30 is taken: vethup --list shows by whom; --bridge and --gateway make another network" ]] || fail "$stderr"
	kill -9 "$started"
	finish
}

@test "addresses that cannot be meant are refused before anything is made" {
	refuses "vethup: --address 10.98.0.1/16: that is the bridge's own
vethup: hint: --address auto finds a free one beside it" vethup --address 10.98.0.1/16 -- true
	refuses 'vethup: --address 10.98.0.0/16: that is the network, not a host in it
vethup: hint: --address auto finds a free one' vethup --address 10.98.0.0/16 -- true
	refuses 'vethup: --address 10.1.0.5/16: the bridge is in 10.98.0.0/16
vethup: hint: give an address of that network, or another --bridge with a --gateway in this one' vethup --address 10.1.0.5/16 -- true
}

# ---- what is there already

@test "a subnet that another route leads to is refused; --gateway names another" {
	ip link add wan0 type veth peer name wan1
	ip address add 10.98.4.1/24 dev wan0
	ip link set wan0 up
	before=$(links)
	run -125 --separate-stderr -- vethup -- true
	same "vethup: 10.98.0.0/16: packets for 10.98.4.0/24 go to wan0
vethup: while: an address makes this machine a part of that network
vethup: hint: --gateway ADDR/LEN names a network nobody here uses, as in --gateway 10.99.0.1/16" "$stderr"
	same "$before" "$(links)"
	run -0 vethup --gateway 10.99.0.1/16 -- true
}

@test "a bridge name that is not a bridge; a bridge of somebody else's is used and stays" {
	ip link add wan0 type veth peer name wan1
	before=$(links)
	run -125 --separate-stderr -- vethup --bridge wan0 -- true
	same 'vethup: "wan0": not a bridge: veth
vethup: hint: --bridge names a bridge, or one that is not there yet; --uplink makes an interface a port of it' "$stderr"
	run -125 vethup --bridge lo -- true
	same "$before" "$(links)"
	ip link add theirs type bridge
	run -125 --separate-stderr -- vethup --bridge theirs -- true
	same 'vethup: "theirs": this bridge has no address
vethup: hint: --gateway ADDR/LEN gives it one, which is the way out for those behind it' "$stderr"
	ip address add 10.97.0.1/24 dev theirs
	ip link set theirs up
	run -0 vethup --bridge theirs -- sh -c 'ip route show default'
	[ "$output" = 'default via 10.97.0.1 dev eth0 proto static ' ]
	vethup --down
	[ -n "$(ip -o link show theirs)" ]
	ip link delete theirs
}

@test "--uplink: what is behind the bridge is on that network itself; an uplink that is not there is named" {
	refuses 'vethup: "nowhere": there is no such interface
vethup: hint: ip link lists them' vethup --uplink nowhere -- true
	ip netns add internet
	ip link add wan0 type veth peer name wan0 netns internet
	ip -n internet address add 10.98.200.1/16 dev wan0
	ip -n internet link set wan0 up
	run -0 vethup --uplink wan0 -- ping -c 1 -W 2 10.98.200.1
	[[ $(ip -o link show wan0) == *' master boxbr0 '* ]]
	vethup --down
	[[ $(ip -o link show wan0) != *' master '* ]]
}

# ---- a namespace that is there

@test "--netns by name, path and PID: wired from outside" {
	ip netns add blue
	ip netns add red
	run -0 --separate-stderr -- vethup --netns blue
	[ -z "$output$stderr" ]
	ip netns exec blue ping -c 1 -W 2 10.98.0.1
	# Its settings are its own affair, where a program's own network is opened.
	[ "$(ip netns exec blue cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" = 1024 ]
	run -0 vethup --netns /run/netns/red --ifname wan
	[ "$(ip -n red -o -4 address show dev wan | grep -o 'inet [^ ]*')" = 'inet 10.98.0.3/16' ]
	start unshare --net sleeper 1000
	until_true pgrep -x sleeper
	run -0 vethup --netns "$(pgrep -x sleeper)"
	nsenter --target "$(pgrep -x sleeper)" --net ping -c 1 -W 2 10.98.0.2
	# Twice is once too often, and leaves the first as it is.
	before=$(links)
	run -125 --separate-stderr -- vethup --netns blue
	[[ $stderr == *'File exists (EEXIST)'*'hint: there is an interface eth0 in that namespace already: --ifname names this one' ]] || fail "$stderr"
	same "$before" "$(links)"
	kill -9 "$started"
	finish
	[ "$(vethup --list --json | perl -MJSON::PP -e '$l = decode_json(join "", <STDIN>); print join " ", $l->[0]{bridge}, @{$l->[0]{addresses}}, map { $_->{address} } sort { $a->{link} cmp $b->{link} } @{$l->[0]{ports}}' | cut -d' ' -f1-4)" = 'boxbr0 10.98.0.1/16 10.98.0.2 10.98.0.3' ] || fail "$(vethup --list --json)"
}

@test "a namespace that does not exist: by name, path, PID, and a file that is none" {
	refuses 'vethup: open("/run/netns/green"): No such file or directory (ENOENT)
vethup: while: a namespace is joined through its file
vethup: hint: ip netns has no "green": ip netns list shows them, ip netns add makes one' vethup --netns green
	refuses 'vethup: open("/proc/4194303/ns/net"): No such file or directory (ENOENT)
vethup: while: a namespace is joined through its file
vethup: hint: there is no process 4194303 here' vethup --netns 4194303
	refuses 'vethup: open("./nothing"): No such file or directory (ENOENT)
vethup: while: a namespace is joined through its file
vethup: hint: a path names the file a namespace is bound on, or /proc/PID/ns/net' vethup --netns ./nothing
	touch file
	refuses 'vethup: "./file": not a namespace
vethup: while: a namespace is joined through its file
vethup: hint: its PID 1 may be gone, or nothing was ever bound there: ip netns list' vethup --netns ./file
}

@test "--netns: the network this process is in itself is refused, and another's is not" {
	for own in /proc/self/ns/net $BASHPID; do
		run -125 --separate-stderr -- vethup --netns "$own"
		[[ $stderr == 'vethup: "/proc/'*'/ns/net": this process is in that network itself
vethup: while: a cable leads from this network into another one
vethup: hint: name a process that has a network of its own, or a name of ip netns list; vethup -- PROG makes one for PROG' ]] || fail "$stderr"
	done
	run ! ip link show boxbr0
	# In a dry run of a chain it is another one.
	run -0 nsexec --net --dry-run -- vethup --netns "$BASHPID"
	start nsexec --net -- sleeper 1000
	until_true runs_program "$started" sleeper
	run -0 vethup --netns "$started"
	ip link show boxbr0
	kill -9 "$started"
	finish
	vethup --down
}

@test "not root: said, and root of a network of one's own may" {
	refuses 'vethup: sendto(NETLINK_ROUTE, {RTM_NEWLINK, "boxbr0", "bridge", IFF_UP, alias "boxutils"}): Operation not permitted (EPERM)
vethup: while: a switch without a box: what is plugged into it is one network; it waits for nobody before it forwards
vethup: hint: wiring takes root over this network namespace (CAP_NET_ADMIN): run it as root, or from a shell in a network of your own: nsexec -r --net -- sh' as_nobody "$BIN/vethup" -- true
	# -r is nsexec's: without a bridge it is vethup's own network that is refused first.
	refuses 'vethup: unshare(CLONE_NEWNET): Operation not permitted (EPERM)
vethup: while: a network of its own: no interface but lo, no route, no rule, none of the host'"'"'s sockets
vethup: hint: a network of its own takes root (CAP_SYS_ADMIN): run it as root, or from a shell in a network of your own: nsexec -r --net -- sh' as_nobody "$BIN/vethup" --no-bridge -- true
	# Root that lacks the right is told which.
	run -125 --separate-stderr -- setpriv --bounding-set -sys_admin "$BIN/vethup" --no-bridge -- true
	[[ $stderr == *'(CAP_SYS_ADMIN): this root lacks CAP_SYS_ADMIN, as in a container, run it on the host, or from '* ]] || fail "$stderr"
	# The shell stays, and with it the network that the cable leads out to.
	for option in --bridge=boxbr0 --no-bridge; do
		run -0 --separate-stderr -- as_nobody "$BIN/nsexec" -r --net -- sh -c '"$1" "$2" -- sh -c "sleep 0.3; ip -o -4 address show dev eth0"; exit $?' - "$BIN/vethup" "$option"
		[[ $output == *'inet 10.9'[78]'.0.2/'* ]] && [ -z "$stderr" ] || fail "$output$stderr"
	done
}

# ---- endings

@test "a step that fails takes back what was made before it" {
	# The address is one that no host has; the kernel refuses the route.
	run -125 vethup --nat --mtu 68 --gateway 10.98.0.1/16 --gateway fd00::1/64 --address auto --address fd00::2/64 -- true
	[ -z "$(ip -o link show type bridge)$(ip -o link show type veth)$(nft list ruleset)" ] || fail "$(ip -o link; nft list ruleset)"
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
}

@test "kill -9 at a random moment, many times: nothing is left that --down does not remove" {
	for _ in $(seq "$ROUNDS"); do
		start vethup --nat -- sleeper 1000
		sleep "0.00$((RANDOM % 10))"
		kill -9 "$started"
		finish
		vethup --down
		until_true no_port
		[ -z "$(ip -o link show type bridge)$(nft list ruleset)" ]
		[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	done
}

@test "--down names whom it cuts off, and cuts; a dry run only names, and who has ended or is on another bridge is not named" {
	ip netns add blue
	ip netns add red
	vethup --netns blue
	vethup --netns red
	start vethup -- sleeper 1000
	until_true runs_program "$started" sleeper
	sleeper=$started
	start ip netns exec blue sleeper 1000
	until_true runs_program "$started" sleeper
	vethup --bridge other --gateway 10.99.0.1/16 -- true
	run -0 --separate-stderr -- vethup --down --bridge other
	[ -z "$output$stderr" ] || fail "$output$stderr"
	named="vethup: warning: process $started (sleeper) in blue loses its network with bx0a620002
vethup: warning: process $sleeper (sleeper) loses its network with bx0a620004"
	run -0 --separate-stderr -- vethup --dry-run --down
	same "$named" "$stderr"
	nsenter --target "$sleeper" --net ping -c 1 -W 2 10.98.0.1
	run -0 --separate-stderr -- vethup --down
	same "$named" "$stderr"
	[ -z "$output" ]
	no_port
	[ "$(nsenter --target "$sleeper" --net ip -o link | wc -l)" = 1 ]
	run -0 --separate-stderr -- vethup --down
	[ -z "$output$stderr" ] || fail "$output$stderr"
	kill -9 "$started" "$sleeper"
	finish "$started"
	finish "$sleeper"
}

# ---- telling

@test "dry run equals run: links, addresses, routes, rules and settings on both sides" {
	for options in '' '--nat' '--nat --address 10.98.5.5/16 --ifname wan --mtu 1400 --mac 02:00:00:00:00:07' '--gateway 10.98.0.1/16 --gateway fd00::1/64 --address auto --address fd00::2/64'; do
		# shellcheck disable=SC2086 # a list of options
		dry_run_equals_run $options
	done
}

@test "--explain tells each step, its why, its call and what became of it; the chain goes on" {
	run -0 --separate-stderr -- vethup --explain --nat -- nsexec --uts -- true
	[[ $stderr == *'nobody outside knows the way to this network'*'RTM_NEWLINK, "bx…"'*' = 0: bx0a620002, for 10.98.0.2/16'*'nsexec 1/2 '* ]] || fail "$stderr"
	total=$(sed -n 's|^vethup 1/\([0-9]*\) .*|\1|p' <<<"$stderr")
	[ "$(grep -c "^vethup [0-9]*/$total " <<<"$stderr")" = "$total" ]
}
