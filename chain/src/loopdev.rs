//! Loop devices: a file as a block device, by loop(4). Never a number of our own choice, one ioctl to attach.

use crate::step::Refusal;
use crate::strace::quoted;
use crate::sys::{ioctl_number, ioctl_struct};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

// linux/loop.h
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;
const LOOP_GET_STATUS64: libc::Ioctl = 0x4C05;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    device_inode_rdevice: [u64; 3],
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);

/// How a loop device is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopFlags {
    /// Nothing may be written through it.
    pub read_only: bool,
    /// The kernel takes it away when the last user closes it.
    pub autoclear: bool,
}

impl LoopFlags {
    /// The flags as linux/loop.h names them.
    pub fn names(self) -> String {
        let read_only = if self.read_only { "LO_FLAGS_READ_ONLY|" } else { "" };
        let autoclear = if self.autoclear { "LO_FLAGS_AUTOCLEAR|" } else { "" };
        format!("{read_only}{autoclear}LO_FLAGS_DIRECT_IO")
    }
}

/// An attached loop device, held open.
#[derive(Debug)]
pub struct LoopDevice {
    /// The device; with autoclear, closing the last such descriptor detaches it.
    pub file: File,
    /// Its node, `/dev/loopN`.
    pub path: PathBuf,
}

/// How often a free number may be taken by somebody else between the two calls.
const ATTEMPTS: u32 = 64;

/// Attaches `backing` to a free loop device: LOOP_CTL_GET_FREE, then one LOOP_CONFIGURE. A flock(2) on `backing` stays
/// held by the device. Direct I/O is asked for; the kernel leaves it out where the file system below has none.
///
/// # Errors
/// The call that was refused, with its errno.
pub fn attach(backing: &File, flags: LoopFlags) -> Result<LoopDevice, Refusal> {
    let control = open("/dev/loop-control")?;
    for _ in 0..ATTEMPTS {
        let number = ioctl_number(control.as_fd(), LOOP_CTL_GET_FREE, 0)
            .map_err(|errno| Refusal::at("ioctl(LOOP_CTL_GET_FREE)", errno))?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let file = open(&path)?;
        let mut config = LoopConfig::new(backing, flags);
        match ioctl_struct(file.as_fd(), LOOP_CONFIGURE, &mut config) {
            Ok(_) => return Ok(LoopDevice { file, path }),
            Err(Errno::EBUSY) => {}
            Err(errno) => {
                return Err(Refusal::at(format!("ioctl({}, LOOP_CONFIGURE)", quoted(&path)), errno));
            }
        }
    }
    Err(Refusal::at("ioctl(LOOP_CONFIGURE)", Errno::EBUSY))
}

impl LoopInfo {
    /// The file system and the inode behind the device.
    fn inode(&self) -> (u64, u64) {
        let [device, inode, _] = self.device_inode_rdevice;
        // As new_encode_dev of linux/kdev_t.h packs it.
        let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
        (nix::sys::stat::makedev(major, minor), inode)
    }

    fn with_flags(flags: u32) -> LoopInfo {
        LoopInfo {
            device_inode_rdevice: [0; 3],
            offset: 0,
            size_limit: 0,
            number: 0,
            encryption: [0; 2],
            flags,
            file_name: [0; 64],
            crypt_name: [0; 64],
            key: [0; 32],
            init: [0; 2],
        }
    }
}

impl LoopConfig {
    fn new(backing: &File, flags: LoopFlags) -> LoopConfig {
        let read_only = if flags.read_only { LO_FLAGS_READ_ONLY } else { 0 };
        let autoclear = if flags.autoclear { LO_FLAGS_AUTOCLEAR } else { 0 };
        let info = LoopInfo::with_flags(read_only | autoclear | LO_FLAGS_DIRECT_IO);
        // Block size 0: the kernel takes that of the backing device, so images with small blocks mount as well.
        LoopConfig { fd: backing.as_raw_fd() as u32, block_size: 0, info, reserved: [0; 8] }
    }
}

fn open(path: impl AsRef<Path>) -> Result<File, Refusal> {
    let path = path.as_ref();
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Refusal::at(format!("open({}, O_RDWR)", quoted(path)), errno)
    })
}

/// Detaches the device: LOOP_CLR_FD of loop(4). In use, it goes away with its last user.
///
/// # Errors
/// ENXIO: nothing is attached.
pub fn detach(device: &Path) -> Result<(), Refusal> {
    let file = open(device)?;
    ioctl_number(file.as_fd(), LOOP_CLR_FD, 0)
        .map(|_| ())
        .map_err(|errno| Refusal::at(format!("ioctl({}, LOOP_CLR_FD)", quoted(device)), errno))
}

/// The cause of a refused attach, and the cure.
pub fn why_no_loop(errno: Errno) -> Option<String> {
    match errno {
        Errno::EACCES | Errno::EPERM if !nix::unistd::geteuid().is_root() => {
            Some("attaching a loop device takes root: run it as root".into())
        }
        Errno::EACCES | Errno::EPERM => Some(
            "this process may not use loop devices: a device control group or a container's rules forbid it".into(),
        ),
        Errno::ENOENT if !Path::new("/dev/loop-control").exists() => Some(
            "there is no /dev/loop-control: modprobe loop, then mknod /dev/loop-control c 10 237 where /dev is not devtmpfs"
                .into(),
        ),
        Errno::ENOENT => {
            Some("the kernel has a free loop device and /dev has no node for it: mknod /dev/loopN b 7 N".into())
        }
        Errno::EBUSY => Some("others took every free loop device meanwhile: try again".into()),
        _ => None,
    }
}

/// A loop device in use, as /sys/block shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// `/dev/loopN`.
    pub device: PathBuf,
    /// The file behind it; ` (deleted)` at its end where it was removed.
    pub backing_file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Nothing may be written through it.
    pub read_only: bool,
    /// It goes away with its last user.
    pub autoclear: bool,
    /// It bypasses the page cache of the file system below.
    pub direct_io: bool,
}

/// Every loop device in use, by number.
pub fn attached() -> Vec<Attached> {
    let Ok(blocks) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let numbers =
        blocks.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix("loop")?.parse().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(look_at).collect()
}

fn look_at(number: u32) -> Option<Attached> {
    let text = |name: &str| std::fs::read_to_string(format!("/sys/block/loop{number}/{name}")).ok();
    let holds = |name: &str| text(name).is_some_and(|text| text.trim() == "1");
    let backing_file = text("loop/backing_file")?;
    Some(Attached {
        device: PathBuf::from(format!("/dev/loop{number}")),
        backing_file: PathBuf::from(backing_file.trim_end_matches('\n')),
        size: text("size")?.trim().parse::<u64>().ok()? * 512,
        read_only: holds("ro"),
        autoclear: holds("loop/autoclear"),
        direct_io: holds("loop/dio"),
    })
}

/// The loop devices that show `file`, under whatever name: a hard link is the same file, and the name in /sys is not to be
/// found from here where the file was opened through a mount that is gone, as one of a container's start is.
pub fn devices_on(file: &Path) -> Vec<Attached> {
    let Some(inode) = inode_of(file) else { return Vec::new() };
    let shows = |device: Attached| {
        let answer = status_of(&device.device);
        device.if_it_shows(inode, answer)
    };
    attached().into_iter().filter_map(shows).collect()
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|about| (about.dev(), about.ino()))
}

impl Attached {
    /// Itself, when by its answer it shows the file with this inode. Since /sys was read it may have gone over to another
    /// file, or away, and only one answer tells of one moment.
    fn if_it_shows(self, inode: (u64, u64), answer: Result<LoopInfo, Errno>) -> Option<Attached> {
        match answer {
            Ok(info) => (info.inode() == inode).then_some(Attached {
                read_only: info.flags & LO_FLAGS_READ_ONLY != 0,
                autoclear: info.flags & LO_FLAGS_AUTOCLEAR != 0,
                ..self
            }),
            Err(Errno::ENXIO) => None,
            // It has no node here, or may not be asked: there is the name alone.
            Err(_) => (inode_of(&self.backing_file) == Some(inode)).then_some(self),
        }
    }
}

/// LOOP_GET_STATUS64 of loop(4). ENXIO: nothing is attached, or is just being taken away.
fn status_of(device: &Path) -> Result<LoopInfo, Errno> {
    let file = File::open(device).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let mut info = LoopInfo::with_flags(0);
    ioctl_struct(file.as_fd(), LOOP_GET_STATUS64, &mut info).map(|_| info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_gone_shows_nothing_and_one_that_cannot_be_asked_what_its_name_says() {
        let file = std::env::temp_dir().join(format!("chain-loopdev-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let inode = inode_of(&file).unwrap();
        let device = Attached {
            device: "/dev/loop0".into(),
            backing_file: file.clone(),
            size: 0,
            read_only: true,
            autoclear: false,
            direct_io: false,
        };
        let shown = |answer| device.clone().if_it_shows(inode, answer);
        let of = |inode: (u64, u64)| {
            let (major, minor) = (nix::sys::stat::major(inode.0), nix::sys::stat::minor(inode.0));
            let mut info = LoopInfo::with_flags(LO_FLAGS_AUTOCLEAR);
            info.device_inode_rdevice = [(minor & 0xff) | major << 8 | (minor & !0xff) << 12, inode.1, 0];
            info
        };
        assert_eq!(shown(Err(Errno::ENXIO)), None);
        for refusal in [Errno::EACCES, Errno::EPERM, Errno::ENOENT] {
            assert_eq!(shown(Err(refusal)), Some(device.clone()));
        }
        let asked = Attached { read_only: false, autoclear: true, ..device.clone() };
        assert_eq!(shown(Ok(of(inode))), Some(asked));
        assert_eq!(shown(Ok(of((inode.0, inode.1 + 1)))), None);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(shown(Err(Errno::EACCES)), None);
    }
}
