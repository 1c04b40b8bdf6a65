//! The story: what nsexec does for what was typed, in order, and why.

mod joining;

use self::joining::joining;
use crate::call::Call;
use crate::cli::{Cli, Propagation};
use crate::facts::{Facts, Target};
use chain::{Failure, Fork, Kind, Lifeline, Made, Plan, Step};
use std::path::PathBuf;

/// Decides everything; does nothing.
///
/// # Errors
/// Options that contradict each other.
pub fn plan(cli: Cli, mut facts: Facts) -> Result<Plan<Call>, Failure> {
    let process = facts.process.take();
    if let Some(process) = &process {
        joining::refuse_contradictions(&cli, process)?;
    }
    let new: Vec<Kind> =
        cli.kinds().into_iter().map(|(kind, _)| kind).filter(|kind| cli.makes(*kind)).collect();
    refuse_contradictions(&cli, &new, &facts)?;

    let joined = process.iter().flat_map(|process| process.differs.iter().copied()).collect::<Vec<Kind>>();
    let join = process.map(|process| joining(&cli, facts.uid, process)).transpose()?;
    let forks = join.as_ref().is_some_and(|join| join.forks)
        || new.contains(&Kind::Pid)
        || facts.joins.iter().any(|target| target.kind == Kind::Pid);
    let born_into: Vec<Kind> = match new.contains(&Kind::Pid) {
        true => [Kind::User, Kind::Pid].into_iter().filter(|kind| new.contains(kind)).collect(),
        false => Vec::new(),
    };
    let mut namespaces = new.clone();
    namespaces.extend(facts.joins.iter().map(|target| target.kind));
    namespaces.extend(joined);
    let made = Made { namespaces, root: cli.map_root_user, blocks: 0 };

    let mut before = joins(facts.joins, facts.uid, facts.lifeline);
    // In a new user namespace without a map there is no group to let ping.
    let groups = match new.contains(&Kind::User) {
        true => cli.map_root_user.then_some((0, 0)),
        false => Some(facts.groups),
    };
    let mut inside = namespace_steps(&cli, &new, &born_into, (facts.uid, facts.gid));
    inside.extend(setup_steps(&cli, &new, groups));
    if let Some(join) = join {
        before.extend(join.before);
        inside.extend(join.inside);
    }

    let mut announce = Vec::new();
    if let Some(path) = &cli.pid_file {
        announce.push(
            Step::new("scripts find the program by its number", Call::WritePidFile(path.clone()))
                .undo(Call::RemoveFile(path.clone())),
        );
    }
    if let Some(fd) = facts.ready {
        announce.push(Step::new("tell who is waiting for it that everything is set up", Call::TellReady(fd)));
    }
    let wait: Vec<Step<Call>> = facts
        .wait
        .into_iter()
        .map(|fd| {
            Step::new(
                "somebody outside has work to do first: wait until they close their end",
                Call::WaitForEnd(fd),
            )
        })
        .collect();

    if !forks {
        let steps = before.into_iter().chain(inside).chain(announce).chain(wait).collect();
        return Ok(Plan { steps, fork: None, program: Some(facts.program), made });
    }
    let after = removal(cli.pid_file);
    let fork = Fork {
        why: why_fork(&born_into),
        born_into,
        birthplace: None,
        first: inside,
        beside: announce,
        child: wait,
        after,
    };
    Ok(Plan { steps: before, fork: Some(fork), program: Some(facts.program), made })
}

fn why_fork(born_into: &[Kind]) -> &'static str {
    match born_into {
        [] => "a PID namespace that is joined takes in children only, so the program must be one",
        [Kind::Pid] => {
            "a process keeps the number it was born with: the first one born in a new PID namespace is its PID 1"
        }
        _ => {
            "born into a user namespace it has all capabilities in, and into a PID namespace that this one owns, as PID 1"
        }
    }
}

/// Namespaces that exist. A privileged caller joins the user namespace last, for it gives up its rights there; any other
/// joins it first, for it gains them there.
fn joins(mut targets: Vec<Target>, uid: u32, lifeline: Option<Lifeline>) -> Vec<Step<Call>> {
    targets.sort_by_key(|target| (target.kind == Kind::User) == (uid == 0));
    let mut steps = Vec::new();
    let mut lifeline = lifeline;
    for target in targets {
        let kind = target.kind;
        steps.push(Step::new(why_join(kind), Call::JoinNs(target)));
        if kind == Kind::User {
            steps.push(Step::new("be root of that user namespace, where it has one", Call::BecomeRoot));
            steps.extend(lifeline.take().map(|lifeline| {
                Step::new(
                    "the kernel forgets this with a change of ids: die when the waiting parent dies",
                    Call::RenewLifeline(lifeline),
                )
            }));
        }
    }
    steps
}

fn why_join(kind: Kind) -> &'static str {
    match kind {
        Kind::Mount => "see the mounts of that namespace, and look the program up in them",
        Kind::Uts => "answer to the host name of that namespace",
        Kind::Ipc => "share memory and queues with the programs of that namespace",
        Kind::Net => "use the interfaces, routes and sockets of that namespace",
        Kind::Pid => "let the next child be born among the processes of that namespace",
        Kind::User => "have the ids and capabilities that namespace gives",
        Kind::Cgroup => "see the control groups from the root that namespace sees them from",
        Kind::Time => "read the clocks with the offsets of that namespace",
    }
}

fn why_new(kind: Kind) -> &'static str {
    match kind {
        Kind::Mount => {
            "mount points of its own: a copy to begin with, and what changes in it changes here only"
        }
        Kind::Uts => "a host name of its own: a copy to begin with",
        Kind::Ipc => "shared memory, semaphores and message queues of its own: none to begin with",
        Kind::Net => {
            "a network of its own: no interface but lo, no route, no rule, none of the host's sockets"
        }
        Kind::Pid => "process numbers of its own: it sees nobody who is not below it",
        Kind::User => "users of its own: all capabilities in here, none outside",
        Kind::Cgroup => "the control group it is in becomes the root of the tree it sees",
        Kind::Time => "clocks of its own, with offsets to the host's",
    }
}

/// The new namespaces the process is not born into, the user namespace first because it owns the others.
fn namespace_steps(cli: &Cli, new: &[Kind], born_into: &[Kind], (uid, gid): (u32, u32)) -> Vec<Step<Call>> {
    let unshare = |kind: &Kind| Step::new(why_new(*kind), Call::Unshare(*kind));
    let wanted: Vec<&Kind> = new.iter().filter(|kind| !born_into.contains(kind)).collect();
    let mut steps: Vec<Step<Call>> =
        wanted.iter().filter(|kind| ***kind == Kind::User).map(|kind| unshare(kind)).collect();
    if cli.map_root_user {
        steps.push(Step::new(
            "without privileges a group map is allowed only to who cannot drop groups: a group may be there to keep people out",
            Call::DenySetgroups,
        ));
        steps.push(Step::new(
            "the caller's user is root in here",
            Call::WriteMap { file: "uid_map", outside: uid },
        ));
        steps.push(Step::new(
            "the caller's group is root's in here",
            Call::WriteMap { file: "gid_map", outside: gid },
        ));
    }
    steps.extend(wanted.iter().filter(|kind| ***kind != Kind::User).map(|kind| unshare(kind)));
    steps
}

/// What makes new namespaces fit to live in.
fn setup_steps(cli: &Cli, new: &[Kind], groups: Option<(u32, u32)>) -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    if new.contains(&Kind::Mount) {
        let why = match cli.propagation {
            Propagation::Slave => {
                "what the host mounts from now on shall appear in here, and not the other way round"
            }
            Propagation::Shared => "what is mounted on one side from now on shall appear on the other",
            Propagation::Unchanged => "where the host's mounts are shared, so are these with them",
            Propagation::Private => {
                "systemd makes mounts shared: cut that, or what is mounted in here would be mounted on the host"
            }
        };
        steps.push(Step::new(why, Call::Propagate(cli.propagation)));
    }
    if new.contains(&Kind::Net) && !cli.no_lo {
        steps.push(
            Step::new("lo is born down, and programs expect 127.0.0.1 to answer", Call::LinkUp).optional(),
        );
    }
    if new.contains(&Kind::Net) {
        let sysctl = |why, name, value| Step::new(why, Call::WriteSysctl { name, value }).optional();
        steps.extend(groups.map(|(first, last)| {
            sysctl(
                "this network is its own affair: let every group in here ping without a raw socket",
                "net/ipv4/ping_group_range",
                format!("{first} {last}"),
            )
        }));
        steps.push(sysctl(
            "and let every user in here listen on ports below 1024",
            "net/ipv4/ip_unprivileged_port_start",
            "0".into(),
        ));
    }
    if let Some(name) = &cli.hostname {
        steps.push(Step::new("the name it answers to in here", Call::SetHostname(name.clone())));
    }
    if let Some(at) = &cli.mount_proc {
        let at = at.clone().unwrap_or_else(|| PathBuf::from("/proc"));
        steps.push(Step::new(
            "ps reads /proc: it needs one that shows this PID namespace",
            Call::MountProc(at),
        ));
    }
    steps
}

fn removal(pid_file: Option<PathBuf>) -> Vec<Step<Call>> {
    let remove = |path| Step::new("the number is nobody's any more", Call::RemoveFile(path));
    pid_file.into_iter().map(remove).collect()
}

fn refuse_contradictions(cli: &Cli, new: &[Kind], facts: &Facts) -> Result<(), Failure> {
    let in_uts = new.contains(&Kind::Uts) || facts.joins.iter().any(|target| target.kind == Kind::Uts);
    if cli.hostname.is_some() && !in_uts {
        return Err(Failure::new("--hostname would rename this host")
            .hint("add --uts for a host name of its own, or --uts=PID to rename that namespace"));
    }
    let joins_mounts = facts.joins.iter().any(|target| target.kind == Kind::Mount);
    if let Some(path) = cli.pid_file.as_ref().filter(|_| joins_mounts) {
        return Err(Failure::new(format!(
            "--pid-file {}: it would be a file of the namespace that is joined",
            chain::quoted(path)
        ))
        .hint("with --mount=… write the number yourself: --ready-fd N gives it"));
    }
    if cli.map_root_user && !new.contains(&Kind::User) {
        return Err(Failure::new("-r maps the ids of a new user namespace, and --user=… joins one")
            .hint("leave out one of the two"));
    }
    if cli.mount_proc.is_some() && !new.contains(&Kind::Mount) {
        return Err(Failure::new("--mount-proc would mount into a namespace that is joined")
            .hint("leave out --mount=…, or mount /proc there first"));
    }
    Ok(())
}

/// What is worth a line on a terminal: `ps` in a new PID namespace reads the host's /proc unless a new one is mounted.
pub fn notice(cli: &Cli, facts: &Facts) -> Option<&'static str> {
    let shows_the_host = cli.makes(Kind::Pid) && cli.mount_proc.is_none() && !facts.program.is_ours();
    (facts.on_terminal && shows_the_host)
        .then_some("nsexec: /proc still shows the host's processes; --mount-proc gives ps one of its own\n")
}

#[cfg(test)]
mod tests {
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
    fn all_is_every_new_kind_but_user() {
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

    #[test]
    fn contradictions_are_refused_before_anything_is_done() {
        assert!(
            refusal("--hostname box", facts())
                .starts_with("--hostname would rename this host\nhint: add --uts")
        );
        assert!(refusal("--mount --hostname box", facts()).starts_with("--hostname would"));
        let joined = joining(&[Kind::Uts], facts());
        assert!(plan(cli("--uts=7 --hostname box"), joined).is_ok());
        assert!(refusal("-r --user=7", joining(&[Kind::User], facts())).starts_with("-r maps the ids"));
        assert!(
            refusal("--mount-proc --mount=7", joining(&[Kind::Mount], facts()))
                .starts_with("--mount-proc would")
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
}
