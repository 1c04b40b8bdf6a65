//! Who uses a block device: mounts in any mount namespace, swap, processes that have it open. It only looks.

use chain::{Mount, devices_on, mountinfo, mountinfo_of, quoted};
use nix::sys::stat::{major, minor};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The users of `device`, in words; says so where none is found.
pub fn of(device: &Path) -> String {
    let mut found = mounts(device);
    found.extend(swaps(device));
    if found.is_empty() {
        found = processes(device);
    }
    match found.is_empty() {
        true => "nobody who can be seen from here holds it".into(),
        false => found.into_iter().collect::<Vec<String>>().join(", "),
    }
}

/// Whether it is mounted, swapped on, or open in another process.
pub fn any(device: &Path) -> bool {
    !mounts(device).is_empty() || !swaps(device).is_empty() || !processes(device).is_empty()
}

/// The users of `device`, in words; none where nobody can be seen who would keep --detach from taking it away.
pub fn users(device: &Path) -> Option<String> {
    any(device).then(|| of(device))
}

/// How a device goes away that these `users` have.
pub fn way_to_free(device: &Path, users: Option<&str>) -> String {
    let detach = format!("mkimg --detach {} takes it away", device.display());
    match users {
        Some(users) => format!("{detach} once nobody uses it; now it is {users}"),
        None => detach,
    }
}

/// Where it is mounted, as this process sees it.
pub fn mount_points(device: &Path) -> Vec<PathBuf> {
    let Some(number) = number_of(device) else { return Vec::new() };
    mounted(mountinfo(), &number).collect()
}

/// Who has the lock of flock(2) on `image`: a loop device, or the processes that /proc/locks names.
pub fn of_lock(image: &Path) -> String {
    if let Some(device) = devices_on(image).first() {
        let device = &device.device;
        return format!("{} shows it: {}", device.display(), way_to_free(device, users(device).as_deref()));
    }
    let inode = image.metadata().map(|about| about.ino()).unwrap_or(0);
    let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let holders: Vec<String> =
        lockers(&text, inode).map(|process| format!("process {process} ({})", name_of(process))).collect();
    match holders.is_empty() {
        true => "somebody who cannot be seen from here holds it".into(),
        false => format!("{} holds it", holders.join(", ")),
    }
}

/// The processes with a flock(2) on an inode: `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE ...` of proc_locks(5).
fn lockers(locks: &str, inode: u64) -> impl Iterator<Item = u32> {
    locks.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.get(5)?.rsplit(':').next()?;
        (words[1] == "FLOCK" && place.parse() == Ok(inode)).then(|| words[4].parse().ok()).flatten()
    })
}

fn number_of(device: &Path) -> Option<String> {
    let number = device.metadata().ok()?.rdev();
    Some(format!("{}:{}", major(number), minor(number)))
}

/// The mount points of device `number` in a mount table.
fn mounted(table: Vec<Mount>, number: &str) -> impl Iterator<Item = PathBuf> {
    table.into_iter().filter(move |mount| mount.device == number).map(|mount| mount.point)
}

/// One line for each mount point, with a process that sees it where we do not.
fn mounts(device: &Path) -> BTreeSet<String> {
    let own: BTreeSet<String> =
        mount_points(device).iter().map(|at| format!("mounted on {}", shown(at))).collect();
    let Some(number) = number_of(device).filter(|_| own.is_empty()) else { return own };
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    for process in numbers_in("/proc") {
        let namespace = std::fs::read_link(format!("/proc/{process}/ns/mnt"));
        if !namespace.is_ok_and(|namespace| seen.insert(namespace)) {
            continue;
        }
        found.extend(
            mounted(mountinfo_of(&process.to_string()), &number)
                .map(|at| format!("mounted on {} of process {process} ({})", shown(&at), name_of(process))),
        );
    }
    found
}

fn swaps(device: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let is_swap = text.lines().any(|line| line.split_whitespace().next().map(Path::new) == Some(device));
    is_swap.then(|| "swapped on".to_owned()).into_iter().collect()
}

fn processes(device: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for process in numbers_in("/proc").filter(|process| *process != std::process::id()) {
        let directory = format!("/proc/{process}/fd");
        let has_it =
            |fd| std::fs::read_link(format!("{directory}/{fd}")).is_ok_and(|target| target == device);
        if numbers_in(&directory).any(has_it) {
            found.insert(format!("open in process {process} ({})", name_of(process)));
        }
    }
    found
}

fn numbers_in(directory: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn name_of(process: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    shown(name.trim_end())
}

/// A name as one can print it, whatever it holds.
fn shown(name: impl AsRef<OsStr>) -> String {
    let quoted = quoted(name);
    quoted.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_by_the_number_of_the_device() {
        let text = b"22 1 7:0 / / rw - ext4 /dev/loop0 rw\n23 22 7:10 / /b rw - ext4 /dev/loop10 rw\n\
                     24 22 7:1 /sub /a\\040b rw shared:1 - ext4 /dev/loop1 rw\n";
        let table = || chain::mounts_in(text);
        assert_eq!(mounted(table(), "7:1").collect::<Vec<_>>(), [Path::new("/a b")]);
        assert_eq!(mounted(table(), "7:2").count(), 0);
    }
    #[test]
    fn a_lock_is_found_by_its_inode() {
        let text = "1: POSIX  ADVISORY  WRITE 40 fe:00:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 41 fe:00:7 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 42 fe:00:7 0 EOF\n3: FLOCK  ADVISORY  READ 43 fe:00:8 0 EOF\n";
        assert_eq!(lockers(text, 7).collect::<Vec<_>>(), [41]);
        assert_eq!(lockers(text, 9).count(), 0);
    }
}
