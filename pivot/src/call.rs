//! Every call pivot makes, with its four faces: as strace prints it, as a shell types it, as the kernel gets it, and what to
//! do when the kernel says no. Those about the files to show are in tree.rs, those that shut some in mask.rs, those about
//! the program in inherited.rs and privileges.rs.

use crate::hint::{why_no_mounts, why_no_place};
use crate::idmap::IdRange;
use crate::inherited::Inherited;
use crate::mask::Mask;
use crate::mountfd::{self, FileSystem, Resolve};
use crate::pipes::Fchown;
use crate::privileges::{Privilege, capsh};
use crate::shell::{new_mount, show_resolver};
use crate::state::State;
use crate::tree::TreeCall;
use crate::user::{UserSpec, why_not_found};
use crate::{inside, resolver};
use chain::{Answer, Kind, Refusal, Shell, in_user_namespace, quoted, why_no_namespace};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};
use std::fmt::{self, Display};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A call; each variant is named after the system call, or after what several do together.
#[derive(Debug)]
pub enum Call {
    /// unshare(2)
    UnshareMounts { for_image: bool },
    /// mount(2) of `/` with nothing but a propagation
    MakePrivate,
    /// clone(2) into a user namespace, and its maps
    MakeUserns(IdRange),
    /// A directory, an image or memory becomes a mount
    Tree(TreeCall),
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
    /// openat2(2), read(2) of the new root's /etc/passwd and /etc/group
    FindUser(UserSpec),
    /// fchown(2) of the pipes among descriptors 0 to 2
    Fchown(Fchown),
    /// What the program would inherit of the caller
    Inherited(Inherited),
    /// What the program may do
    Privilege(Privilege),
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::UnshareMounts { .. } => f.write_str("unshare(CLONE_NEWNS)"),
            Call::MakePrivate => f.write_str("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)"),
            Call::MakeUserns(range) => {
                write!(
                    f,
                    "clone(CLONE_NEWUSER|SIGCHLD)\nwrite(\"/proc/CHILD/uid_map\", \"{0}\")\nwrite(\"/proc/CHILD/gid_map\", \"{0}\")",
                    range.line()
                )
            }
            Call::Tree(call) => call.fmt(f),
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
            Call::FindUser(user) => f.write_str(user.as_call()),
            Call::Fchown(call) => call.fmt(f),
            Call::Inherited(call) => call.fmt(f),
            Call::PivotRoot => f.write_str("pivot_root(\".\", \".\")"),
            Call::DetachOldRoot => f.write_str("umount2(\".\", MNT_DETACH)"),
            Call::ChangeDirectory(path) => write!(f, "chdir({})", quoted(path)),
            Call::Privilege(privilege) => privilege.fmt(f),
        }
    }
}

impl chain::Call for Call {
    type State = State;

    fn shell(&self) -> Shell {
        match self {
            Call::UnshareMounts { .. } => Shell::enter(["unshare", "--mount"]),
            Call::MakePrivate => Shell::enter(["unshare", "--propagation", "private"]),
            Call::Tree(call) => call.shell(),
            Call::MountNew { fs, at } => new_mount(fs, at),
            Call::Mask(mask) => mask.shell(),
            Call::FillDev => inside::as_commands(),
            Call::ShowResolver { text, fs, parking } => show_resolver(text, fs, parking),
            Call::FindUser(user) => user.as_commands(),
            Call::Fchown(call) => call.shell(),
            Call::Inherited(call) => call.shell(),
            // Without -n it would write down the mount in /run, which takes the host's root.
            Call::PivotRoot => Shell::line(["mount", "-n", "--move", ".", "/"]),
            Call::DetachOldRoot => capsh(["--chroot=.".into()]),
            Call::Privilege(privilege) => privilege.shell(),
            Call::ChangeDirectory(_) => Shell::Implied,
            Call::MakeUserns(_) => Shell::Refuse,
        }
    }

    fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Call::UnshareMounts { .. } => unshare(CloneFlags::CLONE_NEWNS)?,
            Call::MakePrivate => {
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            }
            Call::MakeUserns(range) => {
                state.userns = Some(range.make_namespace()?);
                state.owner = Some(range.outer);
            }
            Call::Tree(call) => return call.run(state),
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
            Call::FindUser(user) => state.account = user.find(state.root()?)?,
            Call::Fchown(call) => return call.run(state),
            Call::Inherited(call) => return call.run(state),
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
        let errno = refusal.errno?;
        match self {
            Call::UnshareMounts { for_image } if errno == Errno::EPERM => Some(why_no_mounts(*for_image)),
            Call::UnshareMounts { .. } => why_no_namespace(&[Kind::Mount], errno),
            Call::MakeUserns(_) => match errno {
                Errno::EPERM if in_user_namespace() => Some("mapping a range of ids takes root outside of any user namespace: leave out --userns, the root of this one is nobody outside".into()),
                _ => why_no_namespace(&[Kind::User], errno),
            },
            Call::Tree(call) => call.hint(refusal),
            Call::MountNew { at, .. } => why_no_place(Path::new(at), errno),
            Call::ShowResolver { .. } => why_no_place(Path::new(resolver::PLACE), errno),
            Call::Mask(mask) => mask.hint(errno),
            Call::FillDev if errno == Errno::ENODEV => Some(inside::WRONG_DEVICE.into()),
            Call::FindUser(_) => why_not_found(errno),
            Call::Fchown(call) => call.hint(errno),
            Call::Inherited(call) => call.hint(errno),
            Call::ChangeDirectory(path) => Some(match errno {
                Errno::EXDEV => "that is a way out of the new root, and is not taken".into(),
                _ => format!("--workdir names a directory of the new root, and {} is none", quoted(path)),
            }),
            Call::Privilege(privilege) => privilege.hint(refusal),
            _ => None,
        }
    }
}
