//! Each call as strace prints it.

use super::Call;
use crate::device_bpf;
use crate::group;
use crate::label;
use crate::mark::{MARK_OF_ROOT, MARK_OF_USERS};
use chain::quoted;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::EnableControllers { directory, names } => {
                let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
                write!(f, "write({}, \"{}\")", in_group(directory, "cgroup.subtree_control"), text.join(" "))
            }
            Call::MakeGroup { directory, mark, by_root, is_held } => {
                let name = if *by_root { MARK_OF_ROOT } else { MARK_OF_USERS };
                let (directory, mark) = (quoted(directory), mark.text());
                writeln!(f, "mkdir({directory}, 0755)")?;
                if *is_held {
                    writeln!(f, "flock({directory}, LOCK_EX|LOCK_NB)")?;
                }
                write!(f, "setxattr({directory}, {name:?}, \"{mark}\")")
            }
            Call::SetLabel { key, values } => {
                each(f, values, |(one, value)| label::call(one, key, value.as_deref()))
            }
            Call::WriteKnob { path, value, .. } => write!(f, "write({}, {})", quoted(path), quoted(value)),
            Call::SetDevices { directory, rules, before } => {
                f.write_str(&device_bpf::told(directory, rules, *before))
            }
            Call::RestoreDevices { directory } => {
                write!(f, "bpf(BPF_PROG_ATTACH, {{target_fd={}, {{the program before}}}})", quoted(directory))
            }
            Call::MoveMembers { from, to } => {
                let (from, to) = (in_group(from, "cgroup.procs"), in_group(to, "cgroup.procs"));
                write!(f, "write({to}, {{each of {from}}})")
            }
            Call::MoveProcess { found, groups } => each(f, groups, |group| {
                format!("write({}, \"{}\")", in_group(group, "cgroup.procs"), found.process)
            }),
            Call::Join { doors } => each(f, doors, |door| format!("write({}, \"0\")", quoted(door))),
            Call::EndMembers { home, .. } => {
                write!(f, "kill({{each of {} and below}}, SIGKILL)", in_group(home, "cgroup.procs"))
            }
            Call::RemoveGroup { directories, .. } => {
                each(f, directories, |(_, one): &(PathBuf, PathBuf)| format!("rmdir({})", quoted(one)))
            }
            Call::SetFrozen { directory, version, frozen } => {
                let (file, freeze, thaw) = group::freezer_file(*version);
                let value = if *frozen { freeze } else { thaw };
                write!(f, "write({}, \"{value}\")", in_group(directory, file))
            }
            Call::Report(call) => call.fmt(f),
            Call::Print(call) => call.fmt(f),
            Call::Mount(call) => call.fmt(f),
        }
    }
}

/// A file of a group, in quotes.
fn in_group(group: &Path, file: &str) -> String {
    quoted(group.join(file))
}

/// Several requests, a line for each.
fn each<T>(f: &mut fmt::Formatter, all: &[T], told: impl Fn(&T) -> String) -> fmt::Result {
    f.write_str(&all.iter().map(told).collect::<Vec<_>>().join("\n"))
}
