//! The calls that keep namespaces on files, list what is kept, and let go of it. Whoever does this stays outside of the
//! namespaces that are kept.

use crate::kept::{Census, Kept, is_own_file};
use crate::list;
use chain::{Answer, Kind, Refusal, Shell, be_root, quoted};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A call; each variant is named after what it does to the directory, or to a file of it.
#[derive(Debug)]
pub enum KeepCall {
    /// mkdir(2)
    MakeDirectory(PathBuf),
    /// mount(2) of a directory on itself
    BindDirectory(PathBuf),
    /// mount(2) of nothing but a propagation
    MakePrivate(PathBuf),
    /// umount2(2) of such mounts, and rmdir(2) if nothing else is in it
    LeaveDirectory { directory: PathBuf, binds: usize, remove: bool },
    /// open(2) of a file that is not there yet, with no permission for anybody
    MakeFile(PathBuf),
    /// unlink(2)
    RemoveFile(PathBuf),
    /// umount2(2) of all that is mounted on a file, and unlink(2)
    LetGo { at: PathBuf, mounts: usize },
    /// mount(2) of a namespace of the child on a file
    Bind { kind: Kind, at: PathBuf },
    /// umount2(2) of a namespace
    Unbind(PathBuf),
    /// unshare(2) again, until the mount namespace is younger than the one with this number
    GrowYounger { than: u64 },
    /// write(2) of the listing
    List { within: Vec<PathBuf>, json: bool },
}

impl Display for KeepCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            KeepCall::MakeDirectory(path) => write!(f, "mkdir({}, 0755)", quoted(path)),
            KeepCall::BindDirectory(path) => {
                write!(f, "mount({0}, {0}, NULL, MS_BIND, NULL)", quoted(path))
            }
            KeepCall::MakePrivate(path) => {
                write!(f, "mount(NULL, {}, NULL, MS_PRIVATE, NULL)", quoted(path))
            }
            KeepCall::LeaveDirectory { directory, binds, remove } => {
                let directory = quoted(directory);
                let mut calls = vec![format!("umount2({directory}, 0)"); *binds];
                calls.extend(remove.then(|| format!("rmdir({directory})")));
                f.write_str(&calls.join("\n"))
            }
            KeepCall::MakeFile(path) => write!(f, "open({}, O_CREAT|O_EXCL, 0)", quoted(path)),
            KeepCall::RemoveFile(path) => write!(f, "unlink({})", quoted(path)),
            KeepCall::Bind { kind, at } => {
                write!(f, "mount(\"/proc/PID/ns/{}\", {}, NULL, MS_BIND, NULL)", kind.file(), quoted(at))
            }
            KeepCall::Unbind(path) => write!(f, "umount2({}, MNT_DETACH)", quoted(path)),
            KeepCall::LetGo { at, mounts } => {
                let at = quoted(at);
                let mut calls = vec![format!("umount2({at}, MNT_DETACH)"); *mounts];
                calls.push(format!("unlink({at})"));
                f.write_str(&calls.join("\n"))
            }
            KeepCall::GrowYounger { than } => {
                write!(
                    f,
                    "ioctl(\"/proc/self/ns/mnt\", NS_GET_MNTNS_ID) > {than}, else unshare(CLONE_NEWNS) again"
                )
            }
            KeepCall::List { .. } => f.write_str("write(1)"),
        }
    }
}

impl KeepCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        let on =
            |words: &[&str], path: &Path| Shell::line(words.iter().map(OsStr::new).chain([path.as_os_str()]));
        match self {
            KeepCall::MakeDirectory(path) => on(&["mkdir", "-m", "755"], path),
            KeepCall::BindDirectory(path) => {
                Shell::line([OsStr::new("mount"), OsStr::new("--bind"), path.as_os_str(), path.as_os_str()])
            }
            KeepCall::MakePrivate(path) => on(&["mount", "--make-private"], path),
            KeepCall::LeaveDirectory { directory, binds, remove } => {
                let line = |command: &str| chain::join([OsStr::new(command), directory.as_os_str()]);
                let mut lines = vec![line("umount"); *binds];
                lines.extend(remove.then(|| line("rmdir")));
                Shell::Line(lines.join(OsStr::new("\n")))
            }
            KeepCall::MakeFile(path) => on(&["install", "-m", "0", "/dev/null"], path),
            KeepCall::RemoveFile(path) => on(&["rm", "-f"], path),
            KeepCall::Bind { kind, at } => {
                let mut option = std::ffi::OsString::from(format!("--{}=", kind.name()));
                option.push(at);
                Shell::enter([OsStr::new("unshare"), &option])
            }
            KeepCall::Unbind(path) => on(&["umount", "--lazy"], path),
            KeepCall::LetGo { at, mounts } => {
                let line = |words: &[&str]| chain::join(words.iter().map(OsStr::new).chain([at.as_os_str()]));
                let mut lines = vec![line(&["umount", "--lazy"]); *mounts];
                lines.push(line(&["rm", "-f"]));
                Shell::Line(lines.join(OsStr::new("\n")))
            }
            KeepCall::GrowYounger { .. } => Shell::Nothing,
            KeepCall::List { json, .. } => {
                Shell::line(["findmnt", "--types", "nsfs"].into_iter().chain(json.then_some("--json")))
            }
        }
    }

    /// Makes the request; `child` is the process whose namespaces are kept.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self, child: Pid) -> Result<Answer, Refusal> {
        match self {
            KeepCall::MakeDirectory(path) => std::fs::DirBuilder::new().mode(0o755).create(path)?,
            KeepCall::BindDirectory(path) => {
                mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            }
            KeepCall::MakePrivate(path) => {
                mount(None::<&str>, path, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>)?;
            }
            KeepCall::LeaveDirectory { directory, binds, remove } => {
                for _ in 0..*binds {
                    umount2(directory, MntFlags::empty())
                        .map_err(|errno| Refusal::at(format!("umount2({}, 0)", quoted(directory)), errno))?;
                }
                if *remove {
                    return gone(std::fs::remove_dir(directory));
                }
            }
            KeepCall::MakeFile(path) => {
                match OpenOptions::new().write(true).create_new(true).mode(0o000).open(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && is_own_file(path) => {
                        return Ok(Answer::AlreadyThere);
                    }
                    answer => drop(answer?),
                }
            }
            KeepCall::RemoveFile(path) => return gone(std::fs::remove_file(path)),
            KeepCall::Bind { kind, at } => {
                let namespace = format!("/proc/{child}/ns/{}", kind.file());
                mount(Some(namespace.as_str()), at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            }
            KeepCall::Unbind(path) => umount2(path, MntFlags::MNT_DETACH)?,
            KeepCall::LetGo { at, mounts } => {
                for _ in 0..*mounts {
                    umount2(at, MntFlags::MNT_DETACH).map_err(|errno| {
                        Refusal::at(format!("umount2({}, MNT_DETACH)", quoted(at)), errno)
                    })?;
                }
                return gone(std::fs::remove_file(at));
            }
            KeepCall::GrowYounger { than } => return grow_younger(*than),
            KeepCall::List { within, json } => return list_within(within, *json),
        }
        Ok(Answer::zero())
    }

    /// The cause and the cure.
    pub fn hint(&self, errno: Errno) -> Option<String> {
        match (self, errno) {
            (KeepCall::List { .. }, _) => None,
            (KeepCall::LeaveDirectory { directory, .. }, Errno::EBUSY) => Some(format!(
                "{} uses it, and nothing is taken from under anybody: forget it once more when it is left",
                who_is_in(directory)
            )),
            (KeepCall::MakeFile(path), Errno::EEXIST) => Some(format!(
                "{} is not of nsexec's making: move it away, or keep the namespaces in another directory",
                quoted(path)
            )),
            (KeepCall::GrowYounger { .. } | KeepCall::Bind { kind: Kind::Mount, .. }, Errno::EINVAL) => Some(
                "a mount namespace is bound in an older one only, and this kernel counts their age on each CPU by itself: try again, and let nsexec run on every CPU".into(),
            ),
            (_, Errno::EPERM | Errno::EACCES) => Some(format!(
                "mounting takes root over this mount namespace: {}, or inside `nsexec -r --mount`, where names last as long as that",
                be_root("CAP_SYS_ADMIN")
            )),
            (_, Errno::EROFS) => Some("the file system may not be written: /run is the usual place".into()),
            _ => None,
        }
    }
}

/// Prints what is kept in these directories, or all.
fn list_within(within: &[PathBuf], json: bool) -> Result<Answer, Refusal> {
    let mut all = Kept::all(&chain::mountinfo());
    let is_within = |kept: &Kept| within.iter().any(|directory| kept.at.starts_with(directory));
    all.retain(|kept| within.is_empty() || is_within(kept));
    let mut kinds: Vec<Kind> = Kind::ALL.to_vec();
    kinds.retain(|kind| all.iter().any(|kept| kept.kind == *kind));
    chain::print_data(list::text(&all, &Census::take(&kinds), json).as_bytes())?;
    Ok(Answer::Made(format!("{} namespaces", all.len())))
}

/// What is away already is as good as removed.
fn gone(answer: std::io::Result<()>) -> Result<Answer, Refusal> {
    match answer {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Answer::AlreadyThere),
        answer => Ok(answer.map(|()| Answer::zero())?),
    }
}

/// Makes the mount namespace of this process again until it is younger than the one of number `than`, in which it shall
/// be bound. Kernels since 6.18 count on each CPU by itself, so it is tried on one after the other: the CPU that made the
/// elder makes a younger one.
fn grow_younger(than: u64) -> Result<Answer, Refusal> {
    let is_younger = || chain::mount_namespace_id().is_none_or(|id| id > than);
    if is_younger() {
        return Ok(Answer::AlreadyThere);
    }
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let mut outcome = Err(Refusal::from(Errno::EINVAL));
    for cpu in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true)) {
        let mut one = CpuSet::new();
        one.set(cpu)?;
        sched_setaffinity(this, &one)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        if is_younger() {
            outcome = Ok(Answer::Made(format!("0, on CPU {cpu}")));
            break;
        }
    }
    sched_setaffinity(this, &allowed)?;
    outcome
}

/// A process that works in a directory, or has it for its root.
fn who_is_in(directory: &Path) -> String {
    let is_in = |process: &Path| {
        ["cwd", "root"].iter().any(|link| {
            std::fs::read_link(process.join(link)).is_ok_and(|place| place.starts_with(directory))
        })
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |process: &Path| process.file_name()?.to_str()?.parse::<u32>().ok();
    processes
        .filter(|process| is_in(process))
        .find_map(|process| number(&process))
        .map_or_else(|| "somebody".into(), |number| format!("process {number}"))
}
