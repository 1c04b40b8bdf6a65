//! Every call pivot makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what to
//! do when the kernel says no. Those about the program itself are in privileges.rs.

use crate::idmap::IdRange;
use crate::mask::Mask;
use crate::mountfd::{self, Attributes, FileSystem, Resolve};
use crate::privileges::Privilege;
use crate::source::Source;
use crate::state::State;
use crate::{image, inside, resolver};
use chain::{Answer, LoopFlags, Refusal, Shell, quoted};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir, pivot_root};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Where a mount goes: `/` itself, or a path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    Root,
    Below(PathBuf),
}

/// A call; each variant is named after the system call, or after what several do together.
#[derive(Debug)]
pub enum Call {
    /// unshare(2)
    UnshareMounts,
    /// mount(2) of `/` with nothing but a propagation
    MakePrivate,
    /// clone(2) into a user namespace, and its maps
    MakeUserns(IdRange),
    /// open_tree(2)
    CopyTree { from: PathBuf, at: At },
    /// flock(2), LOOP_CONFIGURE of loop(4)
    AttachLoop { image: PathBuf, read_only: bool },
    /// fsopen(2), fsconfig(2), fsmount(2)
    MountSource { fs: FileSystem, source: Source, at: At, parking: &'static str },
    /// mount_setattr(2)
    SetAttributes { attributes: Attributes, at: At },
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP
    IdmapMount(IdRange),
    /// move_mount(2), fchdir(2)
    AttachRoot,
    /// move_mount(2)
    Attach { at: PathBuf, is_directory: bool },
    /// fsopen(2), fsconfig(2), fsmount(2), move_mount(2)
    MountNew { fs: FileSystem, at: &'static str },
    /// What is shut of /proc and /sys
    Mask(Mask),
    /// mount(2) of each device, symlinkat(2)
    FillDev,
    /// fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2)
    ShowResolver { text: String, fs: FileSystem, parking: &'static str },
    /// pivot_root(2)
    PivotRoot,
    /// umount2(2)
    DetachOldRoot,
    /// chdir(2)
    ChangeDirectory(PathBuf),
    /// What the program is left with
    Privilege(Privilege),
}

impl At {
    /// From the new root, which is the working directory of a script.
    pub fn in_shell(&self) -> OsString {
        match self {
            At::Root => ".".into(),
            At::Below(path) => {
                let mut word = OsString::from(".");
                word.push(path);
                word
            }
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::UnshareMounts => f.write_str("unshare(CLONE_NEWNS)"),
            Call::MakePrivate => f.write_str("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)"),
            Call::MakeUserns(range) => {
                write!(
                    f,
                    "clone(CLONE_NEWUSER|SIGCHLD)\nwrite(\"/proc/CHILD/uid_map\", \"{0}\")\nwrite(\"/proc/CHILD/gid_map\", \"{0}\")",
                    range.line()
                )
            }
            Call::CopyTree { from, .. } => {
                write!(f, "open_tree(AT_FDCWD, {}, OPEN_TREE_CLONE|AT_RECURSIVE)", quoted(from))
            }
            Call::AttachLoop { image, read_only } => {
                let flags = LoopFlags { read_only: *read_only, autoclear: true }.names();
                let lock = if *read_only { "LOCK_SH" } else { "LOCK_EX" };
                write!(
                    f,
                    "flock({0}, {lock}|LOCK_NB)\nioctl(\"/dev/loop-control\", LOOP_CTL_GET_FREE)\nioctl(\"/dev/loopN\", LOOP_CONFIGURE, {{{0}, {flags}}})",
                    quoted(image)
                )
            }
            Call::MountSource { fs, source, .. } => write!(
                f,
                "fsmount(fsopen(\"{}\"), {}, {})",
                fs.kind,
                source_name(source),
                fs.attributes.flags()
            ),
            Call::SetAttributes { attributes, .. } => {
                write!(f, "mount_setattr({{the mount}}, AT_RECURSIVE, {})", attributes.flags())
            }
            Call::IdmapMount(range) => write!(
                f,
                "mount_setattr({{the mount}}, AT_RECURSIVE, MOUNT_ATTR_IDMAP, {{map \"{}\"}})",
                range.line()
            ),
            Call::AttachRoot => f.write_str("move_mount({the mount}, \"/\")\nfchdir({the mount})"),
            Call::Attach { at, .. } => write!(f, "move_mount({{the mount}}, {})", quoted(at)),
            Call::MountNew { fs, at } => {
                let options: String = fs
                    .options
                    .iter()
                    .map(|(key, value)| format!(", {key}={}", value.as_deref().unwrap_or("")))
                    .collect();
                write!(
                    f,
                    "move_mount(fsmount(fsopen(\"{}\"{options}), {}), \"{at}\")",
                    fs.kind,
                    fs.attributes.flags()
                )
            }
            Call::Mask(mask) => mask.fmt(f),
            Call::FillDev => f.write_str(&inside::as_calls()),
            Call::ShowResolver { text, fs, .. } => write!(
                f,
                "open_tree(fsmount(fsopen(\"tmpfs\"), {}), {{{}}}, OPEN_TREE_CLONE)\nmove_mount({{that file}}, \"{}\")",
                fs.attributes.flags(),
                quoted(text),
                resolver::PLACE
            ),
            Call::PivotRoot => f.write_str("pivot_root(\".\", \".\")"),
            Call::DetachOldRoot => f.write_str("umount2(\".\", MNT_DETACH)"),
            Call::ChangeDirectory(path) => write!(f, "chdir({})", quoted(path)),
            Call::Privilege(privilege) => privilege.fmt(f),
        }
    }
}

fn source_name(source: &Source) -> String {
    match source {
        Source::Image { .. } => "\"/dev/loopN\"".into(),
        Source::Directory(path) | Source::File(path) | Source::Device { path, .. } => quoted(path),
        Source::Memory(_) => "\"tmpfs\"".into(),
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        crate::shell::of(self)
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::UnshareMounts => unshare(CloneFlags::CLONE_NEWNS)?,
            Call::MakePrivate => {
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            }
            Call::MakeUserns(range) => {
                state.userns = Some(range.make_namespace()?);
                state.owner = Some(range.outer);
            }
            Call::CopyTree { from, .. } => state.tree = Some(mountfd::copy_tree(from)?),
            Call::AttachLoop { image: path, read_only } => {
                let device = image::attach(path, *read_only)?;
                let result = format!("0: {}", device.path.display());
                state.device = Some(device);
                return Ok(Answer::Made(result));
            }
            Call::MountSource { fs, source, .. } => {
                let device = state.device.take();
                let from = match (source, &device) {
                    (Source::Image { .. }, Some(device)) => device.path.as_path(),
                    (Source::Device { path, .. }, _) => path,
                    _ => Path::new("tmpfs"),
                };
                state.tree = Some(fs.mount(from)?);
            }
            Call::SetAttributes { attributes, .. } => {
                mountfd::set_attributes(state.tree()?, *attributes, None)?
            }
            Call::IdmapMount(_) => {
                let namespace = state.userns.as_ref().ok_or(Errno::EBADF)?;
                mountfd::set_attributes(state.tree()?, Attributes::NONE, Some(namespace.as_fd()))?;
            }
            Call::AttachRoot => {
                let tree = state.tree.take().ok_or(Errno::EBADF)?;
                let old = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
                mountfd::attach(tree.as_fd(), old.as_fd())?;
                fchdir(&tree)?;
                state.root = Some(tree);
            }
            Call::Attach { at, is_directory } => {
                let tree = state.tree.take().ok_or(Errno::EBADF)?;
                let (base, rest) = state.nearest(at)?;
                let target = match is_directory {
                    true => mountfd::make_directory(base, rest, Resolve::InRoot, state.owner)?,
                    false => mountfd::make_file(base, rest, Resolve::InRoot, state.owner)?,
                };
                mountfd::attach(tree.as_fd(), target.as_fd())
                    .map_err(|refusal| Refusal { call: None, ..refusal })?;
            }
            Call::MountNew { fs, at } => {
                let tree = fs.mount(Path::new(fs.kind))?;
                let (base, rest) = state.nearest(Path::new(at))?;
                let target = mountfd::make_directory(base, rest, Resolve::NoLinks, state.owner)?;
                mountfd::attach(tree.as_fd(), target.as_fd())?;
                state.mounts.push((at, tree));
            }
            Call::Mask(mask) => return mask.run(state),
            Call::FillDev => {
                inside::fill(state.mounted("/dev")?)?;
                state.back_to_root()?;
            }
            Call::ShowResolver { text, fs, .. } => resolver::show(text, fs, state.root()?, state.owner)?,
            Call::PivotRoot => pivot_root(".", ".")?,
            Call::DetachOldRoot => {
                umount2(".", MntFlags::MNT_DETACH)?;
                chdir("/")?;
            }
            Call::ChangeDirectory(path) => {
                chdir(path)?;
                // A link such as /proc/self/fd/7 could lead out of the root: the kernel then has no path for it.
                let inside = nix::unistd::getcwd().is_ok_and(|cwd| cwd.is_absolute());
                if !inside {
                    return Err(Refusal::at(format!("getcwd() after chdir({})", quoted(path)), Errno::EXDEV));
                }
            }
            Call::Privilege(privilege) => return privilege.run(state),
        }
        Ok(Answer::zero())
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        if let Call::Privilege(privilege) = self {
            return privilege.hint(refusal);
        }
        crate::hint::of(self, refusal)
    }
}
