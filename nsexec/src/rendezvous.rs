//! The calls that meet somebody outside: scripts and other processes learn the program's number, and are waited for. Each
//! with its faces, as in call.rs; what is refused here needs no word beside the errno.

use crate::call::State;
use chain::{Answer, Refusal, Shell, quoted};
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A call; each variant is named after what it does to a file or a descriptor.
#[derive(Debug)]
pub enum Rendezvous {
    /// The program's PID to a file
    WritePidFile(PathBuf),
    /// unlink(2)
    RemovePidFile(PathBuf),
    /// The program's PID to a descriptor, then close(2)
    TellReady(OwnedFd),
    /// read(2) until the end
    WaitForEnd(OwnedFd),
}

impl Display for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Rendezvous::WritePidFile(path) => write!(f, "write({}, PID)", quoted(path)),
            Rendezvous::RemovePidFile(path) => write!(f, "unlink({})", quoted(path)),
            Rendezvous::TellReady(fd) => write!(f, "write({0}, PID)\nclose({0})", fd.as_raw_fd()),
            Rendezvous::WaitForEnd(fd) => write!(f, "read({})", fd.as_raw_fd()),
        }
    }
}

impl Rendezvous {
    /// The classic command that does the same, where a script has the number.
    pub fn shell(&self) -> Shell {
        match self {
            Rendezvous::WaitForEnd(fd) => Shell::Line(format!("cat <&{} >/dev/null", fd.as_raw_fd()).into()),
            Rendezvous::WritePidFile(_) | Rendezvous::RemovePidFile(_) | Rendezvous::TellReady(_) => {
                Shell::Nothing
            }
        }
    }

    /// Not where whoever has the other end may let this process wait.
    pub fn is_quick(&self) -> bool {
        !matches!(self, Rendezvous::WaitForEnd(_) | Rendezvous::TellReady(_))
    }

    /// Makes the request; a PID file is removed only if it was written.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self, state: &mut State) -> Result<Answer, Refusal> {
        match self {
            Rendezvous::WritePidFile(path) => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(path)?;
                state.has_pid_file = true;
                file.write_all(format!("{}\n", state.program()).as_bytes())?;
            }
            Rendezvous::RemovePidFile(_) if !state.has_pid_file => return Ok(Answer::AlreadyThere),
            Rendezvous::RemovePidFile(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Answer::AlreadyThere),
                answer => answer?,
            },
            Rendezvous::TellReady(fd) => {
                File::from(fd.try_clone()?).write_all(format!("{}\n", state.program()).as_bytes())?;
            }
            Rendezvous::WaitForEnd(fd) => {
                let mut file = File::from(fd.try_clone()?);
                let mut buffer = [0; 512];
                while file.read(&mut buffer)? > 0 {}
            }
        }
        Ok(Answer::zero())
    }
}
