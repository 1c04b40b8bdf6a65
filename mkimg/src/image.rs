//! The image in the making: what each call that makes it does, and what one of them leaves for the next.
//!
//! Everything here hangs on descriptors of this process: the nameless file, the loop device with autoclear, the mount on
//! no directory. Whatever ends the process, even SIGKILL, the kernel takes them all away.

use crate::archive::Archive;
use crate::cli::Alloc;
use crate::mkfs::{Recipe, as_stdin};
use crate::tree::{Copied, Identity, identity};
use crate::{sys, temporary, tree, unpack};
use chain::{Answer, LoopDevice, LoopFlags, Refusal, attach, c_string, print_answer, quoted};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, RenameFlags, fallocate, open, openat, renameat2};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statvfs::{Statvfs, fstatvfs};
use nix::unistd::{linkat, unlink};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the calls leave for each other.
#[derive(Default)]
pub struct State {
    image: Option<File>,
    device: Option<LoopDevice>,
    /// The root of the new file system, open, and the mount it is in, which goes away with its descriptor.
    root: Option<OwnedFd>,
    mount: Option<OwnedFd>,
}

type Outcome = Result<Answer, Refusal>;

/// What is full, as the error says it.
pub const HOST_FULL: &str = "the file system that holds the image is full";
pub const IMAGE_FULL: &str = "the image is full";
pub const NO_INODES: &str = "the image has no inode left";
/// What cannot be attached to any use.
pub const IMAGE_EMPTY: &str = "the file is empty";

/// A file system with less than this free is as good as full: it is written in large pieces.
const ENOUGH: u64 = 4 << 20;

/// A file is made readable for everybody the umask allows, as any other.
pub const PERMISSIONS: Mode = Mode::from_bits_truncate(0o666);

impl State {
    fn image(&self) -> Result<&File, Refusal> {
        self.image.as_ref().ok_or_else(|| Errno::EBADF.into())
    }

    fn device(&self) -> Result<&LoopDevice, Refusal> {
        self.device.as_ref().ok_or_else(|| Errno::EBADF.into())
    }

    pub fn create_nameless(&mut self, directory: &Path) -> Outcome {
        let fd = open(directory, OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, PERMISSIONS)?;
        self.image = Some(fd.into());
        Ok(Answer::Made("image".into()))
    }

    pub fn create_named(&mut self, temporary: &Path) -> Outcome {
        sys::remove_on_signal(Box::leak(c_string(temporary)?.into_boxed_c_str()));
        self.image = Some(temporary::create(temporary)?);
        Ok(Answer::Made("image".into()))
    }

    pub fn remove_named(&mut self, temporary: &Path) -> Outcome {
        match unlink(temporary) {
            // It has its own name by now.
            Err(Errno::ENOENT) => Ok(Answer::AlreadyThere),
            other => Ok(other.map(|()| Answer::zero())?),
        }
    }

    pub fn allocate(&mut self, size: u64, how: Alloc) -> Outcome {
        let image = self.image()?;
        let length = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
        match how {
            Alloc::Sparse => nix::unistd::ftruncate(image, length)?,
            Alloc::Full => fallocate(image, FallocateFlags::empty(), 0, length)?,
            Alloc::Zero => write_zeros(image, size)?,
        }
        Ok(Answer::zero())
    }

    /// With `autoclear` the kernel takes the device away with its last user.
    pub fn attach_loop(&mut self, autoclear: bool) -> Outcome {
        let device = attach(self.image()?, LoopFlags { read_only: false, autoclear })?;
        let answer = Answer::Made(quoted(&device.path));
        self.device = Some(device);
        Ok(answer)
    }

    pub fn make_on_loop(&mut self, recipe: &Recipe) -> Outcome {
        recipe.run(&self.device()?.path, std::process::Stdio::null())?;
        Ok(Answer::zero())
    }

    /// The image has no name, so mke2fs gets it as its stdin and opens it through /proc.
    pub fn make_on_file(&mut self, recipe: &Recipe) -> Outcome {
        recipe.run(Path::new("/proc/self/fd/0"), as_stdin(self.image()?)?)?;
        Ok(Answer::zero())
    }

    pub fn mount(&mut self) -> Outcome {
        let source = c_string(&self.device()?.path)?;
        let mount = sys::mount_detached(c"ext4", &source).map_err(|(call, errno, said)| {
            let mut refusal = Refusal::at(format!("{call}(\"ext4\", {})", quoted(self.device_path())), errno);
            refusal.said = said;
            refusal
        })?;
        // That descriptor is an O_PATH one, good for no more than a start.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        self.root = Some(openat(&mount, ".", flags, Mode::empty())?);
        self.mount = Some(mount);
        Ok(Answer::Made("root".into()))
    }

    fn device_path(&self) -> PathBuf {
        self.device.as_ref().map(|device| device.path.clone()).unwrap_or_default()
    }

    /// Copies the tree, but for the image itself, under its old name and its temporary one.
    pub fn copy_tree(&mut self, from: &Path, old: Option<Identity>) -> Outcome {
        let own = identity(&fstat(self.image()?)?);
        let but: Vec<Identity> = old.into_iter().chain([own]).collect();
        let root = self.root.as_ref().ok_or(Errno::EBADF)?;
        Ok(copied(&tree::copy(from, root.as_fd(), &but)?))
    }

    pub fn unpack(&mut self, from: &Path) -> Outcome {
        let root = self.root.as_ref().ok_or(Errno::EBADF)?;
        let mut archive = Archive::open(from)?;
        let copied_ = unpack::unpack(&mut archive, root.as_fd())?;
        Ok(copied(&copied_))
    }

    /// Says what is full. The image says ENOSPC for itself; when the file system below it is full, its disk fails, with
    /// EIO and then EROFS.
    pub fn explained(&self, mut refusal: Refusal) -> Refusal {
        let image = self.root.as_ref().and_then(|root| fstatvfs(root).ok());
        let host = self.image.as_ref().and_then(|image| fstatvfs(image).ok());
        let has_room = |of: Statvfs, enough| of.blocks_available() * of.fragment_size() >= enough;
        let host_is_full = host.is_some_and(|host| !has_room(host, ENOUGH));
        let what = match (refusal.errno, image) {
            (Some(Errno::ENOSPC), Some(image)) if image.files_free() == 0 => NO_INODES,
            // Newer kernels pass the ENOSPC of the file on to the file system in it.
            (Some(Errno::ENOSPC), Some(image)) if host_is_full && has_room(image, ENOUGH) => HOST_FULL,
            (Some(Errno::ENOSPC), Some(_)) => IMAGE_FULL,
            (Some(Errno::ENOSPC), None) => HOST_FULL,
            (Some(Errno::EIO | Errno::EROFS | Errno::EUCLEAN), _) if host_is_full => HOST_FULL,
            (None, None) if host_is_full => HOST_FULL,
            (None, None) if refusal.said.contains("ould not allocate") => IMAGE_FULL,
            _ => return refusal,
        };
        let said = std::mem::take(&mut refusal.said);
        refusal.said = if said.is_empty() { what.into() } else { format!("{said}: {what}") };
        refusal
    }

    /// syncfs(2): since Linux 5.8 it reports what went wrong on the way to the disk.
    pub fn sync_file_system(&mut self) -> Outcome {
        let root = self.root.as_ref().ok_or(Errno::EBADF)?;
        nix::unistd::syncfs(root)?;
        Ok(Answer::zero())
    }

    pub fn unmount(&mut self) -> Outcome {
        if self.root.take().is_none() {
            return Ok(Answer::AlreadyThere);
        }
        self.mount = None;
        Ok(Answer::zero())
    }

    /// Lets go of the device and waits until the kernel has taken it away: others, such as udev, may look at it still.
    /// One without `autoclear` is to be taken away, too: that is asked for, and happens when the last user has gone.
    pub fn detach_loop(&mut self, autoclear: bool) -> Outcome {
        let Some(LoopDevice { file, path }) = self.device.take() else { return Ok(Answer::AlreadyThere) };
        // What unmounting wrote last is reported to nobody else.
        let synced = file.sync_all();
        let shown = shown_by(&path);
        let marked = if autoclear { Ok(()) } else { chain::detach(&path) };
        drop(file);
        marked?;
        let until = Instant::now() + Duration::from_secs(5);
        while shown.is_some() && shown_by(&path) == shown {
            if Instant::now() > until {
                return Err(Refusal::said(format!("it is in use still: {}", crate::holders::of(&path))));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        synced?;
        Ok(Answer::zero())
    }

    pub fn sync_file(&mut self) -> Outcome {
        self.image()?.sync_all()?;
        Ok(Answer::zero())
    }

    /// linkat(2) never replaces what has the name already.
    pub fn link(&mut self, to: &Path) -> Outcome {
        let path = format!("/proc/self/fd/{}", self.image()?.as_raw_fd());
        linkat(AT_FDCWD, path.as_str(), AT_FDCWD, to, AtFlags::AT_SYMLINK_FOLLOW)?;
        Ok(Answer::zero())
    }

    /// No call replaces a name by a nameless file, so it gets another name for a moment.
    pub fn link_over(&mut self, temporary: &Path, to: &Path) -> Outcome {
        sys::remove_on_signal(Box::leak(c_string(temporary)?.into_boxed_c_str()));
        temporary::hold(self.image()?)?;
        self.link(temporary)?;
        if let Err(refusal) = self.rename(temporary, to, true) {
            let _ = unlink(temporary);
            return Err(refusal);
        }
        Ok(Answer::zero())
    }

    pub fn rename(&mut self, temporary: &Path, to: &Path, over: bool) -> Outcome {
        let flags = if over { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
        renameat2(AT_FDCWD, temporary, AT_FDCWD, to, flags)?;
        // The lock was for the other name: from now on the image is whoever's comes first.
        self.image = None;
        Ok(Answer::zero())
    }

    /// Opens an image to attach it, and locks it: flock(2) stays with the loop device.
    pub fn open_image(&mut self, image: &Path) -> Outcome {
        let at = |call: String| move |errno| Refusal::at(call, errno);
        // O_NONBLOCK: a fifo must be refused, not waited for.
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = File::from(
            open(image, flags, Mode::empty()).map_err(at(format!("open({}, O_RDWR)", quoted(image))))?,
        );
        let about = file.metadata()?;
        if !about.is_file() || about.len() == 0 {
            let what = if about.is_file() { IMAGE_EMPTY } else { "it is no regular file" };
            let mut refusal = Refusal::said(what);
            refusal.call = Some(quoted(image));
            return Err(refusal);
        }
        temporary::lock(&file).map_err(at(format!("flock({}, LOCK_EX|LOCK_NB)", quoted(image))))?;
        self.image = Some(file);
        Ok(Answer::Made("image".into()))
    }

    pub fn print_device(&mut self) -> Outcome {
        print_answer(format!("{}\n", self.device_path().display()).as_bytes())?;
        Ok(Answer::zero())
    }
}

fn copied(copied: &Copied) -> Answer {
    Answer::Made(format!("{} files, {} bytes", copied.files, copied.bytes))
}

fn write_zeros(mut image: &File, size: u64) -> Result<(), Refusal> {
    let zeros = vec![0; 1 << 20];
    let mut progress = crate::progress::Progress::new();
    let mut left = size;
    while left > 0 {
        let step = left.min(zeros.len() as u64);
        image.write_all(&zeros[..step as usize])?;
        progress.add(step);
        left -= step;
    }
    Ok(())
}

/// The file behind a loop device, as /sys shows it; none when it is free.
fn shown_by(device: &Path) -> Option<Vec<u8>> {
    let name = device.file_name()?.to_str()?;
    std::fs::read(format!("/sys/block/{name}/loop/backing_file")).ok()
}
