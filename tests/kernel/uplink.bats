#!/usr/bin/env bats
# vethup beyond its own bridge: a port that leads outside, who holds what, and firewalls of others. The LAN is a namespace;
# the machine's NIC is one end of a pair.
#
#     container eth0 --- bx....  boxbr0  nic --- nic 192.168.77.1/24   lan
#     192.168.77.7/24       (world)  192.168.77.2/24
#
# Run by: tests/run kernel uplink

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load net.bash

teardown() {
	ip link delete nic 2>/dev/null || :
	for family in ip inet bridge; do nft delete table "$family" wall 2>/dev/null || :; done
	network_is_as_it_was
}

LAN='--gateway 192.168.77.2/24 --uplink nic --address 192.168.77.7/24'

# Makes the LAN and a NIC that is down.
make_lan() {
	ip netns add lan
	ip link add nic type veth peer name nic netns lan
	ip -n lan address add 192.168.77.1/24 dev nic
	ip -n lan link set nic up
}

# Prints of the NIC whether it is up, its bridge and its second names.
nic() {
	ip -o link show nic | grep -oE '[<,]UP[,>]|master [^ ]*|altname [^ ]*' | tr -d '<,>' | xargs
}

# ---- a port that leads outside

@test "--uplink: the program is on that network itself; a NIC that was down goes down again, one that was up stays up" {
	make_lan
	[ -z "$(nic)" ]
	# shellcheck disable=SC2086 # a list of options
	run -0 --separate-stderr -- vethup $LAN -- ping -c 1 -W 5 192.168.77.1
	[ -z "$stderr" ] || fail "$stderr"
	[ "$(nic)" = 'UP master boxbr0 altname boxutils-down-nic' ] || fail "$(nic)"
	settle
	# The second to come finds it done, and the LAN reaches who is behind the bridge.
	# shellcheck disable=SC2086
	run -0 vethup $LAN -- ping -c 1 -W 5 192.168.77.1
	[ "$(nic)" = 'UP master boxbr0 altname boxutils-down-nic' ] || fail "$(nic)"
	[ "$(vethup --list | sed -n 2p)" = '  nic uplink' ] || fail "$(vethup --list)"
	run -0 ip netns exec lan ping -c 1 -W 5 192.168.77.2
	vethup --down
	[ -z "$(nic)" ] || fail "$(nic)"
	ip link set nic up
	# shellcheck disable=SC2086
	run -0 vethup $LAN -- true
	[ "$(nic)" = 'UP master boxbr0' ] || fail "$(nic)"
	vethup --down
	vethup --down
	[ "$(nic)" = UP ] || fail "$(nic)"
}

@test "--uplink: without it the LAN is out of reach" {
	make_lan
	ip link set nic up
	run -1 vethup --gateway 192.168.77.2/24 --address 192.168.77.7/24 -- ping -c 1 -W 1 192.168.77.1
}

@test "--uplink: --down of another bridge leaves it, and one whose bridge is gone goes down too" {
	make_lan
	# shellcheck disable=SC2086 # a list of options
	vethup $LAN -- true
	vethup --bridge other --gateway 10.99.0.1/16 -- true
	vethup --down --bridge other
	[ "$(nic)" = 'UP master boxbr0 altname boxutils-down-nic' ] || fail "$(nic)"
	ip link delete boxbr0
	[ "$(nic)" = 'UP altname boxutils-down-nic' ] || fail "$(nic)"
	vethup --down
	[ -z "$(nic)" ] || fail "$(nic)"
	# One that somebody has made a port of his own bridge keeps running; only the record goes.
	settle
	# shellcheck disable=SC2086
	vethup $LAN -- true
	ip link add theirs type bridge
	ip link set nic nomaster
	ip link set nic master theirs
	vethup --down
	[ "$(nic)" = 'UP master theirs' ] || fail "$(nic)"
	ip link delete theirs
}

@test "--uplink: a step that fails later puts it back as it was" {
	make_lan
	# shellcheck disable=SC2086 # a list of options
	run -125 --separate-stderr -- vethup $LAN --ifname lo -- true
	[[ $stderr == *'there is an interface lo in that namespace already'* ]] || fail "$stderr"
	[ -z "$(nic)$(ip -o link show type bridge)" ] || fail "$(ip -o link)"
	ip link set nic up
	# shellcheck disable=SC2086
	run -125 vethup $LAN --ifname lo -- true
	[ "$(nic)" = UP ] || fail "$(nic)"
}

@test "--uplink: what cannot be one is refused with its reason, and nothing is made" {
	make_lan
	ip link add br9 type bridge
	ip link add boxbr0 type bridge
	ip link set boxbr0 alias boxutils
	ip link set nic master br9
	before=$(ip -o link)
	for refusal in 'nowhere: "nowhere": there is no such interface' 'boxbr0: "boxbr0": it is the bridge itself' \
		'br9: "br9": a bridge cannot be a port of another' 'lo: "lo": it leads back to this machine and nowhere else' \
		'nic: "nic": it is a port of br9 already'; do
		run -125 --separate-stderr -- vethup --uplink "${refusal%%:*}" -- true
		[ "${stderr_lines[0]}" = "vethup: ${refusal#*: }" ] || fail "$stderr"
		[[ ${stderr_lines[1]} == 'vethup: hint: '* ]] || fail "$stderr"
	done
	same "$before" "$(ip -o link)"
	ip link delete boxbr0
	ip link set nic nomaster
	ip address add 10.8.0.1/24 dev br9
	run -125 --separate-stderr -- vethup --bridge br9 --uplink nic -- true
	[[ $stderr == *"the bridge is somebody else's"*'hint: ip link set nic master br9 does it for good' ]] || fail "$stderr"
	ip link delete br9
}

@test "--uplink: an address and the default route that stop working are said first, a line each" {
	make_lan
	ip link set nic up
	ip address add 192.168.77.9/24 dev nic
	ip route add default via 192.168.77.1 dev nic
	run -0 --separate-stderr -- vethup --uplink nic -- true
	same "vethup: warning: nic has 192.168.77.9/24, where nobody is reached while it is a port: ip address delete 192.168.77.9/24 dev nic, and --gateway 192.168.77.9/24 gives it to the bridge
vethup: warning: this machine's default route leads through nic, and to nowhere while that is a port: give the route to the bridge, or take another uplink" "$stderr"
	# What is said is so: nobody is reached.
	run -1 ping -c 1 -W 1 192.168.77.1
	vethup --down
	run -0 ping -c 1 -W 5 192.168.77.1
	# And the cure is one. Before it is taken, the network is nic's.
	run -125 --separate-stderr -- vethup --uplink nic --gateway 192.168.77.9/24 -- true
	[[ $stderr == *'packets for 192.168.77.0/24 go to nic'*'hint: a port has no use for an address: ip address flush dev nic, and --gateway gives it to the bridge' ]] || fail "$stderr"
	ip address delete 192.168.77.9/24 dev nic
	run -0 --separate-stderr -- vethup --uplink nic --gateway 192.168.77.9/24 -- ping -c 1 -W 5 192.168.77.1
	[ -z "$stderr" ] || fail "$stderr"
	run -0 ping -c 1 -W 5 192.168.77.1
}

@test "--uplink: kill -9 at a random moment: --down puts it back as it was" {
	make_lan
	for _ in $(seq "$ROUNDS"); do
		# shellcheck disable=SC2086 # a list of options
		start vethup $LAN -- sleeper 1000
		sleep "0.00$((RANDOM % 10))"
		kill -9 "$started"
		finish
		vethup --down
		[ -z "$(nic)$(ip -o link show type bridge)" ] || fail "$(ip -o link)"
	done
}

# ---- who holds what

@test "--list: the other end's namespace by its name and its first process, for those who may look" {
	ip netns add blue
	vethup --netns blue
	start vethup -- sleeper 1000
	sleepers=$started
	until_true runs_program "$started" sleeper
	same "boxbr0 10.98.0.1/16
  bx0a620002 10.98.0.2 blue
  bx0a620003 10.98.0.3 $started sleeper" "$(vethup --list)"
	run -0 --separate-stderr -- vethup --list --json
	[ "$(perl -MJSON::PP -e 'print join " ", map { $_->{netns} // "-", $_->{pid} // "-", $_->{program} // "-" } @{decode_json(join "", <STDIN>)->[0]{ports}}' <<<"$output")" = "blue - - - $started sleeper" ] || fail "$output"
	start ip netns exec blue sleeper 1000
	sleepers+=" $started"
	until_true runs_program "$started" sleeper
	[[ $(vethup --list) == *"bx0a620002 10.98.0.2 blue $started sleeper"* ]] || fail "$(vethup --list)"
	run -0 --separate-stderr -- as_nobody "$BIN/vethup" --list
	[ -z "$stderr" ] || fail "$stderr"
	[ "$(sed -n 3p <<<"$output")" = '  bx0a620003 10.98.0.3' ] || fail "$output"
	for pid in $sleepers; do
		kill -9 "$pid"
		finish "$pid"
	done
}

@test "--list, --down: a program that calls itself a line and more moves no cursor" {
	start vethup -- perl -e '$0 = "a\e[2J\nb"; sleep 1000'
	until_true runs_program "$started" $'a\e[2J'
	run -0 --separate-stderr -- vethup --list
	same "boxbr0 10.98.0.1/16
  bx0a620002 10.98.0.2 $started a?[2J?b" "$output"
	run -0 --separate-stderr -- vethup --down
	same "vethup: warning: process $started (a?[2J?b) loses its network with bx0a620002" "$stderr"
	kill -9 "$started"
	finish
}

# ---- firewalls of others

@test "a chain that drops is named with the cure, which is one; then it is silent" {
	make_internet
	for family in ip inet; do
		nft "table $family wall { chain passed { type filter hook forward priority 0; policy drop; }; }"
		for way in '' --no-bridge '--no-bridge --peer-name web'; do
			settle
			# shellcheck disable=SC2086 # a list of options
			run -1 --separate-stderr -- vethup --nat $way -- perl -e "$ASK"
			[[ $stderr == "vethup: warning: table $family wall, chain passed drops what this machine passes on; to let it through: nft '"*"'" ]] || fail "$stderr"
			cure=${stderr#*: nft } && eval "nft $cure"
			settle
			# shellcheck disable=SC2086
			run -0 --separate-stderr -- vethup --nat $way -- perl -e "$ASK"
			[ -z "$stderr" ] && [ "$output" = 192.0.2.1 ] || fail "$way: $output$stderr"
		done
		nft flush table "$family" wall
		run -0 --separate-stderr -- vethup --list
		[[ $stderr == *"table $family wall, chain passed drops"*'iifname "boxbr0"'* ]] || fail "$stderr"
		nft delete table "$family" wall
		run -0 --separate-stderr -- vethup --list
		[ -z "$stderr" ] || fail "$stderr"
	done
	# One that accepts, one elsewhere, and where nothing is passed on.
	nft 'table ip wall { chain passed { type filter hook forward priority 0; policy accept; }; chain in { type filter hook input priority 0; policy drop; }; }'
	run -0 --separate-stderr -- vethup --nat -- true
	[ -z "$stderr" ] || fail "$stderr"
	nft 'delete table ip wall; table ip wall { chain passed { type filter hook forward priority 0; policy drop; }; }'
	run -0 --separate-stderr -- vethup -- true
	[ -z "$stderr" ] || fail "$stderr"
	nft delete table ip wall
	end_internet
}

@test "a bridge's own chain that drops is named for an uplink, and the cure is one" {
	make_lan
	nft 'table bridge wall { chain passed { type filter hook forward priority 0; policy drop; }; }'
	# shellcheck disable=SC2086 # a list of options
	run -1 --separate-stderr -- vethup $LAN -- ping -c 1 -W 1 192.168.77.1
	[[ $stderr == "vethup: warning: table bridge wall, chain passed drops what this machine passes on; to let it through: nft '"* ]] || fail "$stderr"
	cure=${stderr#*: nft } && eval "nft $cure"
	settle
	# shellcheck disable=SC2086
	run -0 --separate-stderr -- vethup $LAN -- ping -c 1 -W 5 192.168.77.1
	[ -z "$stderr" ] || fail "$stderr"
	nft delete table bridge wall
}

# ---- telling

@test "dry run equals run: an uplink, there and back" {
	make_lan
	for before in down up; do
		ip link set nic "$before"
		# shellcheck disable=SC2086 # a list of options
		vethup $LAN --dry-run -- true >script
		[ "$(nic)" = "$([ $before = down ] || echo UP)" ]
		settle
		# shellcheck disable=SC2086
		vethup $LAN -- true
		by_run=$(nic)
		until_true only_nic
		vethup --dry-run --down >back
		vethup --down
		run -0 sh -e script
		same "$by_run" "$(nic)"
		until_true only_nic
		run -0 sh -e back
		[ "$(nic)" = "$([ $before = down ] || echo UP)" ] || fail "$before: $(nic)"
	done
}

only_nic() {
	[ "$(ip -o link show type veth | wc -l)" = 1 ]
}
