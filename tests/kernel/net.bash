# What the tests of vethup share: a network that is the machine's for the test, and what both sides of a cable look like.

# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # a perl program for the files to use; lib.bash sets variables

# Each file's setup: the world's network is the machine's, and is looked at before.
setup() {
	setup_world
	# The names of ip-netns(8) are the test's own.
	own_run
	links_before=$(links)
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
}

# Each file's teardown, unless it has its own, which ends with the same function: vethup --down leaves nothing.
teardown() {
	network_is_as_it_was
}

network_is_as_it_was() {
	vethup --down
	for name in $(ip netns list | cut -d' ' -f1); do ip netns delete "$name"; done
	ip link delete wan0 2>/dev/null || :
	umount /run
	nothing_left || return
	same "$links_before" "$(links)" || return
	[ -z "$(nft list ruleset)" ] || fail "$(nft list ruleset)" || return
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
}

links() {
	ip -o link | cut -d: -f2
}

no_port() {
	[ -z "$(ip -o link show type veth)" ]
}

all_carry() {
	! ip -o link | grep -q NO-CARRIER
}

# Prints what is on both sides of a wire, without numbers and hardware addresses of chance.
wired() {
	cat >see <<-'END'
		ip -o link | cut -d: -f2 | cut -d@ -f1
		ip -o address show scope global | sed 's/^[0-9]*: //'
		ip route
		cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start
		touch seen
		until [ -e enough ]; do sleep 0.05; done
	END
	rm -f enough seen
	start "$@" sh see >inside
	until_true exists seen || return
	# The kernel gets round to saying that a cable has two ends some time after it has.
	until_true all_carry || return
	{
		ip -d -o link | sed -E 's/^[0-9]+: //; s/@[^:]*//; s|link/ether [^ ]*|link/ether|; s/link-netns[^ ]* [^ ]*//; s/(bridge_id|designated_[^ ]*|root_id|port_id|port_no|[a-z_]*_timer|num[tr]xqueues|gso_[^ ]*|gro_[^ ]*|tso_[^ ]*) +[^ ]*//g'
		ip -o -4 address show | sed 's/^[0-9]*: //'
		nft list ruleset
		cat /proc/sys/net/ipv4/ip_forward
	} >outside
	touch enough
	finish
	[ "$status" = 0 ] || fail "status $status" || return
	until_true no_port || return
	vethup --down
	cat inside outside
}

# Asserts that `vethup OPTION...` and its dry run, executed, make the same on both sides, and that printing it makes nothing.
dry_run_equals_run() {
	local by_run by_script
	by_run=$(wired vethup "$@" --) || fail "run of $*: $by_run" || return
	[ "$(wc -l <<<"$by_run")" -gt 10 ] || fail "$by_run" || return
	vethup "$@" --dry-run -- sh see >script || return
	[ -z "$(ip -o link show type bridge)" ] || fail "the dry run of $* made a bridge" || return
	by_script=$(wired sh -e script) || fail "dry run of $*: $by_script" || return
	same "$by_run" "$by_script" || fail "with $*"
}

# Asks the internet who is asking; nothing when it does not answer.
ASK='use IO::Socket::INET; $c = IO::Socket::INET->new(PeerAddr => "192.0.2.2", PeerPort => 8080, Timeout => 2) or exit 1; print <$c>'

# Waits until the kernel has taken the last network apart, whose cable has the address until then.
settle() {
	until_true no_cable
}

no_cable() {
	! vethup --list 2>/dev/null | grep -v ' uplink$' | grep -q '^  '
}

eight_up() {
	[ "$(find . -name 'up.*' | wc -l)" = 8 ]
}
