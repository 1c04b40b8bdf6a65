//! What a program would inherit of its caller, and is given anew instead: environment, signals, keys, limits, descriptors.
//! Each call with its four faces, as in call.rs.

use crate::state::State;
use crate::sys;
use chain::{Answer, Refusal, Shell};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};

/// A call about what goes through execve(2) to the program.
#[derive(Debug)]
pub enum Inherited {
    /// clearenv(3), setenv(3); without a HOME among them, the one of the user
    SetEnvironment(Vec<(OsString, OsString)>),
    /// signal(2), sigprocmask(2)
    ResetSignals,
    /// keyctl(2)
    JoinSessionKeyring,
    /// setrlimit(2)
    LimitCore,
    /// umask(2)
    SetUmask,
    /// close_range(2), and fcntl(2) for those that are kept, which are the program's and outlive the step
    CloseDescriptors(Vec<ManuallyDrop<OwnedFd>>),
}

/// A core limit of one byte: with it the kernel does not start the helper of a piped core_pattern either, which a limit
/// of 0 does not prevent (fs/coredump.c).
const CORE_LIMIT: u64 = 1;

impl Display for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Inherited::SetEnvironment(pairs) => {
                f.write_str("clearenv()")?;
                pairs.iter().try_for_each(|(name, value)| {
                    write!(f, "\nsetenv({}, {})", chain::quoted(name), chain::quoted(value))
                })
            }
            Inherited::ResetSignals => {
                f.write_str("signal({1…64}, SIG_DFL)\nsigprocmask(SIG_SETMASK, [], NULL)")
            }
            Inherited::JoinSessionKeyring => f.write_str("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)"),
            Inherited::LimitCore => write!(f, "setrlimit(RLIMIT_CORE, {{{CORE_LIMIT}, {CORE_LIMIT}}})"),
            Inherited::SetUmask => f.write_str("umask(022)"),
            Inherited::CloseDescriptors(keep) => {
                f.write_str("close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)")?;
                keep.iter().try_for_each(|fd| write!(f, "\nfcntl({}, F_SETFD, 0)", fd.as_raw_fd()))
            }
        }
    }
}

impl Inherited {
    pub fn shell(&self) -> Shell {
        match self {
            Inherited::SetEnvironment(pairs) => {
                // --default-signal is the next step; env(1) takes no option after a variable.
                let mut words = vec![OsString::from("env"), "-i".into(), "--default-signal".into()];
                words.extend(pairs.iter().map(|(name, value)| {
                    let mut pair = name.clone();
                    pair.push("=");
                    pair.push(value);
                    chain::quote(&pair)
                }));
                if !pairs.iter().any(|(name, _)| name == "HOME") {
                    words.push("HOME=\"$home\"".into());
                }
                Shell::Through(words)
            }
            Inherited::ResetSignals => Shell::Implied,
            Inherited::LimitCore => Shell::Line(
                format!("[ \"$(ulimit -H -c)\" = 0 ] || prlimit --pid $$ --core={CORE_LIMIT}:{CORE_LIMIT}")
                    .into(),
            ),
            Inherited::SetUmask => Shell::line(["umask", "022"]),
            Inherited::JoinSessionKeyring | Inherited::CloseDescriptors(_) => Shell::Nothing,
        }
    }

    pub fn run(&self, state: &State) -> Result<Answer, Refusal> {
        match self {
            Inherited::SetEnvironment(pairs) => {
                let home = (OsString::from("HOME"), state.account.home.clone());
                let mut pairs = pairs.clone();
                if !pairs.iter().any(|(name, _)| name == "HOME") {
                    pairs.push(home);
                }
                chain::set_environment(&pairs);
            }
            Inherited::ResetSignals => sys::reset_signals()?,
            Inherited::JoinSessionKeyring => match chain::join_new_session_keyring() {
                // A kernel without key rings has none to leave.
                Err(Errno::ENOSYS) => return Ok(Answer::AlreadyThere),
                answer => return Ok(Answer::Made(answer?.to_string())),
            },
            Inherited::LimitCore => match setrlimit(Resource::RLIMIT_CORE, CORE_LIMIT, CORE_LIMIT) {
                // A hard limit of 0, as login sessions often have, cannot be raised, and writes no file either.
                Err(Errno::EPERM) if !dumps_are_piped() => return Ok(Answer::AlreadyThere),
                answer => answer?,
            },
            Inherited::SetUmask => drop(umask(Mode::from_bits_truncate(0o022))),
            Inherited::CloseDescriptors(keep) => {
                chain::close_from_at_exec(3)?;
                for fd in keep {
                    nix::fcntl::fcntl(&**fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
                }
            }
        }
        Ok(Answer::zero())
    }

    pub fn hint(&self, errno: Errno) -> Option<String> {
        (matches!(self, Inherited::LimitCore) && errno == Errno::EPERM).then(|| {
            "the hard limit is 0, with which dumps still go to the program in core_pattern: start it with ulimit -c 1".into()
        })
    }
}

/// Whether core dumps go to a program of the host: core(5).
fn dumps_are_piped() -> bool {
    std::fs::read("/proc/sys/kernel/core_pattern").map_or(true, |pattern| pattern.starts_with(b"|"))
}
