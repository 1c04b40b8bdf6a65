//! The story: how a directory or an image becomes the root, and what the program is left with.

use crate::call::{At, Call, Names};
use crate::cli::Cli;
use crate::facts::Facts;
use crate::idmap::IdRange;
use crate::mountfd::{Attributes, FileSystem};
use crate::privileges::Privilege;
use crate::program::{environment, program};
use crate::source::{Extra, Source};
use crate::{image, mask};
use anyhow::Result;
use chain::{CapSet, Made, Plan, Step};
use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

const CLOSED: Attributes = Attributes::NO_SUID.and(Attributes::NO_DEV).and(Attributes::NO_EXEC);

/// Decides everything; does nothing.
///
/// # Errors
/// A capability that does not exist.
pub fn plan(cli: Cli, facts: Facts) -> Result<Plan<Call>> {
    let program = program(&cli, &facts);
    let environment = environment(&cli, &facts);
    let kept = kept_capabilities(&cli, &facts)?;

    let mut steps = vec![
        Step::new(
            "a copy of the mount table, so that no mount made in here is made on the host",
            Call::UnshareMounts,
        ),
        Step::new(
            "the copy is still tied to the original wherever that is shared: cut it, both ways",
            Call::MakePrivate,
        ),
    ];
    if let Some(range) = facts.userns {
        steps.push(Step::new(
            "users of its own, made now because mounts take their map: root in here is nobody outside",
            Call::MakeUserns(range),
        ));
    }
    steps.extend(root_steps(&cli, &facts));
    if !cli.bare {
        steps.extend(kernel_mounts(&cli, &facts));
    }
    for extra in &facts.extras {
        steps.extend(extra_steps(extra, &facts));
    }
    steps.extend(facts.resolver.as_ref().map(|text| resolver_step(text, &facts)));
    if !cli.bare {
        steps.extend(before_the_pivot(&facts, environment));
    }
    steps.push(Step::new("the new root becomes /, and the old one ends up stacked on it", Call::PivotRoot));
    steps.push(Step::new(
        "let go of the old root, lazily because it is in use: from here on no path leads to the host",
        Call::DetachOldRoot,
    ));
    if let Some(directory) = &cli.workdir {
        steps.push(Step::new(
            "begin where it was asked for, found in the new root",
            Call::ChangeDirectory(PathBuf::from(directory)),
        ));
    }
    if !cli.bare {
        steps.extend(privilege_steps(&cli, facts, kept));
    }
    Ok(Plan { steps, fork: None, program: Some(program), made: Made::default() })
}

/// The root as a mount by itself, and this process standing in it.
fn root_steps(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let dead = if cli.bare || cli.privileged {
        Attributes::NONE
    } else {
        Attributes::NO_SUID.and(Attributes::NO_DEV)
    };
    let attributes = if cli.read_only { dead.and(Attributes::READ_ONLY) } else { dead };
    let mut steps = tree_steps(&facts.root, At::Root, attributes, facts.userns, facts.parking[0]);
    steps.push(Step::new(
        "attach it over / of our own mount table, the only place it is ever attached, and stand in it",
        Call::AttachRoot,
    ));
    steps
}

/// A detached mount of `source`, with its attributes.
fn tree_steps(
    source: &Source,
    at: At,
    attributes: Attributes,
    idmap: Option<IdRange>,
    parking: &'static str,
) -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    match source {
        Source::Directory(path) | Source::File(path) => {
            steps.push(Step::new(
                "take the files as a mount by itself, attached nowhere yet",
                Call::CopyTree { from: path.clone(), at: at.clone() },
            ));
            if attributes != Attributes::NONE {
                steps.push(Step::new(why_attributes(attributes), Call::SetAttributes { attributes, at }));
            }
        }
        Source::Image { path, file_system } => {
            let read_only = attributes.and(Attributes::READ_ONLY) == attributes
                || image::is_always_read_only(file_system);
            steps.push(Step::new("a file becomes a block device, locked against a second writer; the kernel takes it away with its last user", Call::AttachLoop { image: path.clone(), read_only }));
            steps.push(mount_step(source, at, device_fs(file_system, attributes, read_only), parking));
        }
        Source::Device { file_system, .. } => {
            let read_only = attributes.and(Attributes::READ_ONLY) == attributes
                || image::is_always_read_only(file_system);
            steps.push(mount_step(source, at, device_fs(file_system, attributes, read_only), parking));
        }
        Source::Memory(options) => {
            let mut fs = FileSystem::new("tmpfs", attributes);
            fs.options.clone_from(options);
            if let Some(range) = idmap {
                fs = fs.with("uid", range.outer.to_string()).with("gid", range.outer.to_string());
            }
            steps.push(Step::new(
                "an empty file system in memory, attached nowhere yet",
                Call::MountSource { fs, source: source.clone(), at, parking },
            ));
            return steps;
        }
    }
    if let Some(range) = idmap {
        steps.push(Step::new(
            "files keep the owners they have on the disk, and those become ids of the new users",
            Call::IdmapMount(range),
        ));
    }
    steps
}

fn why_attributes(attributes: Attributes) -> &'static str {
    let is_read_only = attributes.and(Attributes::READ_ONLY) == attributes;
    let is_dead = attributes.and(Attributes::NO_SUID) == attributes;
    match (is_read_only, is_dead) {
        (true, true) => {
            "nothing in it nor below it can be written, and set-user-ID bits and device nodes are dead"
        }
        (true, false) => "nothing in it nor below it can be written",
        _ => "what lies in it may not raise privileges: set-user-ID bits and device nodes are dead",
    }
}

fn device_fs(kind: &'static str, attributes: Attributes, read_only: bool) -> FileSystem {
    let mut fs = FileSystem::new(kind, attributes);
    if read_only {
        fs.options.push(("ro", None));
    }
    fs
}

fn mount_step(source: &Source, at: At, fs: FileSystem, parking: &'static str) -> Step<Call> {
    Step::new(
        "the file system on it becomes a mount by itself, attached nowhere yet",
        Call::MountSource { fs, source: source.clone(), at, parking },
    )
}

fn extra_steps(extra: &Extra, facts: &Facts) -> Vec<Step<Call>> {
    let idmap = facts.userns.filter(|_| extra.idmap || matches!(extra.source, Source::Memory(_)));
    let mut steps =
        tree_steps(&extra.source, At::Below(extra.at.clone()), extra.attributes, idmap, facts.parking[0]);
    let is_directory = !matches!(extra.source, Source::File(_));
    steps.push(Step::new(
        "attach it where it was asked for, a path that cannot lead out of the new root",
        Call::Attach { at: extra.at.clone(), is_directory },
    ));
    steps
}

fn resolver_step(text: &str, facts: &Facts) -> Step<Call> {
    let fs = owned(FileSystem::new("tmpfs", CLOSED), facts).with("mode", "0755").with("size", "16k");
    Step::new(
        "names are asked of servers that answer in here; a file in memory, so the root's own stays as it is",
        Call::ShowResolver { text: text.to_owned(), fs, parking: facts.parking[1] },
    )
}

/// A tmpfs whose root directory belongs to the new users, where there are any.
fn owned(fs: FileSystem, facts: &Facts) -> FileSystem {
    match facts.userns {
        Some(range) => fs.with("uid", range.outer.to_string()).with("gid", range.outer.to_string()),
        None => fs,
    }
}

/// /proc, /dev and /sys.
fn kernel_mounts(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let shut = |why, call: fn(Names) -> Call, base, names| Step::new(why, call(Names { base, names }));
    let mut steps = vec![Step::new(
        "programs look themselves up in /proc; a new one shows the PID namespace of who mounts it",
        Call::MountNew { fs: FileSystem::new("proc", CLOSED), at: "/proc" },
    )];
    if cli.privileged {
        for path in ["/dev", "/sys"] {
            steps.push(Step::new(
                "privileged: the host's own, with all that is mounted on it",
                Call::CopyTree { from: path.into(), at: At::Below(path.into()) },
            ));
            steps.push(Step::new(
                "attach it where programs expect it",
                Call::Attach { at: path.into(), is_directory: true },
            ));
        }
        return steps;
    }
    steps.push(shut(
        "these tell of the whole machine, or pull its levers: show /dev/null instead",
        Call::HideFiles,
        "/proc",
        mask::PROC_FILES,
    ));
    steps.push(shut(
        "and these directories: show an empty one instead",
        Call::HideDirectories,
        "/proc",
        mask::PROC_DIRECTORIES,
    ));
    steps.push(shut(
        "settings of the kernel are for reading here, not for writing",
        Call::MakeReadOnly,
        "/proc",
        mask::PROC_READ_ONLY,
    ));
    steps.extend(dev_steps(facts));
    if facts.own_net {
        steps.push(Step::new(
            "/sys shows the network namespace it is mounted from: a new one for the new network, for reading",
            Call::MountNew { fs: FileSystem::new("sysfs", CLOSED.and(Attributes::READ_ONLY)), at: "/sys" },
        ));
        steps.push(shut(
            "firmware, modules, tracing and power meters are the host's affair",
            Call::HideDirectories,
            "/sys",
            mask::SYS_DIRECTORIES,
        ));
    }
    steps
}

fn dev_steps(facts: &Facts) -> Vec<Step<Call>> {
    let first_id = facts.userns.map_or(0, |range| range.outer);
    let mount = |why, fs, at| Step::new(why, Call::MountNew { fs, at });
    let dev = FileSystem::new("tmpfs", CLOSED).with("mode", "0755").with("size", "64k");
    let pts = FileSystem::new("devpts", Attributes::NO_SUID.and(Attributes::NO_EXEC))
        .with("ptmxmode", "0666")
        .with("mode", "0620");
    let pts = if facts.has_tty_group { pts.with("gid", (first_id + 5).to_string()) } else { pts };
    let shm = FileSystem::new("tmpfs", CLOSED).with("mode", "1777").with("size", "64m");
    let mut steps = vec![
        mount(
            "an empty /dev hides the image's own, whose nodes could be any device",
            owned(dev, facts),
            "/dev",
        ),
        Step::new("the six devices every program expects, each bound from the host by itself", Call::FillDev),
        mount("terminals of its own, numbered from 0", pts, "/dev/pts"),
        mount("shared memory of its own", owned(shm, facts), "/dev/shm"),
    ];
    if facts.own_ipc {
        steps.push(mount(
            "the message queues of the new IPC namespace",
            FileSystem::new("mqueue", CLOSED),
            "/dev/mqueue",
        ));
    }
    steps
}

/// What is given up while the host's files are still in reach: none of it needs them.
fn before_the_pivot(facts: &Facts, environment: Vec<(OsString, OsString)>) -> Vec<Step<Call>> {
    let step = |why, privilege| Step::new(why, Call::Privilege(privilege));
    let mut steps = Vec::new();
    if let Some(user) = &facts.user {
        steps
            .push(step("names mean the new root's users, not the host's", Privilege::FindUser(user.clone())));
    }
    steps.push(step(
        "what the caller ignores or blocks is no business of the program's",
        Privilege::ResetSignals,
    ));
    steps.push(step(
        "variables of the host may hold its secrets, and name its paths",
        Privilege::SetEnvironment(environment),
    ));
    steps.push(step(
        "keys of the host's session would be in reach: begin a session without any",
        Privilege::JoinSessionKeyring,
    ));
    steps.push(
        step("a core dump is written by the host, outside of all this: write none", Privilege::LimitCore)
            .optional(),
    );
    steps.push(step("files are made with the usual mode, whatever the caller's was", Privilege::SetUmask));
    steps
}

/// What is given up last, because the steps before needed it.
fn privilege_steps(cli: &Cli, facts: Facts, kept: CapSet) -> Vec<Step<Call>> {
    let step = |why, privilege| Step::new(why, Call::Privilege(privilege));
    let is_user = facts.user.as_ref().is_some_and(|user| !user.is_root());
    let changes_ids = facts.user.is_some() || facts.userns.is_some();
    let ambient = is_user && kept != CapSet::NONE;
    let mut steps = Vec::new();
    if let Some(range) = facts.userns {
        steps.push(step("everything around is the host's and stays so: even all capabilities of the new users reach none of it", Privilege::JoinUserns(range)));
    }
    if !cli.privileged {
        steps.push(step(
            "no program started from here on can ever have other capabilities than these",
            Privilege::DropBounding(kept),
        ));
    }
    steps.push(match facts.may_set_groups {
        true => step("groups of the caller would open the host's files to it", Privilege::ClearGroups),
        false => step(
            "groups of the caller stay: a user namespace made without privileges may not give any up",
            Privilege::KeepGroups,
        ),
    });
    if changes_ids {
        steps.push(step("be who was asked for", Privilege::SetIds { keep: ambient }));
    }
    if !cli.privileged {
        steps.push(step(
            "keep these capabilities and no others, and hand none down by inheritance",
            Privilege::SetCapabilities { set: kept, ambient },
        ));
        steps.push(step(
            "no set-user-ID program and no file capability gives any back",
            Privilege::SetNoNewPrivs,
        ));
    }
    if let Some(lifeline) = facts.lifeline.filter(|_| changes_ids) {
        steps.push(step(
            "the kernel forgets this with a change of ids: die when the waiting parent dies",
            Privilege::RenewLifeline(lifeline),
        ));
    }
    steps.push(step(
        "an open directory of the host would be a way out: keep no descriptor that was not asked for",
        Privilege::CloseDescriptors(facts.keep.into_iter().map(ManuallyDrop::new).collect()),
    ));
    steps
}

/// Root keeps the default, anybody else none; with what was added and without what was dropped. A name counts
/// for more than ALL: it can be added where ALL is dropped, and dropped where ALL is added, which is all that there are.
fn kept_capabilities(cli: &Cli, facts: &Facts) -> Result<CapSet> {
    let sets = |names: &[String]| names.iter().map(|name| CapSet::parse(name)).collect::<Result<Vec<_>>>();
    let union = |sets: &[CapSet]| sets.iter().fold(CapSet::NONE, |set, other| set.with(*other));
    let (added, dropped) = (sets(&cli.cap_add)?, sets(&cli.cap_drop)?);
    let by_name: Vec<CapSet> = dropped.iter().copied().filter(|set| *set != CapSet::ALL).collect();
    let is_root = facts.user.as_ref().is_none_or(|user| user.is_root());
    let base = match is_root && !dropped.contains(&CapSet::ALL) {
        true => CapSet::default_of_root(),
        false => CapSet::NONE,
    };
    let wanted = if added.contains(&CapSet::ALL) { facts.permitted } else { base.with(union(&added)) };
    Ok(wanted.without(union(&by_name)))
}

#[cfg(test)]
mod tests;
