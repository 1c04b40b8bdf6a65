//! The story of `--join`: what this process does to be where another one is, with no more rights than that has.

use crate::call::Call;
use crate::cli::Cli;
use crate::join::Join;
use crate::process::Process;
use chain::{CapSet, DEFAULT_PATH, Failure, Kind, Step};
use std::ffi::OsString;

/// The steps of a join, where the fork stands among them if there is one.
pub struct Joining {
    pub before: Vec<Step<Call>>,
    /// None of them where no PID namespace is joined.
    pub forks: bool,
    pub inside: Vec<Step<Call>>,
}

fn step(why: &'static str, call: Join) -> Step<Call> {
    Step::new(why, Call::Join(call))
}

/// Everything else an option could make or join would be made or joined twice.
///
/// # Errors
/// What was typed asks for that.
pub fn refuse_contradictions(cli: &Cli, process: &Process) -> Result<(), Failure> {
    let number = process.number;
    let with_kind = cli.kinds().into_iter().find(|(_, option)| option.is_some()).map(|(kind, _)| kind.name());
    let others = [
        (with_kind.is_some(), with_kind.unwrap_or_default()),
        (cli.all, "all"),
        (cli.map_root_user, "map-root-user"),
        (cli.mount_proc.is_some(), "mount-proc"),
        (cli.hostname.is_some(), "hostname"),
    ];
    if let Some((_, option)) = others.into_iter().find(|(is_given, _)| *is_given) {
        return Err(Failure::new(format!("--{option} beside --join {number}, which joins every kind of namespace"))
            .hint(format!("one nsexec joins some, --net={number} and the like; what is to be new is for a second nsexec in there")));
    }
    if let Some(path) =
        cli.pid_file.as_ref().filter(|_| process.has_another_root && !process.differs.contains(&Kind::Pid))
    {
        return Err(Failure::new(format!(
            "--pid-file {}: it would be a file of the root that is joined",
            chain::quoted(path)
        ))
        .hint("write the number yourself: --ready-fd N gives it"));
    }
    Ok(())
}

/// Decides how to join `process`.
///
/// # Errors
/// It is held still, or has no id this process could take.
pub fn joining(cli: &Cli, uid: u32, process: Process) -> Result<Joining, Failure> {
    refuse(&process)?;
    let is_root = uid == 0;
    let mut before = leaving(cli.keep_env, &process);
    if is_root {
        before.push(step("groups of this side would be groups in there", Join::DropGroups));
    }
    let forks = process.differs.contains(&Kind::Pid);
    // Whoever is not root here has a right to the PID namespace by being in the user namespace that owns it.
    let with_pid = |kind: &Kind| *kind == Kind::Pid || (*kind == Kind::User && !is_root);
    let (first, rest): (Vec<Kind>, Vec<Kind>) =
        process.differs.iter().copied().partition(|kind| forks && with_pid(kind));
    let privileges = privileges(&process, is_root);
    // By the process that goes in: one that was forked has another parent.
    let noting = (!privileges.is_empty()).then(|| {
        step(
            "a change of ids makes the kernel forget with whose death this process dies: take note of it",
            Join::NoteLifeline,
        )
    });
    let Process {
        number,
        pidfds: [pidfd, other_pidfd],
        root,
        working_directory,
        groups,
        has_another_root,
        ..
    } = process;
    if forks {
        let why = "a process keeps its number, and its children are born where this says: among those of that namespace";
        before.push(step(
            why,
            Join::Namespaces { process: number, pidfd, kinds: first, is_first: true, is_root },
        ));
    }
    let mut inside: Vec<Step<Call>> = noting.into_iter().collect();
    inside.extend(groups.into_iter().map(|group| {
        let entering =
            step("it uses what the others there use, and is limited with them", Join::EnterGroup(group));
        // Elsewhere than in a delegated tree nobody but root may move a process, and the kernel's limits hold anyway.
        if is_root { entering } else { entering.optional() }
    }));
    if !rest.is_empty() {
        let why = "see what that process sees: every namespace in which it is not where we are, at once";
        inside.push(step(
            why,
            Join::Namespaces { process: number, pidfd: other_pidfd, kinds: rest, is_first: !forks, is_root },
        ));
    }
    let (why, root) = match has_another_root {
        true => ("paths begin where they begin for that process, and so does the program", Some(root)),
        false => ("begin where that process is, in the root that both have", None),
    };
    inside.push(step(why, Join::Root { process: number, root, working_directory }));
    inside.extend(privileges);
    Ok(Joining { before, forks, inside })
}

fn refuse(process: &Process) -> Result<(), Failure> {
    let number = process.number;
    if let Some(group) = &process.frozen {
        let group = group.display();
        return Err(Failure::new(format!("--join {number}: its control group {group} is frozen"))
            .why("it uses what the others there use, and is limited with them")
            .hint(format!("the program would be, too, before it does anything: cgset --thaw {group}")));
    }
    if process.ids.is_none() && !process.has_our_ids {
        return Err(Failure::new(format!("--join {number}: its user namespace has no map yet"))
            .why(WHY_IDS)
            .hint("whoever made that namespace writes /proc/PID/uid_map and gid_map: try again when that is done"));
    }
    Ok(())
}

const WHY_IDS: &str = "be who that process is, and no more";

/// What the program must not get from this side.
fn leaving(keep_environment: bool, process: &Process) -> Vec<Step<Call>> {
    let mut steps = vec![
        step("who is in there already must not look into this process while it enters", Join::ForbidTracing),
        step("an open file of this side would be a way back to it", Join::CloseDescriptors),
        step("keys of this session would be in reach: begin one without any", Join::SessionKeyring),
    ];
    if !keep_environment {
        let uid = process.ids.map_or(process.status.uid, |(uid, _)| uid);
        let mut pairs: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), DEFAULT_PATH.into()),
            ("HOME".into(), if uid == 0 { "/root" } else { "/" }.into()),
        ];
        pairs.extend(process.terminal.clone().map(|value| ("TERM".into(), value)));
        steps.push(step(
            "variables of this side may hold its secrets, and name its paths",
            Join::SetEnvironment(pairs),
        ));
    }
    steps
}

/// From the rights this process has, once it has joined, to those of the other.
fn privileges(process: &Process, is_root: bool) -> Vec<Step<Call>> {
    let own = &process.own;
    let in_other_users = process.differs.contains(&Kind::User);
    let allowed = process.allowed();
    let mut steps = Vec::new();
    // Joining a user namespace gives every capability in it.
    let bounding = if in_other_users { CapSet::ALL } else { own.bounding };
    // What root does not have now it would get by an exec, from the bounding set.
    let uid = process.ids.map_or(own.uid, |(uid, _)| uid);
    let kept =
        if uid == 0 { process.status.bounding.and(allowed.permitted) } else { process.status.bounding };
    if bounding.without(kept) != CapSet::NONE {
        steps.push(step(
            "no program started from here gets a capability that process has not",
            Join::DropBounding(kept),
        ));
    }
    let changes_ids = in_other_users || !process.has_our_ids;
    if let Some((uid, gid)) = process.ids.filter(|_| changes_ids) {
        let drop_groups = !is_root && !process.keeps_groups;
        let keep = uid != 0 && allowed.permitted != CapSet::NONE;
        steps.push(step(WHY_IDS, Join::SetIds { uid, gid, drop_groups, keep }));
    }
    if in_other_users || changes_ids || own.capabilities != allowed {
        steps.push(step(
            "have the capabilities that process has, and no other",
            Join::SetCapabilities(allowed),
        ));
    }
    if process.status.no_new_privs && !own.no_new_privs {
        steps.push(step(
            "set-user-ID bits raise nobody in there, so they raise nobody here",
            Join::SetNoNewPrivs,
        ));
    }
    if !steps.is_empty() {
        steps.push(step(
            "the kernel forgets this with a change of ids: die when the waiting parent dies",
            Join::RenewLifeline,
        ));
    }
    steps
}

#[cfg(test)]
mod tests;
