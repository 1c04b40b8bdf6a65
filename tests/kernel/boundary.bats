#!/usr/bin/env bats
# What a container is not: a way to the host, a machine of its own. Each with what it takes to see the opposite.
#
# Run by: tests/run kernel boundary

# Commands in single quotes are for other shells, lib.bash sets variables, every test is a subshell:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load lib.bash
load pivot.bash

setup_file() {
	setup_world_file
	local root=$BATS_FILE_TMPDIR/root
	make_root "$root"
	# It also reads files that block, without waiting for them.
	add_perl "$root"
	# What perl opens to begin with; hidden by a /dev of ours wherever there is one.
	touch "$root/dev/null"
	cat >"$root/look" <<-'END'
		# Prints every place below / whose name, link or first megabyte holds the word on stdin: of what it reads itself
		# nothing stays where it looks. It follows no link, so it comes to an end.
		chomp($word = <STDIN>);
		$SIG{ALRM} = sub { die };
		sub look {
			my $path = shift;
			return if $path =~ m{^/proc/\d+/task/\d+/} or $path =~ m{^/proc/(self|thread-self)/};
			$seen++;
			print "$path\n" if index($path, $word) >= 0 or index(readlink($path) // "", $word) >= 0;
			lstat $path or return;
			if (-d _) {
				opendir(my $directory, $path) or return;
				my @names = grep { !/^\.\.?$/ } readdir $directory;
				closedir $directory;
				look($path eq "/" ? "/$_" : "$path/$_") for @names;
			} elsif (-f _) {
				# 04000: O_NONBLOCK
				sysopen(my $file, $path, 04000) or return;
				eval { alarm 5; sysread $file, my $text, 1 << 20; alarm 0; print "$path\n" if index($text // "", $word) >= 0 };
			}
		}
		look("/");
		print "looked at ", $seen > 1000 ? "all" : $seen, "\n";
	END
	"$BATS_FILE_TMPDIR/bin/mkimg" --from "$root" "$BATS_FILE_TMPDIR/img"
}

teardown() {
	[ -z "${canary-}" ] || umount "$canary" 2>/dev/null || :
	nothing_left
}

@test "a canary of the host occurs in no name, file, link or /proc of a container; where the host shows it is found" {
	# As long as a process's name can be.
	canary=$(printf 'canary%05d%04d' "$RANDOM" "$((RANDOM % 10000))")
	echo "$canary" >word
	# In a file, a file's name, a mount point, a variable, a process's title and a process's name.
	mkdir "$canary"
	echo "this is $canary" >"$canary/file"
	mount -t tmpfs "$canary" "$canary"
	mkdir program
	cp "$BATS_FILE_TMPDIR/bin/sleeper" "program/$canary"
	export CANARY=$canary
	# And in the path of the image itself, which the loop device shows.
	mkdir "of.$canary"
	cp --sparse=always "$BATS_FILE_TMPDIR/img" "of.$canary/img"
	start bash -c 'exec -a "$0" "./program/$0" 1000' "$canary"
	until_true runs_program "$started" "$canary"
	run -0 nsexec --pid --net --ipc --uts --cgroup --hostname box -- pivot "of.$canary/img" perl /look <word
	same 'looked at all' "$output"
	run -0 nsexec --pid --net --ipc --uts --cgroup --hostname box -- pivot --userns auto "of.$canary/img" perl /look <word
	same 'looked at all' "$output"
	# With the host's processes, mounts and variables it is found in each.
	run -0 nsexec --pid --net -- pivot --privileged "of.$canary/img" perl /look <word
	[[ $output == *'/loop/backing_file'* ]] || fail "$output"
	run -0 pivot --bare --bind /proc:/proc "$root" perl /look <word
	for place in "/proc/$started/cmdline" "/proc/$started/comm" "/proc/$started/environ" "/proc/$$/mountinfo"; do
		grep -qx "$place" <<<"$output" || fail "not found in $place: $output"
	done
	kill -9 "$started"
	finish
}

@test "the way out of a chroot leads out of a chroot, and not out of a root of its own" {
	touch outside
	echo 'mkdir "/x"; chroot "/x"; chdir ".." for 1..64; chroot "."; print -e $ARGV[0] ? "outside" : "inside"' >escape
	cp escape "$root/escape"
	run -0 chroot "$root" perl /escape "$PWD/outside"
	[ "$output" = outside ] || fail "$output"
	run -0 pivot --bare "$root" perl /escape "$PWD/outside"
	[ "$output" = inside ] || fail "$output"
	run -0 nsexec --pid -- pivot "$root" perl -e 'chroot "/x" or print "$!"'
	[ "$output" = 'Operation not permitted' ] || fail "$output"
	rm "$root/escape"
}

@test "a program for another architecture is named as the cause; for this one it runs" {
	printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0' >"$root/bin/arm"
	head -c 44 /dev/zero >>"$root/bin/arm"
	chmod 755 "$root/bin/arm"
	for bare in --bare ''; do
		run -126 --separate-stderr -- nsexec --pid -- pivot $bare "$root" arm
		[[ $stderr == *'Exec format error (ENOEXEC)'*"hint: it is a program for aarch64; this kernel runs $(uname -m)" ]] || fail "$stderr"
	done
	printf '\76\0' | dd of="$root/bin/arm" bs=1 seek=18 conv=notrunc status=none
	run -126 --separate-stderr -- nsexec --pid -- pivot "$root" arm
	[[ $stderr != *'a program for'* ]] || fail "$stderr"
	rm "$root/bin/arm"
	run -0 nsexec --pid -- pivot "$root" /bin/true
}
