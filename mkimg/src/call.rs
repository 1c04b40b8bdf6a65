//! Every call mkimg makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and
//! what to do when the kernel says no.

use crate::cli::Alloc;
use crate::image::{HOST_FULL, IMAGE_EMPTY, IMAGE_FULL, NO_INODES, State};
use crate::mkfs::Recipe;
use crate::tree::Identity;
use crate::{list, script, temporary};
use chain::{Answer, Attached, LoopFlags, Refusal, Shell, array, be_root, quoted, why_no_loop};
use nix::errno::Errno;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// A call; each variant is named after what it makes or the system call.
#[derive(Debug)]
pub enum Call {
    /// open(2), flock(2), unlink(2) of what a killed one left
    RemoveLeftover { path: PathBuf },
    /// open(2) with O_TMPFILE
    CreateNameless { directory: PathBuf, image: PathBuf },
    /// open(2) with O_EXCL, flock(2)
    CreateNamed { temporary: PathBuf, image: PathBuf },
    /// unlink(2)
    RemoveNamed { temporary: PathBuf },
    /// ftruncate(2), fallocate(2), or write(2) of zeros
    Allocate { size: u64, how: Alloc },
    /// LOOP_CONFIGURE of loop(4); of an image that is there it stays attached
    AttachLoop { image: Option<PathBuf> },
    /// mkfs.ext4(8)
    MakeFileSystem { recipe: Recipe, on: On },
    /// fsopen(2), fsconfig(2), fsmount(2)
    Mount,
    /// openat(2), read(2), write(2) and more, for every file
    CopyTree { from: PathBuf, place_in_tree: Option<PathBuf>, old: Option<Identity> },
    /// openat2(2), write(2) and more, for every entry
    Unpack { from: PathBuf },
    /// syncfs(2)
    SyncFileSystem,
    /// close(2) of the only descriptor of a mount
    Unmount,
    /// close(2) of the last descriptor of a loop device, and LOOP_CLR_FD of loop(4) where it was to stay
    DetachLoop { autoclear: bool },
    /// fsync(2)
    SyncFile,
    /// linkat(2)
    Link { to: PathBuf },
    /// flock(2), linkat(2), rename(2)
    LinkOver { temporary: PathBuf, to: PathBuf },
    /// renameat2(2)
    Rename { temporary: PathBuf, to: PathBuf, over: bool },
    /// fsync(2)
    SyncDirectory { directory: PathBuf },
    /// open(2), flock(2)
    OpenImage { image: PathBuf },
    /// write(2) on stdout
    PrintDevice,
    /// LOOP_CLR_FD of loop(4)
    DetachDevice(Attached),
    /// /sys/block
    List { json: bool },
}

/// What a file system is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Loop,
    File,
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::RemoveLeftover { path } => {
                let path = quoted(path);
                write!(f, "open({path}, O_RDWR|O_NOFOLLOW)\nflock(leftover, LOCK_EX|LOCK_NB)\nunlink({path})")
            }
            Call::CreateNameless { directory, .. } => {
                write!(f, "open({}, O_TMPFILE|O_RDWR, 0666)", quoted(directory))
            }
            Call::CreateNamed { temporary, .. } => {
                let temporary = quoted(temporary);
                write!(f, "open({temporary}, O_CREAT|O_EXCL|O_RDWR, 0666)\nflock(image, LOCK_EX|LOCK_NB)")
            }
            Call::RemoveNamed { temporary } => write!(f, "unlink({})", quoted(temporary)),
            Call::Allocate { size, how } => match how {
                Alloc::Sparse => write!(f, "ftruncate(image, {size})"),
                Alloc::Full => write!(f, "fallocate(image, 0, 0, {size})"),
                Alloc::Zero => write!(f, "write(image, \"\\0\"..., {size})"),
            },
            Call::AttachLoop { image } => {
                let flags = LoopFlags { read_only: false, autoclear: image.is_none() };
                write!(f, "ioctl(loop, LOOP_CONFIGURE, {{fd=image, lo_flags={}}})", flags.names())
            }
            Call::MakeFileSystem { recipe, on } => {
                let target = if *on == On::Loop { "loop" } else { "image" };
                let words = array(&recipe.words());
                write!(f, "execve(\"mkfs.ext4\", {}, {target}])", words.trim_end_matches(']'))
            }
            Call::Mount => f.write_str(
                "fsopen(\"ext4\")\nfsconfig(FSCONFIG_SET_STRING, \"source\", loop)\n\
                 fsmount(MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)",
            ),
            Call::CopyTree { from, .. } => {
                write!(f, "openat, read, write, fchown, fsetxattr, futimens({} -> root)", quoted(from))
            }
            Call::Unpack { from } => {
                write!(
                    f,
                    "openat2(RESOLVE_IN_ROOT), write, fchown, fsetxattr, futimens({} -> root)",
                    quoted(from)
                )
            }
            Call::SyncFileSystem => f.write_str("syncfs(root)"),
            Call::Unmount => f.write_str("close(root)"),
            Call::DetachLoop { autoclear: true } => f.write_str("close(loop)"),
            Call::DetachLoop { autoclear: false } => f.write_str("ioctl(loop, LOOP_CLR_FD)\nclose(loop)"),
            Call::SyncFile => f.write_str("fsync(image)"),
            Call::Link { to } => write!(f, "linkat(image, {})", quoted(to)),
            Call::LinkOver { temporary, to } => {
                let (temporary, to) = (quoted(temporary), quoted(to));
                write!(
                    f,
                    "flock(image, LOCK_EX|LOCK_NB)\nlinkat(image, {temporary})\nrename({temporary}, {to})"
                )
            }
            Call::Rename { temporary, to, over } => {
                let flags = if *over { "0" } else { "RENAME_NOREPLACE" };
                write!(f, "renameat2({}, {}, {flags})", quoted(temporary), quoted(to))
            }
            Call::SyncDirectory { directory } => write!(f, "fsync({})", quoted(directory)),
            Call::OpenImage { image } => {
                write!(f, "open({}, O_RDWR)\nflock(image, LOCK_EX|LOCK_NB)", quoted(image))
            }
            Call::PrintDevice => f.write_str("write(1, loop)"),
            Call::DetachDevice(device) => write!(f, "ioctl({}, LOOP_CLR_FD)", quoted(&device.device)),
            Call::List { .. } => f.write_str("readdir(\"/sys/block\")"),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        script::of(self)
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::RemoveLeftover { path } => temporary::remove_left(path),
            Call::CreateNameless { directory, .. } => state.create_nameless(directory),
            Call::CreateNamed { temporary, .. } => state.create_named(temporary),
            Call::RemoveNamed { temporary } => state.remove_named(temporary),
            Call::Allocate { size, how } => state.allocate(*size, *how),
            Call::AttachLoop { image } => state.attach_loop(image.is_none()),
            Call::MakeFileSystem { recipe, on: On::Loop } => state.make_on_loop(recipe),
            Call::MakeFileSystem { recipe, on: On::File } => state.make_on_file(recipe),
            Call::Mount => state.mount(),
            Call::CopyTree { from, old, .. } => state.copy_tree(from, *old),
            Call::Unpack { from } => state.unpack(from),
            Call::SyncFileSystem => state.sync_file_system(),
            Call::Unmount => state.unmount(),
            Call::DetachLoop { autoclear } => state.detach_loop(*autoclear),
            Call::SyncFile => state.sync_file(),
            Call::Link { to } => state.link(to),
            Call::LinkOver { temporary, to } => state.link_over(temporary, to),
            Call::Rename { temporary, to, over } => state.rename(temporary, to, *over),
            Call::SyncDirectory { directory } => {
                Ok(crate::inode::sync_directory(directory).map(|()| Answer::zero())?)
            }
            Call::OpenImage { image } => state.open_image(image),
            Call::PrintDevice => return state.print_device(),
            Call::DetachDevice(device) => list::detach(device),
            Call::List { json } => return list::print(*json),
        }
        .map_err(|refusal| state.explained(refusal))
    }

    fn hint(&self, refusal: &Refusal) -> Option<String> {
        let said = |what: &str| refusal.said.contains(what);
        if said(HOST_FULL) {
            return Some("make room there, or choose another place for the image".into());
        }
        if said(IMAGE_FULL) {
            return Some("give it a larger --size; nothing is left of this one".into());
        }
        if said(NO_INODES) {
            return Some(
                "an inode is set aside for every 8 or 16 KiB of --size: give it a larger one".into(),
            );
        }
        if said(IMAGE_EMPTY) {
            return Some("--size 64M --force makes a file system of it".into());
        }
        // mke2fs(8) has no message of its own for a size below the smallest.
        if said("Not enough space to build") {
            return Some("too small for an ext4: a plain number counts bytes, 64M is 64 MiB".into());
        }
        let errno = refusal.errno?;
        match (self, errno) {
            (Call::AttachLoop { .. }, errno) => why_no_loop(errno),
            (Call::CreateNameless { .. } | Call::CreateNamed { .. }, Errno::EACCES | Errno::EPERM) => {
                Some("you may not write in that directory".into())
            }
            (Call::Allocate { how: Alloc::Full, .. }, Errno::EOPNOTSUPP) => {
                Some("that file system cannot reserve room: --alloc sparse, or --alloc zero".into())
            }
            (Call::Allocate { .. }, Errno::EFBIG | Errno::EINVAL) => {
                Some("larger than a file may be there, or than ulimit -f allows".into())
            }
            (Call::Mount, Errno::ENODEV) => Some("this kernel has no ext4: modprobe ext4".into()),
            (Call::Mount, Errno::EPERM) => {
                Some(format!("mounting takes CAP_SYS_ADMIN: {}", be_root("CAP_SYS_ADMIN")))
            }
            (Call::Link { to } | Call::Rename { to, .. }, Errno::EEXIST) => {
                Some(format!("{} has appeared meanwhile: --force replaces it", quoted(to)))
            }
            (Call::LinkOver { temporary, .. } | Call::CreateNamed { temporary, .. }, Errno::EEXIST) => {
                Some(format!(
                    "a mkimg of the same number in another PID namespace may be at work on {}: try again when it is done",
                    quoted(temporary)
                ))
            }
            (Call::OpenImage { image }, Errno::EWOULDBLOCK) => Some(crate::holders::of_lock(image)),
            (Call::OpenImage { .. }, Errno::ENOENT) => Some("--size makes one, and --from fills it".into()),
            (Call::CopyTree { .. }, Errno::ENOENT | Errno::ESTALE) => {
                Some("the tree changed while it was copied: copy it when nobody writes to it".into())
            }
            _ => None,
        }
    }
}
