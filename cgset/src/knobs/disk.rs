//! The disk behind a path: the kernel limits whole disks, by number, and people know partitions, directories and images.

use chain::{Failure, devices_on, mountinfo, quoted};
use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The whole disks behind a block device, a file or a directory, or `MAJOR:MINOR`, each as MAJOR:MINOR. Behind an image
/// that is attached are the loop devices it shows itself through: its own, and not those of the disk it lies on.
///
/// # Errors
/// There is no such file, or no disk behind it.
pub fn behind(target: &OsStr) -> Result<Vec<String>, Failure> {
    if let Some(numbers) = target.to_str().filter(|text| is_numbers(text)) {
        return Ok(vec![whole(numbers)]);
    }
    let path = Path::new(target);
    let about = path.metadata().map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure::refused(format!("stat({})", quoted(target)), errno)
            .why("the kernel limits a disk by its number, which is looked up")
            .hint("name a disk, or a path on one: /dev/vda:wbps=4M")
    })?;
    let kind = about.file_type();
    if kind.is_block_device() {
        return Ok(vec![whole(&numbers_of(about.rdev()))]);
    }
    if kind.is_file() {
        let loops: Vec<String> = devices_on(path)
            .iter()
            .filter_map(|one| Some(numbers_of(one.device.metadata().ok()?.rdev())))
            .collect();
        if !loops.is_empty() {
            return Ok(loops);
        }
    }
    let is_on_a_disk = (kind.is_file() || kind.is_dir()) && major(about.dev()) != 0;
    if !is_on_a_disk {
        let what = match kind.is_file() || kind.is_dir() {
            true => format!("{} is on {}, whose number is no disk's", quoted(target), file_system_of(path)),
            false => format!("{} is neither a disk nor a file on one", quoted(target)),
        };
        return Err(
            Failure::new(what).hint("name the disk itself, by its node or as MAJOR:MINOR: lsblk lists them")
        );
    }
    Ok(vec![whole(&numbers_of(about.dev()))])
}

fn is_numbers(text: &str) -> bool {
    text.split_once(':').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn numbers_of(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// The disk a partition is part of: in /sys its directory is inside that of the disk.
fn whole(numbers: &str) -> String {
    let parent = || {
        let directory = std::fs::canonicalize(Path::new("/sys/dev/block").join(numbers)).ok()?;
        let parent = directory.parent().filter(|_| directory.join("partition").exists())?;
        std::fs::read_to_string(parent.join("dev")).ok()
    };
    parent().map_or_else(|| numbers.to_owned(), |text| text.trim().to_owned())
}

/// The name of the file system at a path, for a message.
fn file_system_of(path: &Path) -> String {
    let full = std::fs::canonicalize(path).unwrap_or_default();
    let mut around = mountinfo();
    around.retain(|mount| full.starts_with(&mount.point));
    // The later of two on one point covers the earlier.
    let nearest = around.into_iter().max_by_key(|mount| mount.point.as_os_str().len());
    nearest.map_or("a file system without a disk".into(), |mount| mount.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_they_are_and_what_has_no_disk_is_refused() {
        assert_eq!(behind("4000:7".as_ref()).unwrap(), ["4000:7"]);
        let said = |path: &str| behind(path.as_ref()).unwrap_err().to_string();
        assert!(said("/proc/self").starts_with("\"/proc/self\" is on proc, whose number is no disk's"));
        assert!(said("/dev/null").starts_with("\"/dev/null\" is neither a disk nor a file on one"));
        assert!(said("/nowhere").starts_with("stat(\"/nowhere\"): No such file or directory (ENOENT)"));
    }
}
