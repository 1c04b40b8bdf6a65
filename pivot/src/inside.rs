//! What is in a container's /dev: six devices of the host, each bound by itself, and the links that programs expect.

use chain::{Refusal, Shell, quoted};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, mkdirat, stat};
use nix::unistd::{fchdir, symlinkat};
use std::os::fd::BorrowedFd;

/// Each device with its number, as `st_rdev` has it for numbers below 256.
const DEVICES: [(&str, u64); 6] = [
    ("null", 0x103),
    ("zero", 0x105),
    ("full", 0x107),
    ("random", 0x108),
    ("urandom", 0x109),
    ("tty", 0x500),
];
/// Each link with what it leads to.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Directories for what is mounted below /dev.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];

/// Where /dev/null and the like are not what they should be.
pub const WRONG_DEVICE: &str = "it is not the device of that name: the host's /dev is not what it should be";

/// The calls of `fill`, as strace prints them.
pub fn as_calls() -> String {
    let devices = DEVICES.map(|(name, _)| name).join(", ");
    let directories = DIRECTORIES.join(", ");
    let links = LINKS.map(|(name, target)| format!("{name} -> {target}")).join(", ");
    format!(
        "mount(\"/dev/{{{devices}}}\", \"dev/{{{devices}}}\", NULL, MS_BIND, NULL)\nmkdirat({{{directories}}})\nsymlinkat({{{links}}})"
    )
}

/// The classic commands that do the same, in the new root.
pub fn as_commands() -> Shell {
    let devices = DEVICES.map(|(name, _)| name).join(" ");
    let first = format!("for name in {devices}; do : > dev/$name; mount --bind /dev/$name dev/$name; done");
    let directories = format!("mkdir -m 755 {}", DIRECTORIES.map(|name| format!("dev/{name}")).join(" "));
    let links = LINKS.map(|(name, target)| format!("ln -s {target} dev/{name}"));
    let lines: Vec<String> = [first, directories].into_iter().chain(links).collect();
    Shell::Line(lines.join("\n").into())
}

/// Fills `dev`, our own tmpfs. The old root is still `/`, so the devices bound are the host's.
/// Leaves the working directory in `dev`.
pub fn fill(dev: BorrowedFd) -> Result<(), Refusal> {
    fchdir(dev)?;
    for (name, number) in DEVICES {
        let source = format!("/dev/{name}");
        let about = stat(source.as_str())
            .map_err(|errno| Refusal::at(format!("stat({})", quoted(&source)), errno))?;
        if !SFlag::from_bits_truncate(about.st_mode).contains(SFlag::S_IFCHR) || about.st_rdev != number {
            return Err(Refusal::at(format!("stat({})", quoted(&source)), Errno::ENODEV));
        }
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        nix::fcntl::openat(dev, name, flags, Mode::from_bits_truncate(0o666))
            .map_err(|errno| Refusal::at(format!("openat({}, O_CREAT)", quoted(name)), errno))?;
        mount(Some(source.as_str()), name, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(
            |errno| {
                Refusal::at(
                    format!("mount({}, {}, NULL, MS_BIND, NULL)", quoted(&source), quoted(name)),
                    errno,
                )
            },
        )?;
    }
    for name in DIRECTORIES {
        mkdirat(dev, name, Mode::from_bits_truncate(0o755))
            .map_err(|errno| Refusal::at(format!("mkdirat({})", quoted(name)), errno))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name)
            .map_err(|errno| Refusal::at(format!("symlinkat({})", quoted(name)), errno))?;
    }
    Ok(())
}
