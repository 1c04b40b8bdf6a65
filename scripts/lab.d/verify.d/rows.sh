# The rows that any container is judged by. Sourced by verify, never run.
#
#     row_table    prints NAME|LEVEL|SENTENCE|CURE
#     judge_NAME   looks at the facts and calls holds, fails or passes_by, once, with what was seen
#
# The level is required, or advice where many a good container does otherwise; --require makes advice required.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # facts.sh sets them

# In the order of the lecture: what it sees, its files, its network, what it may use, what it may do.
row_table() {
	cat <<-'END'
		pid-namespace|required|its process numbers are its own|nsexec --pid
		pid-1|required|its tree begins with a PID 1 of its own, known outside by another number|nsexec --pid
		host-processes|required|the host's processes are not to be seen in its /proc|pivot mounts a /proc of the new PID namespace; nsexec --mount-proc
		mnt-namespace|required|its mounts are its own|nsexec --mount
		own-root|required|its root directory is another than the host's|pivot ROOT
		old-root|required|nothing lies above its root, so there is no way back to the host's|pivot_root instead of chroot: pivot ROOT
		host-mounts|required|none of the host's file systems is mounted whole inside|bind only what it needs: pivot --bind SRC:DST:ro
		root-image|advice|its root is an image on a loop device, or another file system of its own|mkimg --from DIR IMG, then pivot IMG
		proc|required|/proc is there and belongs to its own PID namespace|pivot mounts it; nsexec --mount-proc
		net-namespace|required|its interfaces, routes and sockets are its own|nsexec --net, or vethup for one that is wired
		interface|required|an interface of its own is up|vethup
		address|required|the interface has an address|vethup --address auto
		route|required|it has a default route|vethup
		gateway|required|its gateway answers|vethup --list shows what the network is wired to
		uts-namespace|required|its host name is its own|nsexec --uts --hostname NAME
		ipc-namespace|required|its queues, semaphores and shared memory are its own|nsexec --ipc
		memory-limit|required|a control group limits its memory|cgset --memory 256M GROUP
		cpu-limit|required|a control group limits its CPU time|cgset --cpus 0.5 GROUP
		pids-limit|required|a control group limits how many processes it has|cgset --pids 64 GROUP
		capabilities|required|it has no capability that reaches the whole machine|pivot keeps eight; --cap-add and --cap-drop
		devices|required|its /dev has the harmless devices only|pivot makes a /dev of six
		user-namespace|advice|its user ids are its own|pivot --userns auto; nsexec --user
		id-map|advice|root inside is not root outside|pivot --userns auto
		cgroup-namespace|advice|it sees its control group as the root|nsexec --cgroup
		no-new-privs|advice|no program in it can gain privileges by setuid|pivot sets it
		seccomp|advice|a filter says which system calls it may make|bwrap --seccomp, or a runtime's profile
		masked-paths|advice|what /proc tells about the whole machine is covered|pivot covers it
		sys-read-only|advice|it cannot write to /sys|pivot mounts /sys read-only
		proc-sys|advice|it cannot set the machine's own settings in /proc/sys, such as core_pattern|pivot mounts /proc/sys read-only
	END
}

# A namespace of kind $1 is its own.
differs() {
	eval "inside=\$ns_$1 outside=\$host_$1"
	if [ "$inside" != "$outside" ]; then holds "$inside, the host's is $outside"; else fails "it is in the host's, $outside"; fi
}

judge_pid_namespace() { differs pid; }
judge_mnt_namespace() { differs mnt; }
judge_net_namespace() { differs net; }
judge_uts_namespace() { differs uts; }
judge_ipc_namespace() { differs ipc; }
judge_user_namespace() { differs user; }
judge_cgroup_namespace() { differs cgroup; }

judge_pid_1() {
	if [ "$ns_pid" = "$host_pid" ]; then
		fails "it has one number, $nspid, and PID 1 above it is the host's"
	elif [ "$init_pid" = "$pid" ]; then
		holds "it is PID 1 there; from outside its numbers are: $nspid"
	elif [ -n "$init_pid" ]; then
		holds "PID 1 there is process $init_pid of the host; this one's numbers are: $nspid"
	else
		fails "no process is seen that is PID 1 there"
	fi
}

judge_host_processes() {
	if [ -z "$sees_us" ]; then
		holds "this very check, a process of the host, has no number in its /proc"
	else
		fails "this very check, a process of the host, is to be seen in $sees_us"
	fi
}

judge_own_root() {
	if [ "$here_root" != "$host_root" ]; then
		holds "device and inode $here_root, the host's root has $host_root"
	else
		fails "it is the host's root directory"
	fi
}

judge_old_root() {
	if [ "$here_root" = "$host_root" ]; then
		passes_by "it has the host's root"
	elif [ -z "$root_climbs" ]; then
		holds "its root is that of its whole table of mounts"
	else
		fails "it was made by chroot: the old root is still above it, and root inside can climb there"
	fi
}

judge_host_mounts() {
	if [ "$ns_mnt" = "$host_mnt" ]; then
		passes_by "it has the host's mounts"
	elif [ -z "$whole_mounts" ]; then
		holds "${shares:+parts of them that it was given: $shares}"
	else
		fails "$whole_mounts"
	fi
}

judge_root_image() {
	host_device=$(awk '$5 == "/" { device = $3 } END { print device }' "$facts/host-mounts")
	if [ -z "$root_dev" ]; then
		fails "its root is a directory in a file system of the host's, not a mount"
	elif [ "$root_dev" = "$host_device" ]; then
		fails "its root is a directory of the host's own $root_type"
	elif [ -n "$loop_file" ]; then
		holds "$root_type on loop device $root_source, in the file $loop_file"
	elif awk -v device="$root_dev" '$3 == device { found = 1 } END { exit !found }' "$facts/host-mounts"; then
		fails "its root is a directory of a file system that the host has mounted: $root_type on $root_source"
	else
		holds "$root_type on $root_source, mounted here alone"
	fi
}

judge_proc() {
	if [ "$ns_pid" = "$host_pid" ]; then
		passes_by "it has the host's processes"
	elif [ -z "$proc_init" ]; then
		fails "no process 1 is to be seen in a /proc of its own"
	elif [ "$proc_init" = "$ns_pid" ]; then
		holds "its process 1 is in $proc_init"
	else
		fails "its process 1 is in $proc_init, and the container in $ns_pid"
	fi
}

# Sets the verdict and fails where the network's own rows have nothing to look at.
has_network() {
	if [ "$ns_net" = "$host_net" ]; then
		passes_by "it has the host's interfaces"
		return 1
	fi
	[ -z "$links" ] || return 0
	passes_by "lo is its only interface: it was given no network, or its cable was removed since (vethup --down)"
	return 1
}

judge_interface() {
	has_network || return 0
	if [ -n "$links_up" ]; then holds "$links_up${link_kind:+ ($link_kind)}"; else fails "$links is down"; fi
}

judge_address() {
	has_network || return 0
	if [ -n "$addresses" ]; then holds "$addresses"; else fails "$links has none"; fi
}

judge_route() {
	has_network || return 0
	if [ -z "$addresses" ]; then
		passes_by "without an address there is none to have"
	elif [ -n "$has_route" ]; then
		holds "${gateway:+through $gateway on $gateway_device}"
	else
		fails "it reaches its own subnet only"
	fi
}

judge_gateway() {
	has_network || return 0
	if [ -z "$has_route" ]; then
		passes_by "it has no default route"
	elif [ -z "$gateway" ]; then
		passes_by "its default route names a device and no gateway"
	elif gateway_answers; then
		holds "$gateway answers ($answered)"
	else
		fails "$gateway does not answer on $gateway_device"
	fi
}

judge_memory_limit() {
	machine=$(awk '$1 == "MemTotal:" { printf "%d", $2 * 1024 }' /proc/meminfo)
	if [ -z "$limit_memory" ]; then
		fails "no group that is its own limits it"
	elif [ "$limit_memory" -ge "$machine" ]; then
		fails "$limit_memory bytes in $group_memory are more than the machine's $machine"
	else
		holds "$limit_memory bytes in $group_memory"
	fi
}

judge_cpu_limit() {
	cpus=$(($(nproc --all) * 1000))
	if [ -z "$limit_cpu" ]; then
		fails "no group that is its own limits it"
	elif [ "$limit_cpu" -ge "$cpus" ]; then
		fails "$(of_a_thousand "$limit_cpu") CPUs in $group_cpu are all that the machine has"
	else
		holds "$(of_a_thousand "$limit_cpu") CPUs in $group_cpu"
	fi
}

# Prints thousandths as a decimal number.
of_a_thousand() {
	echo "$1" | awk '{ print $1 / 1000 }'
}

judge_pids_limit() {
	# (dash reads byte by byte, which such a file does not answer.)
	machine=$(cat /proc/sys/kernel/threads-max)
	if [ -z "$limit_pids" ]; then
		fails "no group that is its own limits it"
	elif [ "$limit_pids" -ge "$machine" ]; then
		fails "$limit_pids in $group_pids are more than the machine's $machine"
	else
		holds "$limit_pids in $group_pids"
	fi
}

# Tells whether its user ids are its own.
has_own_ids() {
	[ "$ns_user" != "$host_user" ]
}

# What it has, and what a program that it becomes could have: with no_new_privs that is no more.
judge_capabilities() {
	reach=$((cap_prm | cap_eff))
	[ "$no_new_privs" = 1 ] || reach=$((reach | cap_bnd))
	extra=$((reach & ~usual_capabilities))
	if [ "$extra" = 0 ]; then
		holds "in force: $(capability_names "$cap_eff"); within reach: $(capability_names "$reach")"
	elif [ "$ns_user" != "$host_user" ]; then
		holds "they count in its own user namespace alone: $(capability_names "$cap_eff")"
	else
		fails "beyond the fourteen that container runtimes grant: $(capability_names "$extra")"
	fi
}

judge_devices() {
	odd_devices=$(other_devices | one_line)
	if [ -z "$odd_devices" ]; then holds ""; else fails "also $odd_devices"; fi
}

judge_id_map() {
	case " $uid_map" in
	*' 0:0:'*) fails "user 0 inside is user 0 outside" ;;
	*) holds "inside:outside:count $uid_map" ;;
	esac
}

judge_no_new_privs() {
	if [ "$no_new_privs" = 1 ]; then holds ""; else fails "setuid programs work in it"; fi
}

judge_seccomp() {
	if [ "$seccomp" != 0 ]; then holds "mode $seccomp"; else fails "it may make every system call"; fi
}

judge_masked_paths() {
	open=
	for path in /proc/kcore /proc/keys /proc/timer_list /proc/sysrq-trigger /sys/firmware; do
		! open_to_it "$path" || open="$open $path"
	done
	if [ -z "$open" ]; then holds ""; else fails "open:$open"; fi
}

judge_sys_read_only() {
	options=$(mount_options /sys)
	case $options in
	'/sys ro'*) holds "" ;;
	'/sys '*) fails "it is mounted for writing" ;;
	*) holds "it has none" ;;
	esac
}

judge_proc_sys() {
	case $(mount_options /proc/sys) in
	*' ro' | *' ro,'*) holds "read-only" ;;
	*) if has_own_ids; then holds "they belong to a user it is not"; else fails "it is mounted for writing"; fi ;;
	esac
}
