//! Plans as text: what is done for what was typed, in order. Nothing here needs root.

use super::*;
use clap::Parser;
use std::fs::File;

/// Root of a machine with nothing joined.
fn facts() -> Facts {
    Facts {
        uid: 0,
        gid: 0,
        groups: (0, 2_147_483_647),
        ready: None,
        wait: None,
        lifeline: None,
        joins: Vec::new(),
        process: None,
        keep: None,
        mount_id: None,
        program: chain::Program::later(vec!["ps".into()]),
        on_terminal: false,
    }
}

fn a_user() -> Facts {
    Facts { uid: 1000, gid: 100, groups: (0, 0), ..facts() }
}

fn joining(kinds: &[Kind], facts: Facts) -> Facts {
    let target = |kind: &Kind| Target {
        kind: *kind,
        path: format!("/proc/7/ns/{}", kind.file()).into(),
        file: File::open("/proc/self/ns/net").unwrap(),
    };
    Facts { joins: kinds.iter().map(target).collect(), ..facts }
}

fn cli(words: &str) -> Cli {
    Cli::parse_from(["nsexec"].into_iter().chain(words.split_whitespace()))
}

fn story(words: &str, facts: Facts) -> Vec<String> {
    plan(cli(words), facts).unwrap().story()
}

fn refusal(words: &str, facts: Facts) -> String {
    plan(cli(words), facts).unwrap_err().to_string()
}

const LO: &str = "sendto(NETLINK_ROUTE, {RTM_NEWLINK, \"lo\", IFF_UP})";
const PRIVATE: &str = "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)";
const PING: &str = "write(\"/proc/sys/net/ipv4/ping_group_range\", \"0 2147483647\")";
const PORTS: &str = "write(\"/proc/sys/net/ipv4/ip_unprivileged_port_start\", \"0\")";

#[test]
fn nothing_asked_for_is_nothing_done() {
    assert!(story("-- ps", facts()).is_empty());
}

#[test]
fn a_pid_namespace_is_born_into_and_the_rest_is_made_inside() {
    assert_eq!(
        story("--net --pid --mount-proc", facts()),
        [
            "clone(CLONE_NEWPID|SIGCHLD)",
            "unshare(CLONE_NEWNS)",
            "unshare(CLONE_NEWNET)",
            PRIVATE,
            LO,
            PING,
            PORTS,
            "mount(\"proc\", \"/proc\", \"proc\", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)"
        ]
    );
}

#[test]
fn without_a_pid_namespace_there_is_no_fork() {
    assert_eq!(
        story("--uts --hostname box --ipc --cgroup", facts()),
        [
            "unshare(CLONE_NEWUTS)",
            "unshare(CLONE_NEWIPC)",
            "unshare(CLONE_NEWCGROUP)",
            "sethostname(\"box\")"
        ]
    );
    assert!(plan(cli("--all --pid=7"), joining(&[Kind::Pid], facts())).unwrap().fork.is_some());
    assert!(plan(cli("--net"), facts()).unwrap().fork.is_none());
}

#[test]
fn all_is_every_new_kind_but_user_and_time() {
    let made = plan(cli("--all"), facts()).unwrap().made.namespaces;
    assert_eq!(made, [Kind::Mount, Kind::Uts, Kind::Ipc, Kind::Net, Kind::Cgroup, Kind::Pid]);
}

#[test]
fn all_does_not_make_what_is_joined() {
    let made = story("--all --net=7", joining(&[Kind::Net], facts()));
    assert_eq!(made[0], "setns(\"/proc/7/ns/net\", CLONE_NEWNET)");
    assert!(!made.iter().any(|call| call == "unshare(CLONE_NEWNET)" || call == LO));
}

#[test]
fn a_user_namespace_comes_first_because_it_owns_the_others() {
    assert_eq!(
        story("-r --net --no-lo", a_user()),
        [
            "unshare(CLONE_NEWUSER)",
            "write(\"/proc/self/setgroups\", \"deny\")",
            "write(\"/proc/self/uid_map\", \"0 1000 1\")",
            "write(\"/proc/self/gid_map\", \"0 100 1\")",
            "unshare(CLONE_NEWNET)",
            "write(\"/proc/sys/net/ipv4/ping_group_range\", \"0 0\")",
            PORTS
        ]
    );
    assert_eq!(story("-r --pid", a_user())[0], "clone(CLONE_NEWUSER|CLONE_NEWPID|SIGCHLD)");
}

#[test]
fn without_a_map_no_group_can_be_let_ping() {
    assert_eq!(
        story("--user --net", a_user()),
        ["unshare(CLONE_NEWUSER)", "unshare(CLONE_NEWNET)", LO, PORTS]
    );
}

#[test]
fn root_joins_a_user_namespace_last_and_others_first() {
    let join_net = "setns(\"/proc/7/ns/net\", CLONE_NEWNET)";
    let join_user = "setns(\"/proc/7/ns/user\", CLONE_NEWUSER)";
    let be_root = "setresgid(0, 0, 0)\nsetresuid(0, 0, 0)";
    let kinds = [Kind::User, Kind::Net];
    assert_eq!(story("--user=7 --net=7", joining(&kinds, facts())), [join_net, join_user, be_root]);
    assert_eq!(story("--user=7 --net=7", joining(&kinds, a_user())), [join_user, be_root, join_net]);
}

#[test]
fn a_pid_namespace_that_is_joined_takes_a_plain_fork() {
    assert_eq!(
        story("--pid=7 --uts", joining(&[Kind::Pid], facts())),
        ["setns(\"/proc/7/ns/pid\", CLONE_NEWPID)", "clone(SIGCHLD)", "unshare(CLONE_NEWUTS)"]
    );
}

#[test]
fn propagation_is_cut_unless_it_is_asked_for() {
    for (words, flags) in [
        ("--mount", "MS_PRIVATE"),
        ("--mount --propagation slave", "MS_SLAVE"),
        ("--mount --propagation shared", "MS_SHARED"),
    ] {
        assert_eq!(story(words, facts())[1], format!("mount(NULL, \"/\", NULL, MS_REC|{flags}, NULL)"));
    }
    assert!(!story("--mount --propagation unchanged", facts())[1].starts_with("mount("));
}

#[test]
fn the_pid_file_is_written_beside_the_child_and_removed_after_it() {
    let (write, remove) = ("write(\"p\", PID)".to_string(), "unlink(\"p\")".to_string());
    let fork = plan(cli("--pid --pid-file p"), facts()).unwrap().fork.unwrap();
    assert_eq!((fork.first.len(), fork.beside.len(), fork.child.len(), fork.after.len()), (0, 1, 0, 1));
    assert_eq!(
        story("--pid --pid-file p", facts()),
        ["clone(CLONE_NEWPID|SIGCHLD)".into(), write.clone(), remove]
    );
    assert_eq!(story("--net --no-lo --pid-file p", facts())[3], write);
}

fn keeping(facts: Facts) -> Facts {
    let keep = Some(crate::kept::Directory {
        path: "/k".into(),
        exists: true,
        binds: 1,
        ..crate::kept::Directory::default()
    });
    Facts { keep, ..facts }
}

#[test]
fn what_is_kept_is_mounted_beside_the_child_before_anybody_is_told() {
    let fork = plan(cli("--net --no-lo --keep k --pid-file p"), keeping(facts())).unwrap().fork.unwrap();
    assert!(fork.born_into.is_empty());
    assert_eq!(
        story("--net --no-lo --keep k --pid-file p", keeping(facts())),
        [
            "open(\"/k/net\", O_CREAT|O_EXCL, 0)",
            "clone(SIGCHLD)",
            "unshare(CLONE_NEWNET)",
            PING,
            PORTS,
            "mount(\"/proc/PID/ns/net\", \"/k/net\", NULL, MS_BIND, NULL)",
            "write(\"p\", PID)",
            "unlink(\"p\")"
        ]
    );
}

#[test]
fn a_mount_namespace_that_is_kept_is_younger_than_the_one_it_is_kept_in() {
    let steps = story("--mount --keep k", Facts { mount_id: Some(9), ..keeping(facts()) });
    assert_eq!(
        steps[3],
        "ioctl(\"/proc/self/ns/mnt\", NS_GET_MNTNS_ID) > 9, else unshare(CLONE_NEWNS) again"
    );
    assert_eq!(steps[4], PRIVATE);
    let others = story("--uts --keep k", Facts { mount_id: Some(9), ..keeping(facts()) });
    assert!(!others.iter().any(|call| call.contains("NS_GET_MNTNS_ID")));
}

#[test]
fn a_time_namespace_is_entered_when_its_clocks_are_set() {
    assert_eq!(
        story("--time --uts --boottime 1000 --monotonic -0.5", facts()),
        [
            "unshare(CLONE_NEWUTS)",
            "unshare(CLONE_NEWTIME)",
            "write(\"/proc/self/timens_offsets\", \"boottime 1000 0\")",
            "write(\"/proc/self/timens_offsets\", \"monotonic -1 500000000\")",
            "setns(\"/proc/self/ns/time_for_children\", CLONE_NEWTIME)"
        ]
    );
    assert_eq!(
        story("--time=7", joining(&[Kind::Time], facts())),
        ["setns(\"/proc/7/ns/time\", CLONE_NEWTIME)"]
    );
    assert!(refusal("--boottime 5", facts()).starts_with("--boottime and --monotonic set"));
}

#[test]
fn keeping_in_a_namespace_that_is_joined_is_refused() {
    for kind in [Kind::Mount, Kind::User] {
        let words = format!("--{}=7 --net --keep k", kind.name());
        let refused = refusal(&words, joining(&[kind], keeping(facts())));
        assert!(refused.contains("namespace that is joined"), "{refused}");
    }
}

#[test]
fn contradictions_are_refused_before_anything_is_done() {
    assert!(
        refusal("--hostname box", facts()).starts_with("--hostname would rename this host\nhint: add --uts")
    );
    assert!(refusal("--mount --hostname box", facts()).starts_with("--hostname would"));
    let joined = joining(&[Kind::Uts], facts());
    assert!(plan(cli("--uts=7 --hostname box"), joined).is_ok());
    assert!(refusal("-r --user=7", joining(&[Kind::User], facts())).starts_with("-r maps the ids"));
    assert!(
        refusal("--mount-proc --mount=7", joining(&[Kind::Mount], facts())).starts_with("--mount-proc would")
    );
}

#[test]
fn on_a_terminal_a_pid_namespace_without_its_proc_is_worth_a_line() {
    let on_terminal = || Facts { on_terminal: true, ..facts() };
    assert!(notice(&cli("--pid"), &on_terminal()).is_some());
    assert!(notice(&cli("--pid --mount-proc"), &on_terminal()).is_none());
    assert!(notice(&cli("--pid=7"), &on_terminal()).is_none());
    assert!(notice(&cli("--pid"), &facts()).is_none());
}
