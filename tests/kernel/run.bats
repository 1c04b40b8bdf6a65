#!/usr/bin/env bats
# What container run can be told about the root and the program, and what it leaves of a directory. Run by:
# tests/run kernel run

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load groups.bash
load container.bash

run_here() {
	container run --name "$group" "$@"
}

# ---- files

@test "--volume: a directory, read-only, one file, an image; owners are mapped; what is not there is said" {
	mkdir shared
	echo from-outside >shared/letter
	mkimg --size 8M home.img
	container run --no-net --volume "$PWD/shared:/mnt" --volume "$PWD/shared:/srv:ro" --volume "$PWD/shared/letter:/etc/letter" \
		--volume "$PWD/home.img:/home" --name "$group" img -- /bin/sh -ec '
			cat /mnt/letter /etc/letter
			echo from-inside >/mnt/answer
			if echo no >/srv/answer; then exit 9; fi
			touch /home/kept; grep -c " /home ext4 " /proc/mounts' >said 2>&1
	same $'from-outside\nfrom-outside\n1' "$(grep -v 'Read-only' said)"
	[ "$(stat -c %u shared/answer)" = 0 ]
	[ -e shared/answer ]
	[ "$(cat shared/answer)" = from-inside ]
	[ "$(container run --no-net --mount-image home.img:/srv:ro img ls /srv | grep kept)" = kept ]
	run -125 --separate-stderr -- container run --no-net --volume nowhere:/mnt img true
	[[ $stderr == 'container: --volume nowhere:/mnt: there is no nowhere'* ]] || fail "$stderr"
	run -125 --separate-stderr -- container run --no-net --volume shared img true
	[[ $stderr == 'container: --volume shared: not SRC:DST'* ]] || fail "$stderr"
}

@test "a directory keeps the mount points that it lacked, empty, and nothing else; what an image gets is in the image" {
	mkdir -p tree/bin
	cp "$BATS_FILE_TMPDIR/root/bin/busybox" tree/bin/sh
	(cd tree && run_here --host-uids --volume "$PWD/bin:/mnt/bin" . sh -c 'echo here' && run_here --host-uids . sh -c 'echo again') >said 2>&1
	same $'here\nagain' "$(cat said)"
	same 'bin bin/sh dev etc etc/resolv.conf mnt mnt/bin proc sys' "$(cd tree && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | xargs)"
	[ ! -s tree/etc/resolv.conf ]
	mkdir -p whole/bin whole/dev whole/proc whole/sys
	cp tree/bin/sh whole/bin/sh
	run_here --host-uids --no-net whole sh -c true
	same 'bin bin/sh dev proc sys' "$(cd whole && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | xargs)"
	run_here img true
	same 'img said tree whole' "$(find . -mindepth 1 -maxdepth 1 -printf '%P\n' | LC_ALL=C sort | xargs)"
}

@test "a directory that is no root is left as it is" {
	mkdir mine
	touch mine/letter
	cd mine
	run -125 --separate-stderr -- run_here .
	[[ $stderr == 'container: . is no root file system'* ]] || fail "$stderr"
	[ "$(ls -A)" = letter ]
}

# ---- the program

@test "--user, --workdir, --env and --tmpfs: it has what was asked for; without, nothing of it" {
	see='id -u; pwd; echo "${WORD-none}"; grep -c " /mnt tmpfs " /proc/mounts'
	run -0 run_here --no-net --user user --workdir /home/user --env WORD=said --tmpfs /mnt img /bin/sh -c "$see"
	same $'1000\n/home/user\nsaid\n1' "$output"
	WORD=outside run -1 run_here --no-net img /bin/sh -c "$see"
	same $'0\n/\nnone\n0' "$output"
}

@test "--cap-add and --cap-drop: as many capabilities as asked for" {
	effective() { run_here --no-net "$@" img /bin/grep CapEff /proc/self/status | cut -f2; }
	[ "$(effective)" = 00000000000004fb ]
	[ "$(effective --cap-drop ALL)" = 0000000000000000 ]
	[ "$(effective --cap-drop ALL --cap-add CHOWN)" = 0000000000000001 ]
	[ "$(effective --cap-add NET_RAW)" = 00000000000024fb ]
}

@test "--dns: these servers and no others; none leaves the image its own" {
	asks() { run_here "$@" img /bin/cat /etc/resolv.conf; }
	run_here --no-net img /bin/sh -c 'echo "# of the image" >/etc/resolv.conf'
	same $'nameserver 192.0.2.53\nnameserver 192.0.2.54' "$(asks --dns 192.0.2.53 --dns 192.0.2.54)"
	same '# of the image' "$(asks --dns none)"
	same '# of the image' "$(asks --no-net)"
	# Where nothing is said, those of the machine, whatever they are here.
	echo 'nameserver 192.0.2.55' >machine
	same 'nameserver 192.0.2.55' "$(unshare --mount --propagation private sh -c 'mount --bind machine /etc/resolv.conf && exec "$@"' - \
		"$top/scripts/container" run --name "$group" img /bin/cat /etc/resolv.conf)"
}

@test "ping: that of iputils works as it is; that of busybox opens a raw socket, which --cap-add NET_RAW --host-uids allows" {
	"$top/scripts/rootfs" host host sh ping
	mkimg --from host host.img
	run -0 run_here host.img ping -c 1 -W 5 10.98.0.1
	[[ $output == *' 1 received'* ]] || fail "$output"
	run -1 run_here img ping -c 1 -W 5 10.98.0.1
	[[ $output == *'permission denied'* ]] || fail "$output"
	run -1 run_here --cap-add NET_RAW img ping -c 1 -W 5 10.98.0.1
	run -0 run_here --cap-add NET_RAW --host-uids img ping -c 1 -W 5 10.98.0.1
	[[ $output == *' 1 packets received'* ]] || fail "$output"
}
