//! Each call as strace prints it.

use super::Call;
use crate::controllers::OWN_CGROUPS;
use crate::device_bpf;
use crate::group;
use crate::label;
use crate::mark::{MARK_OF_ROOT, MARK_OF_USERS};
use crate::mounting::{SOURCE, options};
use crate::moving::Found;
use crate::stat;
use chain::quoted;
use std::fmt::{self, Display};

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::EnableControllers { directory, names } => {
                let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
                write!(
                    f,
                    "write({}, \"{}\")",
                    quoted(directory.join("cgroup.subtree_control")),
                    text.join(" ")
                )
            }
            Call::MakeGroup { directory, mark, by_root, is_held } => {
                let name = if *by_root { MARK_OF_ROOT } else { MARK_OF_USERS };
                let directory = quoted(directory);
                let flock =
                    is_held.then(|| format!("flock({directory}, LOCK_EX|LOCK_NB)\n")).unwrap_or_default();
                write!(
                    f,
                    "mkdir({directory}, 0755)\n{flock}setxattr({directory}, {name:?}, \"{}\")",
                    mark.text()
                )
            }
            Call::SetLabel { key, values } => {
                let lines: Vec<String> =
                    values.iter().map(|(one, value)| label::call(one, key, value.as_deref())).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::WriteKnob { path, value, .. } => write!(f, "write({}, {})", quoted(path), quoted(value)),
            Call::SetDevices { directory, rules, before } => {
                f.write_str(&device_bpf::told(directory, rules, *before))
            }
            Call::RestoreDevices { directory } => {
                write!(f, "bpf(BPF_PROG_ATTACH, {{target_fd={}, {{the program before}}}})", quoted(directory))
            }
            Call::MoveMembers { from, to } => {
                write!(
                    f,
                    "write({}, {{each of {}}})",
                    quoted(to.join("cgroup.procs")),
                    quoted(from.join("cgroup.procs"))
                )
            }
            Call::MoveProcess { found: Found { process, .. }, groups } => {
                let doors = groups.iter().map(|group| quoted(group.join("cgroup.procs")));
                let lines: Vec<String> = doors.map(|door| format!("write({door}, \"{process}\")")).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::Join { doors } => {
                let lines: Vec<String> =
                    doors.iter().map(|door| format!("write({}, \"0\")", quoted(door))).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::ReportOom { directory, version, .. } => {
                write!(f, "read({})", quoted(directory.join(stat::oom_file(*version))))
            }
            Call::ReadUsage { groups, .. } => {
                let lines: Vec<String> = groups
                    .iter()
                    .map(|(_, one)| format!("read({{the counters in {}}})", quoted(one)))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
            Call::OpenReport { file, is_fifo: true } => write!(f, "open({}, O_PATH)", quoted(file)),
            Call::OpenReport { file, .. } => write!(f, "open({}, O_WRONLY|O_CREAT, 0666)", quoted(file)),
            Call::RemoveReport { file } => write!(f, "unlink({})", quoted(file)),
            Call::WriteReport { file, .. } => match file {
                Some(file) => write!(f, "write({}, {{the report}})", quoted(file)),
                None => f.write_str("write(2, {the report})"),
            },
            Call::EndMembers { home, .. } => {
                write!(f, "kill({{each of {} and below}}, SIGKILL)", quoted(home.join("cgroup.procs")))
            }
            Call::RemoveGroup { directories, .. } => {
                let lines: Vec<String> =
                    directories.iter().map(|(_, one)| format!("rmdir({})", quoted(one))).collect();
                f.write_str(&lines.join("\n"))
            }
            Call::SetFrozen { directory, version, frozen } => {
                let (file, freeze, thaw) = group::freezer_file(*version);
                write!(
                    f,
                    "write({}, \"{}\")",
                    quoted(directory.join(file)),
                    if *frozen { freeze } else { thaw }
                )
            }
            Call::PrintMembers { directories } => {
                let lines: Vec<String> = directories
                    .iter()
                    .map(|one| format!("read({})", quoted(one.join("cgroup.procs"))))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
            Call::MakeDirectory { directory } => write!(f, "mkdir({}, 0755)", quoted(directory)),
            Call::RemoveDirectory { directory } => write!(f, "rmdir({})", quoted(directory)),
            Call::MountHierarchy { controllers, directory, .. } => write!(
                f,
                "mount(\"{SOURCE}\", {}, \"cgroup\", MS_NOSUID|MS_NODEV|MS_NOEXEC, {})",
                quoted(directory),
                quoted(options(controllers))
            ),
            Call::UnmountHierarchy { directory } => {
                write!(f, "umount2({}, UMOUNT_NOFOLLOW)", quoted(directory))
            }
            Call::AwaitRelease { controllers, .. } => {
                write!(f, "read(\"{OWN_CGROUPS}\") until {} is on no hierarchy", controllers.join(","))
            }
            Call::PrintControllers { .. } => write!(f, "read(\"/proc/cgroups\")"),
            Call::PrintTree { hierarchies, group, .. } => {
                let lines: Vec<String> = hierarchies
                    .iter()
                    .map(|one| {
                        format!("read({{cgroup.procs of every group in {}}})", quoted(one.mount.join(group)))
                    })
                    .collect();
                f.write_str(&lines.join("\n"))
            }
            Call::PrintStat { groups, .. } => {
                let lines: Vec<String> = groups
                    .iter()
                    .map(|(_, one)| format!("read({{the counters in {}}})", quoted(one)))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}
