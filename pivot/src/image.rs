//! An image or a block device: what file system it holds, read from its superblock, where nothing is guessed and nothing is
//! tried; and how an image becomes a block device.

use anyhow::Context;
use chain::{LoopDevice, LoopFlags, Refusal, quoted};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Offset and magic number of each file system that can be a root.
const MAGICS: [(&str, u64, &[u8]); 5] = [
    ("ext4", 1080, &[0x53, 0xef]),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
];

/// The name of the file system, as mount(2) takes it; none when it is of none of these kinds.
///
/// # Errors
/// The file cannot be read.
pub fn file_system_of(file: &File, path: &Path) -> anyhow::Result<Option<&'static str>> {
    let mut magic = [0; 8];
    for (name, offset, expected) in MAGICS {
        let length = file.read_at(&mut magic, offset).with_context(|| format!("read({})", quoted(path)))?;
        if magic[..length].starts_with(expected) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Their names, for a message.
pub fn known() -> String {
    MAGICS.map(|(name, _, _)| name).join(", ")
}

/// Those that cannot be written, whatever is asked.
pub fn is_always_read_only(file_system: &str) -> bool {
    matches!(file_system, "squashfs" | "erofs")
}

/// How long the end of another container is waited for. The kernel takes its loop device away with the last who has it
/// open, and that may be somebody who only looks which file it shows, as every start of a container does.
const PATIENCE: Duration = Duration::from_millis(200);

/// Opens, locks and attaches an image. The lock stays with the loop device for as long as it is attached.
///
/// # Errors
/// EWOULDBLOCK of flock(2): it is attached already, and one of both writes. What the kernel answered.
pub fn attach(image: &Path, read_only: bool) -> Result<LoopDevice, Refusal> {
    let opened = OpenOptions::new().read(true).write(!read_only).open(image);
    let file = opened.map_err(|error| {
        let mode = if read_only { "O_RDONLY" } else { "O_RDWR" };
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Refusal::at(format!("open({}, {mode})", quoted(image)), errno)
    })?;
    let (kind, name) = match read_only {
        true => (FlockArg::LockSharedNonblock, "LOCK_SH"),
        false => (FlockArg::LockExclusiveNonblock, "LOCK_EX"),
    };
    let lock = lock(file, kind, PATIENCE, || is_attached(image, read_only))
        .map_err(|errno| Refusal::at(format!("flock({}, {name}|LOCK_NB)", quoted(image)), errno))?;
    let device = chain::attach(&lock, LoopFlags { read_only, autoclear: true })?;
    // Dropping it would unlock what the loop device goes on to hold; the descriptor itself closes at exec.
    std::mem::forget(lock);
    Ok(device)
}

/// Whether a loop device shows the image in a way that rules this one out.
fn is_attached(image: &Path, read_only: bool) -> bool {
    chain::devices_on(image).iter().any(|device| !(read_only && device.read_only))
}

/// Locks an image. Only the lock is asked for again and again: a loop device that holds it lets go when it is detached,
/// and each look for devices opens them all, which keeps those attached that others wait for.
fn lock(
    mut file: File,
    kind: FlockArg,
    patience: Duration,
    is_attached: impl Fn() -> bool,
) -> Result<Flock<File>, Errno> {
    let end = Instant::now() + patience;
    let lock = loop {
        match Flock::lock(file, kind) {
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < end => file = again,
            answer => break answer.map_err(|(_, errno)| errno)?,
        }
        sleep(patience / 40);
    };
    // Others who attached it took no lock.
    if is_attached() {
        sleep(end.saturating_duration_since(Instant::now()));
        if is_attached() {
            return Err(Errno::EWOULDBLOCK);
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_magic_is_found_where_it_stands_and_zeros_are_nothing() {
        let path = std::env::temp_dir().join(format!("pivot-magic-{}", std::process::id()));
        for (name, offset, magic) in MAGICS {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_len(70000).unwrap();
            assert_eq!(file_system_of(&file, &path).unwrap(), None);
            file.write_at(magic, offset).unwrap();
            assert_eq!(file_system_of(&file, &path).unwrap(), Some(name));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn loop_devices_are_looked_for_twice_at_most_and_only_by_who_has_the_lock() {
        let path = std::env::temp_dir().join(format!("pivot-lock-{}", std::process::id()));
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        // What devices answer, one look after the other, and how many looks were taken.
        let try_for = |patience, answers: &[bool]| {
            let looks = std::cell::Cell::new(0);
            let look = || answers[looks.replace(looks.get() + 1)];
            let errno = lock(open(), FlockArg::LockExclusiveNonblock, patience, look).err();
            (errno, looks.get())
        };
        let short = Duration::from_millis(40);
        assert_eq!(try_for(short, &[false]), (None, 1));
        assert_eq!(try_for(short, &[true, false]), (None, 2));
        assert_eq!(try_for(short, &[true, true]), (Some(Errno::EWOULDBLOCK), 2));
        let other = lock(open(), FlockArg::LockSharedNonblock, short, || false).unwrap();
        assert_eq!(try_for(short, &[]), (Some(Errno::EWOULDBLOCK), 0));
        // It is given up while this one waits.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(short);
                drop(other);
            });
            assert_eq!(try_for(Duration::from_secs(10), &[false]), (None, 1));
        });
        std::fs::remove_file(&path).unwrap();
    }
}
