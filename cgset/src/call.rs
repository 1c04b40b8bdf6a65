//! Every call cgset makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no.

mod doing;
mod told;

use crate::device_bpf::{self, Programs};
use crate::group;
use crate::knobs::device::Rules;
use crate::label;
use crate::mark::Mark;
use crate::mounting::MountCall;
use crate::moving::{self, Found};
use crate::printing::PrintCall;
use crate::report::{Kept, ReportCall};
use crate::tree::Version;
use chain::{Answer, Ended, Refusal, Shell};
pub use doing::write_file;
use doing::{end_members, left_if_busy, make, move_members, refusal_at, remove, write_knob};
use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::unistd::Pid;
use std::fs::File;
use std::path::PathBuf;

/// A call; each variant is named after the system call or the file.
#[derive(Debug)]
pub enum Call {
    /// `cgroup.subtree_control`
    EnableControllers { directory: PathBuf, names: Vec<String> },
    /// mkdir(2), flock(2) of it where somebody is to wait, setxattr(2)
    MakeGroup { directory: PathBuf, mark: Mark, by_root: bool, is_held: bool },
    /// setxattr(2) or removexattr(2) of the group's directories
    SetLabel { key: String, values: Vec<(PathBuf, Option<Vec<u8>>)> },
    /// A file of the group
    WriteKnob { path: PathBuf, value: String, if_there: bool },
    /// bpf(2): a program that judges by rules, in place of the one `before`
    SetDevices { directory: PathBuf, rules: Rules, before: Option<u32> },
    /// bpf(2): the one that judged before
    RestoreDevices { directory: PathBuf },
    /// `cgroup.procs`, a write for each process
    MoveMembers { from: PathBuf, to: PathBuf },
    /// `cgroup.procs` of each group
    MoveProcess { found: Found, groups: Vec<PathBuf> },
    /// `tasks` or `cgroup.procs`: 0 is the one who writes
    Join { doors: Vec<PathBuf> },
    /// `cgroup.kill`, or kill(2) of each while they are frozen
    EndMembers { name: String, home: PathBuf, freezer: Option<(PathBuf, Version)>, say_so: bool },
    /// rmdir(2) in each hierarchy, and of what was made on the way
    RemoveGroup { directories: Vec<(PathBuf, PathBuf)>, leave_if_busy: bool, with_inner: bool },
    /// `freezer.state` or `cgroup.freeze`
    SetFrozen { directory: PathBuf, version: Version, frozen: bool },
    /// What the parent that waits does for its report
    Report(ReportCall),
    /// What is shown on stdout
    Print(PrintCall),
    /// A hierarchy comes or goes
    Mount(MountCall),
}

/// What one call keeps for others.
#[derive(Default)]
pub struct State {
    /// Of the group in each hierarchy, held until this process ends: nobody else takes it over or removes it.
    locks: Vec<Flock<File>>,
    report: Kept,
    /// What judges about devices now, and what did before.
    devices: Programs,
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
    }

    fn is_quick(&self) -> bool {
        match self {
            Call::EnableControllers { .. }
            | Call::MakeGroup { .. }
            | Call::SetLabel { .. }
            | Call::WriteKnob { .. }
            | Call::SetDevices { .. }
            | Call::MoveMembers { .. }
            | Call::MoveProcess { .. }
            | Call::Join { .. } => true,
            Call::Report(call) => call.is_quick(),
            _ => false,
        }
    }

    fn is_self_contained(&self) -> bool {
        matches!(self, Call::Join { .. })
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::EnableControllers { directory, names } => {
                let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
                return write_file(&directory.join("cgroup.subtree_control"), &text.join(" "));
            }
            Call::MakeGroup { directory, mark, by_root, is_held } => {
                let locks = is_held.then_some(&mut state.locks);
                return make(directory, *mark, *by_root, locks);
            }
            Call::SetLabel { key, values } => {
                label::set_all(key, values)?;
            }
            Call::WriteKnob { path, value, if_there } => {
                return match write_knob(path, value) {
                    Err(Refusal { errno: Some(Errno::ENOENT), .. }) if *if_there => Ok(Answer::AlreadyThere),
                    answer => answer,
                };
            }
            Call::SetDevices { directory, rules, before } => {
                let (answer, programs) = device_bpf::set(directory, rules, *before)?;
                state.devices = programs;
                return Ok(answer);
            }
            Call::RestoreDevices { directory } => return device_bpf::restore(directory, &state.devices),
            Call::MoveMembers { from, to } => move_members(from, to)?,
            Call::MoveProcess { found, groups } => moving::move_process(found, groups)?,
            Call::Join { doors } => {
                for door in doors {
                    write_file(door, "0").map_err(|refusal| refusal_at(door, "0", refusal))?;
                }
                return Ok(Answer::Made("1".into()));
            }
            Call::EndMembers { name, home, freezer, say_so } => {
                let freezer = freezer.as_ref().map(|(directory, version)| (directory.as_path(), *version));
                return end_members(home, freezer, say_so.then_some(name.as_str()));
            }
            Call::RemoveGroup { directories, leave_if_busy, with_inner } => {
                let answer = remove(directories, *with_inner, state);
                return if *leave_if_busy { left_if_busy(answer) } else { answer };
            }
            Call::SetFrozen { directory, version, frozen } => {
                group::set_frozen(directory, *version, *frozen)?
            }
            Call::Report(call) => return call.run(&mut state.report),
            Call::Print(call) => return call.run(),
            Call::Mount(call) => return call.run(),
        }
        Ok(Answer::zero())
    }

    fn born(state: &mut State, _child: Pid, at: std::time::Instant) {
        state.report.notes.born(at);
    }

    fn ended(state: &mut State, how: &Ended) {
        state.report.notes.ended(*how);
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        crate::hint::of(self, refusal)
    }
}
