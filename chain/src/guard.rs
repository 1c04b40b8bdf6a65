//! What keeps a program inside from getting at the host through the tool that lets it in: a copy of the tool in memory that
//! nobody can write to, descriptors that lead nowhere, a process that cannot be traced.

use crate::exec::Program;
use crate::fail::Failure;
use crate::narrate::Mode;
use crate::plan::Plan;
use crate::shell::Shell;
use crate::step::{Answer, Call, Refusal, Step};
use crate::strace::quoted;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The program this process runs, or the file it is a sealed copy of.
pub fn own_path() -> Option<PathBuf> {
    let link = std::fs::read_link("/proc/self/exe").ok()?;
    match original(link.as_os_str()) {
        Some(path) if is_sealed_copy() => Some(path),
        _ => Some(link),
    }
}

/// The path in the name of a copy: the kernel shows it as `/memfd:PATH (deleted)`.
fn original(link: &OsStr) -> Option<PathBuf> {
    let name = link.as_bytes().strip_prefix(b"/memfd:")?.strip_suffix(b" (deleted)")?;
    name.starts_with(b"/").then(|| PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// What makes a file in memory one that nobody can change any more, not even through /proc.
const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Whether this process runs from such a file. Only files in memory have seals at all.
pub fn is_sealed_copy() -> bool {
    let seals = File::open("/proc/self/exe").ok().and_then(|file| fcntl(&file, FcntlArg::F_GET_SEALS).ok());
    seals.is_some_and(|seals| SealFlag::from_bits_retain(seals).contains(SEALS))
}

/// Why a tool that lets a program in goes on from a copy.
const WHY_COPY: &str = "a program inside could write to this tool through its /proc/PID/exe: go on from a copy nobody can write to";

/// The bytes of the program this process runs into a file in memory, and the seals on it.
struct Copy {
    to: File,
    from: PathBuf,
}

impl Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let fd = self.to.as_raw_fd();
        let seals = "F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE";
        write!(f, "sendfile({fd}, {})\nfcntl({fd}, F_ADD_SEALS, {seals})", quoted(&self.from))
    }
}

impl Call for Copy {
    type State = ();

    fn shell(&self) -> Shell {
        Shell::Nothing
    }

    fn run(&self, (): &mut ()) -> Result<Answer, Refusal> {
        std::io::copy(&mut File::open("/proc/self/exe")?, &mut &self.to)?;
        fcntl(&self.to, FcntlArg::F_ADD_SEALS(SEALS))?;
        Ok(Answer::zero())
    }
}

/// The empty file in memory that a copy goes to. Its name is the program's path, where that is short enough, so that
/// whoever looks, this process too, knows what it is a copy of.
fn empty_copy(path: &Path) -> Result<OwnedFd, Failure> {
    let created = match crate::exec::c_string(path).and_then(|name| sys::memfd_create(&name)) {
        // A name takes 249 bytes.
        Err(Errno::EINVAL) => sys::memfd_create(c"boxutils"),
        answer => answer,
    };
    created.map_err(|errno| {
        let call = format!("memfd_create({}, MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_EXEC)", quoted(path));
        let failure = Failure::refused(call, errno).why(WHY_COPY);
        match errno {
            Errno::EACCES => failure.hint(
                "sysctl vm.memfd_noexec=2 forbids programs in memory: set it to 1 or 0 in this PID namespace",
            ),
            _ => failure,
        }
    })
}

/// Becomes the same tool with the same words, run from a sealed copy of itself. Returns only where that failed.
///
/// # Errors
/// The copy cannot be made or run.
pub fn go_on_from_a_copy(tool: &'static str, mode: &Mode) -> Result<u8, Failure> {
    let from = own_path().unwrap_or_default();
    let copy = empty_copy(&from)?;
    let number = copy.as_raw_fd();
    let program = Program::of_descriptor(
        copy.try_clone().map_err(|_| Failure::refused(format!("dup({number})"), Errno::last()))?,
        std::env::args_os().collect(),
    );
    let step = Step::new(WHY_COPY, Copy { to: copy.into(), from });
    Plan { program: Some(program), ..Plan::of(vec![step]) }.carry_out(tool, mode)
}

/// A process that runs from a descriptor is called by a number or a memfd's name: gives it back the tool's.
pub fn name_this_process(tool: &str) {
    if let Ok(name) = crate::exec::c_string(tool) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// PR_SET_DUMPABLE of prctl(2): from now to the next exec nobody without rights over the user namespace this program was
/// started in can trace this process, or open its descriptors and its program in /proc.
///
/// # Errors
/// None that the kernel is known to answer.
pub fn forbid_tracing() -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

/// Descriptors 0 to 2 are the program's to keep; a directory among them would be a way out.
///
/// # Errors
/// There is one.
pub fn refuse_open_directories() -> Result<(), Failure> {
    for (fd, about) in
        [(0, fstat(std::io::stdin())), (1, fstat(std::io::stdout())), (2, fstat(std::io::stderr()))]
    {
        let is_directory = about
            .is_ok_and(|about| SFlag::from_bits_truncate(about.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR);
        if is_directory {
            return Err(Failure::new(format!("descriptor {fd} is a directory of the host"))
                .why("an open directory of the host would be a way out of the new root")
                .hint(format!("redirect it: {fd}</dev/null")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_copy_is_the_path_of_its_original() {
        let of = |link: &str| original(OsStr::new(link));
        assert_eq!(of("/memfd:/usr/bin/nsexec (deleted)"), Some("/usr/bin/nsexec".into()));
        assert_eq!(of("/memfd:boxutils (deleted)"), None);
        assert_eq!(of("/usr/bin/nsexec"), None);
        assert_eq!(of("/usr/bin/nsexec (deleted)"), None);
    }

    #[test]
    fn a_copy_of_this_program_is_sealed_and_is_this_program() {
        use std::io::{Read, Seek, Write};
        let path = own_path().unwrap();
        let copy = Copy { to: empty_copy(&path).unwrap().into(), from: path };
        copy.run(&mut ()).unwrap();
        let mut copy = copy.to;
        let seals = SealFlag::from_bits_retain(fcntl(&copy, FcntlArg::F_GET_SEALS).unwrap());
        assert!(seals.contains(SEALS));
        assert!(copy.write_all(b"x").is_err());
        let mut bytes = Vec::new();
        copy.rewind().unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, std::fs::read("/proc/self/exe").unwrap());
        assert!(!is_sealed_copy());
    }
}
