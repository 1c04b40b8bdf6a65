//! Every call cgset makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what
//! to do when the kernel says no.

mod doing;
mod told;

use crate::controllers::{self, Controller};
use crate::device_bpf::{self, Programs};
use crate::group::{self, listed};
use crate::knobs::device::Rules;
use crate::label;
use crate::listing;
use crate::mark::Mark;
use crate::mounting;
use crate::moving::{self, Found};
use crate::stat;
use crate::tree::{Hierarchy, Version};
use crate::usage::{self, Notes, Target};
use chain::{Answer, Ended, Refusal, Shell, print_data, say};
pub use doing::write_file;
use doing::{make, move_members, refusal_at, remove, write_knob};
use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::mount::{MntFlags, umount2};
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
    /// `memory.oom_control` or `memory.events`
    ReportOom { name: String, directory: PathBuf, version: Version },
    /// The files that count, before or after the program
    ReadUsage { groups: Vec<(Hierarchy, PathBuf)>, is_over: bool },
    /// open(2) of the file for the report; of a FIFO, which waits for who reads it, a handle only
    OpenReport { file: PathBuf, is_fifo: bool },
    /// unlink(2) of one that was made
    RemoveReport { file: PathBuf },
    /// write(2) of the report
    WriteReport { name: String, file: Option<PathBuf> },
    /// `cgroup.kill`, or kill(2) of each while they are frozen
    EndMembers { name: String, home: PathBuf, freezer: Option<(PathBuf, Version)>, say_so: bool },
    /// rmdir(2) in each hierarchy, and of what was made on the way
    RemoveGroup { directories: Vec<(PathBuf, PathBuf)>, leave_if_busy: bool, with_inner: bool },
    /// `freezer.state` or `cgroup.freeze`
    SetFrozen { directory: PathBuf, version: Version, frozen: bool },
    /// `cgroup.procs`
    PrintMembers { directories: Vec<PathBuf> },
    /// `cgroup.procs` of every group
    PrintTree { hierarchies: Vec<Hierarchy>, group: PathBuf, json: bool },
    /// mkdir(2) of a mount point
    MakeDirectory { directory: PathBuf },
    /// rmdir(2) of one that was made
    RemoveDirectory { directory: PathBuf },
    /// mount(2)
    MountHierarchy { controllers: Vec<String>, directory: PathBuf, is_new: bool },
    /// umount2(2)
    UnmountHierarchy { directory: PathBuf },
    /// `/proc/self/cgroup`
    AwaitRelease { controllers: Vec<String>, directory: PathBuf },
    /// `/proc/cgroups`
    PrintControllers { controllers: Vec<Controller>, json: bool },
    /// The files that count
    PrintStat { name: String, groups: Vec<(Hierarchy, PathBuf)>, json: bool },
}

/// What one call keeps for others.
#[derive(Default)]
pub struct State {
    /// Of the group in each hierarchy, held until this process ends: nobody else takes it over or removes it.
    locks: Vec<Flock<File>>,
    /// What is to be reported, and where to.
    notes: Notes,
    report: Option<Target>,
    /// What judges about devices now, and what did before.
    devices: Programs,
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
    }

    fn is_quick(&self) -> bool {
        matches!(
            self,
            Call::EnableControllers { .. }
                | Call::MakeGroup { .. }
                | Call::SetLabel { .. }
                | Call::WriteKnob { .. }
                | Call::SetDevices { .. }
                | Call::MoveMembers { .. }
                | Call::MoveProcess { .. }
                | Call::Join { .. }
                | Call::ReadUsage { .. }
                | Call::OpenReport { .. }
        )
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
            Call::ReportOom { name, directory, version } => {
                let before = state.notes.oom_kills_before();
                if let Some(line) = stat::oom_line(name, directory, *version, before) {
                    say(&line);
                }
            }
            Call::ReadUsage { groups, is_over } => state.notes.read(groups, *is_over),
            Call::OpenReport { file, is_fifo } => {
                let (answer, target) = usage::open_report(file, *is_fifo)?;
                state.report = Some(target);
                return Ok(answer);
            }
            Call::RemoveReport { file } => std::fs::remove_file(file)?,
            Call::WriteReport { name, .. } => {
                return usage::write_report(&state.notes, name, state.report.take());
            }
            Call::EndMembers { name, home, freezer, say_so } => {
                let freezer = freezer.as_ref().map(|(directory, version)| (directory.as_path(), *version));
                let ended = group::end_members(home, freezer)?;
                if *say_so && !ended.is_empty() {
                    say(&format!(
                        "cgset: {name}: still in the group when the program had ended, and killed: {}\n",
                        listed(&ended)
                    ));
                }
                if ended.is_empty() {
                    return Ok(Answer::AlreadyThere);
                }
            }
            Call::RemoveGroup { directories, leave_if_busy, with_inner } => {
                return match remove(directories, *with_inner, state) {
                    Err(Refusal { errno: Some(Errno::EWOULDBLOCK | Errno::EBUSY), .. }) if *leave_if_busy => {
                        Ok(Answer::AlreadyThere)
                    }
                    answer => answer,
                };
            }
            Call::SetFrozen { directory, version, frozen } => {
                group::set_frozen(directory, *version, *frozen)?
            }
            Call::PrintMembers { directories } => {
                let mut all: Vec<u32> = directories.iter().flat_map(|one| group::members(one)).collect();
                all.sort_unstable();
                all.dedup();
                let text: String = all.iter().map(|process| format!("{process}\n")).collect();
                print_data(text.as_bytes())?;
                return Ok(Answer::Made(format!("{} processes", all.len())));
            }
            Call::MakeDirectory { directory } => return mounting::make_directory(directory),
            Call::RemoveDirectory { directory } => return mounting::remove_directory(directory),
            Call::MountHierarchy { controllers, directory, is_new } => {
                mounting::mount_hierarchy(controllers, directory, *is_new)?;
            }
            Call::UnmountHierarchy { directory } => umount2(directory, MntFlags::UMOUNT_NOFOLLOW)?,
            Call::AwaitRelease { controllers, directory } => {
                return mounting::await_release(controllers, directory);
            }
            Call::PrintControllers { controllers, json } => {
                print_data(controllers::text(controllers, *json).as_bytes())?;
            }
            Call::PrintTree { hierarchies, group, json } => {
                print_data(listing::text(hierarchies, group, *json).as_bytes())?;
            }
            Call::PrintStat { name, groups, json } => {
                print_data(stat::of(name, groups).text(*json).as_bytes())?;
            }
        }
        Ok(Answer::zero())
    }

    fn born(state: &mut State, _child: Pid) {
        state.notes.born();
    }

    fn ended(state: &mut State, how: &Ended) {
        state.notes.ended(*how);
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        crate::hint::of(self, refusal)
    }
}
