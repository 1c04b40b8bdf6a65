//! The calls that make a mount of a directory, an image or memory, attached nowhere yet, and attach it: the new root, and what
//! is shown below it. Each with its four faces, as in call.rs.

use crate::hint::{why_no_place, why_not_attached, why_not_mounted};
use crate::idmap::IdRange;
use crate::image;
use crate::mountfd::{self, Attributes, FileSystem, Resolve};
use crate::shell::{below, lines, mount, operand, touch, words};
use crate::source::Source;
use crate::state::State;
use chain::{Answer, LoopFlags, Refusal, Shell, join, quoted};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::fchdir;
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

/// A call about the mount in hand.
#[derive(Debug)]
pub enum TreeCall {
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
}

impl Display for TreeCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            TreeCall::CopyTree { from, .. } => {
                write!(f, "open_tree(AT_FDCWD, {}, OPEN_TREE_CLONE|AT_RECURSIVE)", quoted(from))
            }
            TreeCall::AttachLoop { image, read_only } => {
                let flags = LoopFlags { read_only: *read_only, autoclear: true }.names();
                let lock = if *read_only { "LOCK_SH" } else { "LOCK_EX" };
                write!(
                    f,
                    "flock({0}, {lock}|LOCK_NB)\nioctl(\"/dev/loop-control\", LOOP_CTL_GET_FREE)\nioctl(\"/dev/loopN\", LOOP_CONFIGURE, {{{0}, {flags}}})",
                    quoted(image)
                )
            }
            TreeCall::MountSource { fs, source, .. } => write!(
                f,
                "fsmount(fsopen(\"{}\"), {}, {})",
                fs.kind,
                source_name(source),
                fs.attributes.flags()
            ),
            TreeCall::SetAttributes { attributes, .. } => {
                write!(f, "mount_setattr({{the mount}}, AT_RECURSIVE, {})", attributes.flags())
            }
            TreeCall::IdmapMount(range) => write!(
                f,
                "mount_setattr({{the mount}}, AT_RECURSIVE, MOUNT_ATTR_IDMAP, {{map \"{}\"}})",
                range.line()
            ),
            TreeCall::AttachRoot => f.write_str("move_mount({the mount}, \"/\")\nfchdir({the mount})"),
            TreeCall::Attach { at, .. } => write!(f, "move_mount({{the mount}}, {})", quoted(at)),
        }
    }
}

impl TreeCall {
    /// The classic commands that do the same.
    pub fn shell(&self) -> Shell {
        match self {
            TreeCall::CopyTree { from, at: At::Root } => {
                let from = operand(from);
                lines([words(&["mount", "--rbind"], [&from, &from]), words(&["cd"], [&from])])
            }
            TreeCall::CopyTree { from, at: At::Below(at) } => {
                let mut lines_of =
                    vec![if from.is_dir() { words(&["mkdir", "-p"], [below(at)]) } else { touch(at) }];
                lines_of.push(words(&["mount", "--rbind"], [from.as_os_str(), &below(at)]));
                lines(lines_of)
            }
            TreeCall::MountSource { fs, source, at, parking } => mount_source(fs, source, at, parking),
            TreeCall::SetAttributes { attributes, at } => {
                let place = at.in_shell();
                let options = format!("remount,bind,{}", attributes.options());
                let mut below = OsString::from("findmnt -Rlno TARGET -T ");
                below.push(join([&place]));
                below.push(format!(
                    " | tail -n +2 | while IFS= read -r mount; do mount -o {options} \"$mount\"; done"
                ));
                lines([words(&["mount", "-o", &options], [&place]), below])
            }
            TreeCall::AttachLoop { .. } | TreeCall::AttachRoot | TreeCall::Attach { .. } => Shell::Implied,
            TreeCall::IdmapMount(_) => Shell::Nothing,
        }
    }

    /// Makes the request; the mount in hand is the state's.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            TreeCall::CopyTree { from, .. } => state.tree = Some(mountfd::copy_tree(from)?),
            TreeCall::AttachLoop { image: path, read_only } => {
                let device = image::attach(path, *read_only)?;
                let result = format!("0: {}", device.path.display());
                state.device = Some(device);
                return Ok(Answer::Made(result));
            }
            TreeCall::MountSource { fs, source, .. } => {
                let device = state.device.take();
                let from = match (source, &device) {
                    (Source::Image { .. }, Some(device)) => device.path.as_path(),
                    (Source::Device { path, .. }, _) => path,
                    _ => Path::new("tmpfs"),
                };
                state.tree = Some(fs.mount(from)?);
            }
            TreeCall::SetAttributes { attributes, .. } => {
                mountfd::set_attributes(state.tree()?, *attributes, None)?
            }
            TreeCall::IdmapMount(_) => {
                let namespace = state.userns.as_ref().ok_or(Errno::EBADF)?;
                mountfd::set_attributes(state.tree()?, Attributes::NONE, Some(namespace.as_fd()))?;
            }
            TreeCall::AttachRoot => {
                let tree = state.tree.take().ok_or(Errno::EBADF)?;
                let old = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
                mountfd::attach(tree.as_fd(), old.as_fd())?;
                fchdir(&tree)?;
                state.root = Some(tree);
            }
            TreeCall::Attach { at, is_directory } => {
                let tree = state.tree.take().ok_or(Errno::EBADF)?;
                let (base, rest) = state.nearest(at)?;
                let target = match is_directory {
                    true => mountfd::make_directory(base, rest, Resolve::InRoot, state.owner)?,
                    false => mountfd::make_file(base, rest, Resolve::InRoot, state.owner)?,
                };
                mountfd::attach(tree.as_fd(), target.as_fd())
                    .map_err(|refusal| Refusal { call: None, ..refusal })?;
            }
        }
        Ok(Answer::zero())
    }

    /// The cause and the cure.
    pub fn hint(&self, refusal: &Refusal) -> Option<String> {
        let errno = refusal.errno?;
        match self {
            TreeCall::CopyTree { from, .. } if errno == Errno::EINVAL => {
                Some(format!("{} lies on a mount that may not be copied into another namespace", quoted(from)))
            }
            TreeCall::AttachLoop { image, .. } => {
                let is_image = refusal.call.as_ref().is_none_or(|call| call.contains(&quoted(image)));
                why_not_attached(image, is_image, errno)
            }
            TreeCall::MountSource { fs, source, .. } => why_not_mounted(fs.kind, source, errno),
            TreeCall::IdmapMount(_) => Some(match errno {
                Errno::EINVAL => "the file system of the root, or one mounted below it, cannot map ids: put the tree in an image, mkimg --from DIR IMG".into(),
                _ => "mapping the ids of a mount takes root outside of any user namespace".into(),
            }),
            TreeCall::Attach { at, is_directory: false } if errno == Errno::EINVAL => {
                Some(format!("the source is a file and {} of the new root is not: a file goes on a file", quoted(at)))
            }
            TreeCall::Attach { at, .. } => why_no_place(at, errno),
            _ => None,
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

fn mount_source(fs: &FileSystem, source: &Source, at: &At, parking: &str) -> Shell {
    let (from, is_image) = match source {
        Source::Image { path, .. } => (operand(path), true),
        Source::Device { path, .. } => (operand(path), false),
        _ => (OsString::from("tmpfs"), false),
    };
    let from = from.as_os_str();
    match at {
        At::Root => {
            lines(mount(fs, from, is_image, parking.as_ref()).into_iter().chain([words(&["cd"], [parking])]))
        }
        At::Below(path) => {
            let place = below(path);
            lines([words(&["mkdir", "-p"], [&place])].into_iter().chain(mount(fs, from, is_image, &place)))
        }
    }
}
