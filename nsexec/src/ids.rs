//! The calls that give this process its ids in a user namespace: 0 in a new one, without privileges, or 0 in one that was
//! joined. Each with its four faces, as in call.rs.

use crate::call::{apparmor, write_once};
use chain::{Answer, Refusal, Shell};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::fmt::{self, Display};
use std::path::Path;

/// A call about ids; each variant is named after what it writes or who it makes of the process.
#[derive(Debug)]
pub enum IdCall {
    /// `/proc/self/setgroups`, which must say deny before an unprivileged gid_map: user_namespaces(7)
    DenySetgroups,
    /// `/proc/self/uid_map` or `gid_map`: one id, 0 inside
    WriteMap { file: &'static str, outside: u32 },
    /// setresgid(2), setresuid(2): id 0 of a user namespace that was joined
    BecomeRoot,
}

impl Display for IdCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            IdCall::DenySetgroups => f.write_str("write(\"/proc/self/setgroups\", \"deny\")"),
            IdCall::WriteMap { file, outside } => {
                write!(f, "write(\"/proc/self/{file}\", \"0 {outside} 1\")")
            }
            IdCall::BecomeRoot => f.write_str("setresgid(0, 0, 0)\nsetresuid(0, 0, 0)"),
        }
    }
}

impl IdCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        match self {
            // --map-root-user does all three.
            IdCall::WriteMap { file: "uid_map", .. } => Shell::enter(["unshare", "--map-root-user"]),
            IdCall::DenySetgroups | IdCall::WriteMap { .. } => Shell::Implied,
            IdCall::BecomeRoot => Shell::enter(["nsenter", "--setuid=0", "--setgid=0"]),
        }
    }

    /// Makes the request.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self) -> Result<Answer, Refusal> {
        match self {
            IdCall::DenySetgroups => write_once(Path::new("/proc/self/setgroups"), "deny"),
            IdCall::WriteMap { file, outside } => {
                write_once(&Path::new("/proc/self").join(file), &format!("0 {outside} 1"))
            }
            IdCall::BecomeRoot => become_root(),
        }
    }

    /// The cause and the cure.
    pub fn hint(&self, errno: Errno) -> Option<String> {
        match (self, errno) {
            (IdCall::DenySetgroups | IdCall::WriteMap { .. }, Errno::EPERM | Errno::EACCES) => {
                apparmor(errno).or_else(|| {
                    Some(
                        "the kernel lets a process without privileges map its own ids only, and only once"
                            .into(),
                    )
                })
            }
            _ => None,
        }
    }
}

fn become_root() -> Result<Answer, Refusal> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    match give_up_groups().and_then(|()| setresgid(gid, gid, gid)) {
        // The namespace has no id 0: the caller keeps the id it has.
        Err(Errno::EINVAL) => return Ok(Answer::AlreadyThere),
        answer => answer.and_then(|()| setresuid(uid, uid, uid))?,
    }
    Ok(Answer::zero())
}

/// setgroups(2): the groups of the caller mean nothing in there, and where they may not be given up they stay.
fn give_up_groups() -> Result<(), Errno> {
    match setgroups(&[]) {
        Err(Errno::EPERM) => Ok(()),
        answer => answer,
    }
}
