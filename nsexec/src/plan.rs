//! The story: what nsexec does for what was typed, in order, and why.

mod joining;
pub mod keeping;
mod meeting;

use self::joining::joining;
use crate::call::Call;
use crate::cli::{Cli, Propagation};
use crate::facts::{Facts, Target};
use crate::ids::IdCall;
use crate::keep::KeepCall;
use crate::timens;
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
    timens::refuse_contradictions(&cli)?;

    let mut namespaces = new.clone();
    namespaces.extend(facts.joins.iter().map(|target| target.kind));
    namespaces.extend(process.iter().flat_map(|process| process.differs.iter().copied()));
    let made = Made { namespaces, root: cli.map_root_user, blocks: 0 };
    let join = process.map(|process| joining(&cli, facts.uid, process)).transpose()?;
    let joins_pid = join.as_ref().is_some_and(|join| join.forks)
        || facts.joins.iter().any(|target| target.kind == Kind::Pid);
    let forks = new.contains(&Kind::Pid) || joins_pid || facts.keep.is_some();
    let born_into = born_into(&new);

    let mut steps = before(&mut facts, &new)?;
    let mut inside = inside(&cli, &facts, &new, &born_into);
    if let Some(join) = join {
        steps.extend(join.before);
        inside.extend(join.inside);
    }
    let beside = beside(&cli, &mut facts, &new, forks);
    let wait = meeting::wait(facts.wait.take());
    let program = Some(if cli.init { facts.program.under_reaper(WHY_REAPER) } else { facts.program });
    if !forks {
        steps.extend(inside.into_iter().chain(beside).chain(wait));
        return Ok(Plan { steps, fork: None, program, made });
    }
    let fork = Fork {
        why: why_fork(&born_into, joins_pid),
        born_into,
        birthplace: None,
        first: inside,
        beside,
        child: wait,
        after: meeting::removal(cli.pid_file),
    };
    Ok(Plan { steps, fork: Some(fork), program, made })
}

/// The kinds a process can have from its birth only, or with one of those.
fn born_into(new: &[Kind]) -> Vec<Kind> {
    match new.contains(&Kind::Pid) {
        true => [Kind::User, Kind::Pid].into_iter().filter(|kind| new.contains(kind)).collect(),
        false => Vec::new(),
    }
}

/// Before anything is new: places for what is to be kept, and what is joined.
fn before(facts: &mut Facts, new: &[Kind]) -> Result<Vec<Step<Call>>, Failure> {
    let mut steps = match &facts.keep {
        Some(directory) => keeping::prepare(directory, new, &facts.joins)?,
        None => Vec::new(),
    };
    steps.extend(joins(std::mem::take(&mut facts.joins), facts.uid, facts.lifeline.take()));
    Ok(steps)
}

/// By the process that will be the program: its new namespaces, and what makes them fit to live in.
fn inside(cli: &Cli, facts: &Facts, new: &[Kind], born_into: &[Kind]) -> Vec<Step<Call>> {
    let mut steps = namespace_steps(cli, new, born_into, (facts.uid, facts.gid));
    steps.extend(facts.mount_id.filter(|_| new.contains(&Kind::Mount)).map(|than| {
        Step::new(
            "a mount namespace is bound in an older one only, and this one is to be bound outside",
            Call::Keep(KeepCall::GrowYounger { than }),
        )
    }));
    // In a new user namespace without a map there is no group to let ping.
    let groups = match new.contains(&Kind::User) {
        true => cli.map_root_user.then_some((0, 0)),
        false => Some(facts.groups),
    };
    steps.extend(setup_steps(cli, new, groups));
    steps
}

/// From outside, when all that is there: it is kept, and whoever waits for the program's number gets it.
fn beside(cli: &Cli, facts: &mut Facts, new: &[Kind], forks: bool) -> Vec<Step<Call>> {
    let mut steps: Vec<Step<Call>> =
        facts.keep.iter().flat_map(|directory| keeping::bind(directory, new)).collect();
    steps.extend(meeting::tell(cli.pid_file.as_deref(), facts.ready.take(), forks));
    steps
}

const WHY_REAPER: &str = "process 1 inherits all orphans and hears no signal by default: a reaper takes that on, the program is its child";

fn why_fork(born_into: &[Kind], joins_pid: bool) -> &'static str {
    match born_into {
        [] if !joins_pid => "what is to be kept is mounted from outside, by a process that does not go in",
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
            steps.push(Step::new(
                "be root of that user namespace, where it has one",
                Call::Ids(IdCall::BecomeRoot),
            ));
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

pub fn why_new(kind: Kind) -> &'static str {
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
        Kind::Time => {
            "clocks of its own, with offsets to the host's: for its children so far, not for itself"
        }
    }
}

/// The new namespaces the process is not born into, the user namespace first because it owns the others. A time
/// namespace takes more, and comes later.
fn namespace_steps(cli: &Cli, new: &[Kind], born_into: &[Kind], (uid, gid): (u32, u32)) -> Vec<Step<Call>> {
    let unshare = |kind: &Kind| Step::new(why_new(*kind), Call::Unshare(*kind));
    let wanted: Vec<&Kind> =
        new.iter().filter(|kind| !born_into.contains(kind) && **kind != Kind::Time).collect();
    let mut steps: Vec<Step<Call>> =
        wanted.iter().filter(|kind| ***kind == Kind::User).map(|kind| unshare(kind)).collect();
    if cli.map_root_user {
        steps.push(Step::new(
            "without privileges a group map is allowed only to who cannot drop groups: a group may be there to keep people out",
            Call::Ids(IdCall::DenySetgroups),
        ));
        steps.push(Step::new(
            "the caller's user is root in here",
            Call::Ids(IdCall::WriteMap { file: "uid_map", outside: uid }),
        ));
        steps.push(Step::new(
            "the caller's group is root's in here",
            Call::Ids(IdCall::WriteMap { file: "gid_map", outside: gid }),
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
    if new.contains(&Kind::Time) {
        steps.extend(timens::steps(cli));
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

fn refuse_contradictions(cli: &Cli, new: &[Kind], facts: &Facts) -> Result<(), Failure> {
    if cli.init && !new.contains(&Kind::Pid) {
        return Err(Failure::new("--init without a new PID namespace: process 1 is there already")
            .hint("add --pid: the reaper is the first process born in it"));
    }
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
mod tests;
