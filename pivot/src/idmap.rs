//! The map of `--userns`: which ids outside stand behind those inside. Id 0 of the host is never among them.

use chain::{Failure, Holder, Kind, Refusal, quoted};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::mountfd::{Attributes, FileSystem};

/// Ids 0 up to `count` inside are `outer` and the ones after it outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    pub outer: u32,
    pub count: u32,
}

/// Where root has no range of its own.
const FALLBACK: IdRange = IdRange { outer: 100_000, count: 65_536 };

impl IdRange {
    /// Reads `auto` or `OUTER:COUNT`; `subuid` is the text of /etc/subuid.
    ///
    /// # Errors
    /// It is neither, or it holds the host's root, or more ids than there are.
    pub fn parse(text: &str, subuid: &str) -> Result<IdRange, Failure> {
        let range = match text.split_once(':') {
            None if text == "auto" => IdRange::of_root(subuid).unwrap_or(FALLBACK),
            Some((outer, count)) => number(outer)
                .zip(number(count))
                .map(|(outer, count)| IdRange { outer, count })
                .ok_or_else(|| refused(text))?,
            None => return Err(refused(text)),
        };
        if range.outer == 0 {
            return Err(Failure::new(format!("--userns {text}: the map would hold the host's root"))
                .hint("begin above 0, as in --userns 100000:65536"));
        }
        if range.count == 0 || range.outer.checked_add(range.count).is_none() {
            return Err(refused(text));
        }
        Ok(range)
    }

    /// root's first line in subuid(5).
    fn of_root(subuid: &str) -> Option<IdRange> {
        subuid.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_root = matches!(fields.next(), Some("root" | "0"));
            let range = IdRange { outer: number(fields.next()?)?, count: number(fields.next()?)? };
            (is_root && range.outer > 0 && range.count > 0).then_some(range)
        })
    }

    /// The line of uid_map and gid_map.
    pub fn line(self) -> String {
        format!("0 {} {}", self.outer, self.count)
    }

    /// Makes a user namespace with this map, and returns a descriptor of it.
    ///
    /// A process has to be in it for the map to be written; it ends as soon as that is done.
    pub fn make_namespace(self) -> Result<OwnedFd, Refusal> {
        let holder =
            Holder::new(&[Kind::User]).map_err(|errno| Refusal::at("clone(CLONE_NEWUSER|SIGCHLD)", errno))?;
        // A procfs of our own: the host's may show another PID namespace than this process is in, or be mounted over.
        let closed = Attributes::NO_SUID.and(Attributes::NO_DEV).and(Attributes::NO_EXEC);
        let proc = FileSystem::new("proc", closed).mount(Path::new("proc"))?;
        let open = |name: &str, flags: OFlag| {
            let path = format!("{}/{name}", holder.pid);
            openat(proc.as_fd(), path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(|errno| Refusal::at(format!("openat({})", quoted(format!("/proc/{path}"))), errno))
        };
        for map in ["uid_map", "gid_map"] {
            nix::unistd::write(open(map, OFlag::O_WRONLY)?, self.line().as_bytes()).map_err(|errno| {
                Refusal::at(format!("write(\"/proc/CHILD/{map}\", \"{}\")", self.line()), errno)
            })?;
        }
        open("ns/user", OFlag::O_RDONLY)
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn refused(text: &str) -> Failure {
    Failure::new(format!("--userns {text}: not a range of ids"))
        .hint("give auto, or the first id outside and how many: --userns 100000:65536")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_roots_own_range_or_the_usual_one() {
        let subuid = "user:100000:65536\nroot:231072:65536\nroot:500000:1\n";
        assert_eq!(IdRange::parse("auto", subuid).unwrap(), IdRange { outer: 231_072, count: 65_536 });
        assert_eq!(IdRange::parse("auto", "").unwrap(), FALLBACK);
        assert_eq!(IdRange::parse("5:10", subuid).unwrap().line(), "0 5 10");
    }

    #[test]
    fn the_hosts_root_and_nonsense_are_refused() {
        for text in ["0:65536", "", ":", "1:", "1:0", "-1:5", "+1:5", "4294967295:2", "1:2:3", "Auto"] {
            assert!(IdRange::parse(text, "").is_err(), "{text}");
        }
    }
}
