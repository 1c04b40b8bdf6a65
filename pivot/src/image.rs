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
    let end = Instant::now() + PATIENCE;
    let lock = loop {
        match lock(image, read_only) {
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() < end => sleep(PATIENCE / 40),
            answer => break answer.map_err(|(call, errno)| Refusal::at(call, errno))?,
        }
    };
    let device = chain::attach(&lock, LoopFlags { read_only, autoclear: true })?;
    // Dropping it would unlock what the loop device goes on to hold; the descriptor itself closes at exec.
    std::mem::forget(lock);
    Ok(device)
}

/// Opens and locks an image, or says which call was refused.
fn lock(image: &Path, read_only: bool) -> Result<Flock<File>, (String, Errno)> {
    let opened = OpenOptions::new().read(true).write(!read_only).open(image);
    let file = opened.map_err(|error| {
        let mode = if read_only { "O_RDONLY" } else { "O_RDWR" };
        (format!("open({}, {mode})", quoted(image)), Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    })?;
    let (kind, name) = match read_only {
        true => (FlockArg::LockSharedNonblock, "LOCK_SH"),
        false => (FlockArg::LockExclusiveNonblock, "LOCK_EX"),
    };
    let refused = |errno| (format!("flock({}, {name}|LOCK_NB)", quoted(image)), errno);
    // Others who attached it took no lock.
    if chain::devices_on(image).iter().any(|device| !(read_only && device.read_only)) {
        return Err(refused(Errno::EWOULDBLOCK));
    }
    Flock::lock(file, kind).map_err(|(_, errno)| refused(errno))
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
}
