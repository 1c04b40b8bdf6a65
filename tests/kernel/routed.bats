#!/usr/bin/env bats
# vethup without a bridge, and with a name for the outer end.
#
#     container eth0 ---------- bx0a61....   10.97.0.1/32
#     10.97.0.N/32              (world)      a route to each
#
# Run by: tests/run kernel routed

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load net.bash

# ---- no bridge

@test "--no-bridge: each end is the way to the other, of either version; no network, no bridge" {
	start vethup --no-bridge --gateway 10.97.0.1/16 --gateway fd00:97::1/64 --address auto --address fd00:97::7/64 -- \
		sh -c 'ip -o address show dev eth0 scope global | grep -o "inet6* .* scope" >inside; ip route >>inside; ip -6 route show default >>inside; ping -c 1 -W 5 10.97.0.1 >/dev/null && ping -c 1 -W 5 fd00:97::1 >/dev/null && touch up; until [ -e enough ]; do sleep 0.05; done'
	until_true exists up
	same 'inet 10.97.0.2/32 scope
inet6 fd00:97::7/128 scope
default via 10.97.0.1 dev eth0 proto static 
10.97.0.1 dev eth0 proto static scope link 
default via fd00:97::1 dev eth0 proto static metric 1024 pref medium' "$(cat inside)"
	[ -z "$(ip -o link show type bridge)" ]
	same '10.97.0.2 dev bx0a610002 proto static scope link ' "$(ip route)"
	[[ $(ip -6 route) == *'fd00:97::7 dev bx0a610002 proto static'* ]] || fail "$(ip -6 route)"
	run -0 ping -c 1 -W 5 10.97.0.2
	run -0 ping -c 1 -W 5 fd00:97::7
	[ "$(vethup --list | sed 's/ [0-9]* sh$//')" = $'- 10.97.0.1/32 fd00:97::1/128\n  bx0a610002 10.97.0.2' ] || fail "$(vethup --list)"
	# The next one is on a cable of its own; who lets nothing pass lets them not meet.
	run -1 vethup --no-bridge -- ping -c 1 -W 1 10.97.0.2
	touch enough
	finish
	[ "$status" = 0 ]
	until_true no_port
}

@test "--no-bridge --nat: the internet answers; without NAT it does not; forwarding goes back" {
	make_internet
	run -0 vethup --no-bridge --nat -- perl -e "$ASK"
	[ "$output" = 192.0.2.1 ]
	[ "$(nft list tables)" = 'table ip boxutils_routed/10.97.0.0/16' ] || fail "$(nft list tables)"
	run -0 vethup --nat -- true
	vethup --down --no-bridge
	[ "$(nft list tables)" = 'table ip boxutils_boxbr0' ] || fail "$(nft list tables)"
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	run -1 vethup --no-bridge -- perl -e "$ASK"
	vethup --down
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	end_internet
}

@test "--no-bridge --netns: wired from outside; --down takes it, and nothing that is called alike" {
	ip netns add blue
	vethup --no-bridge --netns blue
	run -0 ping -c 1 -W 5 10.97.0.2
	ip link add bxdeadbeef type veth peer name other
	vethup --down --no-bridge
	[ "$(ip -o link show type veth | cut -d: -f2 | xargs)" = 'other@bxdeadbeef bxdeadbeef@other' ] || fail "$(ip -o link)"
	[ -z "$(ip -n blue -o link show type veth)" ]
	ip link delete other
}

# ---- a name for the outer end

@test "--peer-name: it is called so; a second name reserves the address all the same" {
	ip netns add blue
	ip netns add red
	vethup --peer-name web --netns blue
	vethup --netns red
	[ "$(ip -n red -o -4 address show dev eth0 | grep -o 'inet [^ ]*')" = 'inet 10.98.0.3/16' ] || fail "$(ip -n red address)"
	[[ $(ip -o link show web) == *' master boxbr0 '*' altname bx0a620002' ]] || fail "$(ip -o link show web)"
	run -0 ip netns exec red ping -c 1 -W 5 10.98.0.2
	run -125 --separate-stderr -- vethup --peer-name db --address 10.98.0.2/16 -- true
	[[ $stderr == *'Address already in use (EADDRINUSE)'*"hint: 10.98.0.2/16 is another's: bx0a620002 is its link"* ]] || fail "$stderr"
	[ ! -e /proc/sys/net/ipv4/conf/db ]
	run -125 --separate-stderr -- vethup --peer-name web -- true
	[[ $stderr == *'File exists (EEXIST)'*'hint: there is an interface web on this side already: --peer-name names this one' ]] || fail "$stderr"
	run -125 --separate-stderr -- vethup --peer-name db --netns blue
	[[ $stderr == *'hint: there is an interface eth0 in that namespace already: --ifname names this one' ]] || fail "$stderr"
	vethup --down
	[ -z "$(ip -o link show type veth)" ] || fail "$(ip -o link)"
	# The name can be taken again when the program is gone.
	for _ in 1 2 3; do
		settle
		run -0 vethup --no-bridge --peer-name web -- ping -c 1 -W 5 10.97.0.1
	done
}

@test "eight with names of their own started at once have eight addresses" {
	started_all=()
	for number in 1 2 3 4 5 6 7 8; do
		vethup --peer-name "web$number" -- sh -c 'ip -o -4 address show dev eth0 | grep -o "inet [^ ]*" >"address.$1"; touch "up.$1"; until [ -e enough ]; do sleep 0.05; done' - "$number" 3>&- &
		started_all+=("$!")
	done
	until_true eight_up
	[ "$(cat address.* | sort -u | wc -l)" = 8 ] || fail "$(cat address.*)"
	[ "$(vethup --list | grep -c '^  web[1-8] 10[.]98[.]0[.]')" = 8 ] || fail "$(vethup --list)"
	touch enough
	wait "${started_all[@]}"
}

# ---- telling

@test "dry run equals run: without a bridge, and with a name for the outer end" {
	for options in '--no-bridge --nat' '--no-bridge --peer-name web --address 10.97.5.5/32 --mtu 1400' '--peer-name web' \
		'--no-bridge --gateway 10.97.0.1/16 --gateway fd00::1/64 --address auto --address fd00::2/64'; do
		# shellcheck disable=SC2086 # a list of options
		dry_run_equals_run $options
	done
}
