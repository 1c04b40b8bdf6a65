//! Why a file that is there cannot be run: execve(2) answers ENOENT for a missing interpreter, and ENOEXEC for the rest.

use crate::strace::quoted;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::AccessFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the kernel will answer, and the cause and cure in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// What execve(2) answers.
    pub errno: Errno,
    /// The cause and the cure.
    pub hint: String,
}

fn cause(errno: Errno, hint: impl Into<String>) -> Option<Cause> {
    Some(Cause { errno, hint: hint.into() })
}

/// Looks for what stops `path`, an existing file, from being run; none when nothing seems to.
pub fn obstacle(path: &Path) -> Option<Cause> {
    let about = path.metadata().ok()?;
    if !about.is_file() {
        let what = if about.is_dir() { "a directory" } else { "no regular file" };
        return cause(Errno::EACCES, format!("{} is {what}", quoted(path)));
    }
    if nix::unistd::faccessat(AT_FDCWD, path, AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS).is_err() {
        let is_noexec = nix::sys::statvfs::statvfs(path)
            .is_ok_and(|about| about.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC));
        if is_noexec {
            return cause(Errno::EACCES, "it lies on a file system that is mounted noexec");
        }
        return cause(Errno::EACCES, format!("it may not be executed: chmod +x {}", path.display()));
    }
    let mut file = File::open(path).ok()?;
    let mut start = [0; 256];
    let length = file.read(&mut start).ok()?;
    match &start[..length] {
        [] => cause(Errno::ENOEXEC, "the file is empty"),
        [b'#', b'!', line @ ..] => script(line),
        [0x7f, b'E', b'L', b'F', header @ ..] => elf(header, &file),
        _ => cause(
            Errno::ENOEXEC,
            "it is no ELF program, and its first line does not name an interpreter as in #!/bin/sh",
        ),
    }
}

/// The first path, from `path` over the interpreters it names, on which a link of /proc stands that is no path but an open
/// file: from a new root, `/proc/self/exe` leads to the tool of the host that has just made it the root.
pub fn leads_out(path: &Path) -> Option<PathBuf> {
    /// How deep the kernel follows interpreters (fs/exec.c).
    const DEPTH: usize = 6;
    let next = |path: &PathBuf| interpreter(path);
    std::iter::successors(Some(path.to_owned()), next).take(DEPTH).find(|path| passes_an_open_file(path))
}

fn passes_an_open_file(path: &Path) -> bool {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    let without = how.resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // Links that lead in a circle are the same error, and are so without the flag as well.
    openat2(AT_FDCWD, path, without).err() == Some(Errno::ELOOP) && openat2(AT_FDCWD, path, how).is_ok()
}

/// What the kernel runs, or loads, to run this file.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut file = File::open(path).ok()?;
    let mut start = [0; 256];
    let length = file.read(&mut start).ok()?;
    match &start[..length] {
        [b'#', b'!', line @ ..] => named_in(line).map(|word| OsStr::from_bytes(word).into()),
        [0x7f, b'E', b'L', b'F', header @ ..] => loader(header, &file),
        _ => None,
    }
}

/// The interpreter in the first line of a script, which after `#!` begins with `line`.
fn named_in(line: &[u8]) -> Option<&[u8]> {
    let line = line.split(|&byte| matches!(byte, b'\n' | 0)).next().unwrap_or(line);
    line.trim_ascii_start().split(|byte| matches!(byte, b' ' | b'\t')).next()
}

/// A script whose first line, after `#!`, begins with `line`.
fn script(line: &[u8]) -> Option<Cause> {
    let word = named_in(line)?;
    let interpreter = Path::new(OsStr::from_bytes(word));
    if let Some(name) = word.strip_suffix(b"\r") {
        let name = String::from_utf8_lossy(name);
        let hint =
            format!("its lines end in CR LF, so it asks for the interpreter \"{name}\\r\": remove the CRs");
        return cause(Errno::ENOENT, hint);
    }
    if word.is_empty() {
        return cause(Errno::ENOEXEC, "its first line is #! and names no interpreter");
    }
    missing(interpreter)
}

fn missing(interpreter: &Path) -> Option<Cause> {
    if interpreter.exists() {
        return None;
    }
    cause(Errno::ENOENT, format!("the file is there; its interpreter {} is not", quoted(interpreter)))
}

/// The machines this kernel runs, by `e_machine` of elf(5): its own, and the 32-bit one beside it.
#[cfg(target_arch = "x86_64")]
const MACHINES: [u16; 2] = [62, 3];
#[cfg(target_arch = "aarch64")]
const MACHINES: [u16; 2] = [183, 40];

/// The number of two bytes at an offset of an ELF file; `header` is what follows the magic number.
fn number(header: &[u8], at: usize) -> Option<u16> {
    header.get(at - 4..at - 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// An ELF program; `header` is what follows the magic number: elf(5), 64-bit layout.
fn elf(header: &[u8], file: &File) -> Option<Cause> {
    let machine = number(header, 18)?;
    if !MACHINES.contains(&machine) {
        let name = match machine {
            3 => "i386".into(),
            40 => "arm".into(),
            62 => "x86_64".into(),
            183 => "aarch64".into(),
            243 => "riscv".into(),
            other => format!("machine {other} of elf(5)"),
        };
        let hint = format!("it is a program for {name}; this kernel runs {}", std::env::consts::ARCH);
        return cause(Errno::ENOEXEC, hint);
    }
    missing(&loader(header, file)?)
}

/// The program that loads a 64-bit ELF program's libraries.
fn loader(header: &[u8], file: &File) -> Option<PathBuf> {
    let is_64_bit = header.first() == Some(&2);
    if !is_64_bit {
        return None;
    }
    let table = u64::from_le_bytes(header.get(28..36)?.try_into().ok()?);
    let (size, count) = (u64::from(number(header, 54)?), u64::from(number(header, 56)?));
    for entry in 0..count {
        let mut segment = [0; 56];
        file.read_exact_at(&mut segment, table.checked_add(entry * size)?).ok()?;
        const PT_INTERP: [u8; 4] = 3u32.to_le_bytes();
        if segment[..4] == PT_INTERP {
            let offset = u64::from_le_bytes(segment[8..16].try_into().ok()?);
            let length = u64::from_le_bytes(segment[32..40].try_into().ok()?).min(4096);
            let mut name = vec![0; usize::try_from(length).ok()?];
            file.read_exact_at(&mut name, offset).ok()?;
            return Some(OsStr::from_bytes(name.split(|byte| *byte == 0).next()?).into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn obstacle_of(name: &str, bytes: &[u8], mode: u32) -> Option<Cause> {
        let path = std::env::temp_dir().join(format!("boxutils-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = obstacle(&path);
        std::fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn a_sound_script_has_none() {
        assert_eq!(obstacle_of("sound", b"#! /bin/sh -e\ntrue\n", 0o755), None);
    }

    #[test]
    fn each_broken_file_is_told_apart() {
        let foreign = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 11], &[243, 0], &[0; 44]].concat();
        let cases: [(&str, &[u8], u32, Errno, &str); 6] = [
            ("mode", b"#!/bin/sh\n", 0o644, Errno::EACCES, "chmod +x"),
            ("none", b"#!/no/such arg\n", 0o755, Errno::ENOENT, "its interpreter \"/no/such\" is not"),
            ("crlf", b"#!/bin/sh\r\ntrue\r\n", 0o755, Errno::ENOENT, "CR LF"),
            ("empty", b"", 0o755, Errno::ENOEXEC, "empty"),
            ("text", b"echo hello\n", 0o755, Errno::ENOEXEC, "#!/bin/sh"),
            ("riscv", &foreign, 0o755, Errno::ENOEXEC, "riscv"),
        ];
        for (name, bytes, mode, errno, words) in cases {
            let found = obstacle_of(name, bytes, mode).unwrap();
            assert_eq!(found.errno, errno, "{name}");
            assert!(found.hint.contains(words), "{name}: {}", found.hint);
        }
    }

    #[test]
    fn a_program_that_leads_out_is_found_however_deep() {
        let dir = std::env::temp_dir().join(format!("boxutils-{}-out", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name)
        };
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, dir.join(name)).unwrap();
            dir.join(name)
        };
        let direct = write("direct", "#!/proc/self/exe\n".into());
        let nested = write("nested", format!("#! {} -x\n", direct.display()));
        let linked = link("linked", "/proc/self/exe");
        let by_link = write("by-link", format!("#!{}\n", linked.display()));
        let ordinary = link("ordinary", "/bin/sh");
        let sound = write("sound", format!("#!{}\n", ordinary.display()));
        let circle = link("circle", "circle");
        let exe = Some(PathBuf::from("/proc/self/exe"));
        assert_eq!((leads_out(&direct), leads_out(&nested)), (exe.clone(), exe));
        assert_eq!((leads_out(&linked), leads_out(&by_link)), (Some(linked.clone()), Some(linked)));
        for path in [&ordinary, &sound, &circle, Path::new("/bin/sh"), &dir.join("absent")] {
            assert_eq!(leads_out(path), None, "{path:?}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
