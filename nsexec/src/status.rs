//! What a process is: its numbers, ids and capabilities, of proc_pid_status(5).

use chain::{CapSet, Capabilities};
use std::path::Path;

/// The lines of `/proc/PID/status` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub name: String,
    /// The letter of ps(1): R, S, D, T, Z, ...
    pub state: char,
    /// The number of the process, where this is one of its threads.
    pub process: i32,
    /// Its numbers, from the PID namespace of this /proc down to its own.
    pub numbers: Vec<i32>,
    /// In effect.
    pub uid: u32,
    pub gid: u32,
    pub capabilities: Capabilities,
    /// What no exec can give it.
    pub bounding: CapSet,
    pub no_new_privs: bool,
    pub is_kernel_thread: bool,
}

impl Status {
    /// Reads that of a process; none where there is no such process.
    pub fn read(directory: &Path) -> Option<Status> {
        // Any byte may be in a name.
        let status = std::fs::read(directory.join("status")).ok()?;
        let stat = std::fs::read(directory.join("stat")).ok()?;
        Status::parse(&String::from_utf8_lossy(&status), &String::from_utf8_lossy(&stat))
    }

    fn parse(status: &str, stat: &str) -> Option<Status> {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let number = |name: &str, at: usize| field(name)?.split_whitespace().nth(at)?.parse::<u32>().ok();
        let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok().map(CapSet);
        Some(Status {
            name: field("Name")?.into(),
            state: field("State")?.chars().next()?,
            process: field("Tgid")?.parse().ok()?,
            numbers: field("NSpid")?.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
            uid: number("Uid", 1)?,
            gid: number("Gid", 1)?,
            capabilities: Capabilities {
                effective: set("CapEff")?,
                permitted: set("CapPrm")?,
                inheritable: set("CapInh")?,
                ambient: set("CapAmb")?,
            },
            bounding: set("CapBnd")?,
            no_new_privs: field("NoNewPrivs")? == "1",
            is_kernel_thread: is_kernel_thread(stat),
        })
    }
}

/// Its flags (linux/sched.h) are the ninth field of proc_pid_stat(5), the seventh after the name in brackets.
fn is_kernel_thread(stat: &str) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    let flags =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsh\nState:\tS (sleeping)\nTgid:\t7\nNSpid:\t7\t1\nUid:\t5\t6\t7\t8\nGid:\t1\t2\t3\t4\n\
        CapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t0000000000000002\n\
        CapBnd:\t00000000000000ff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn every_line_is_read() {
        let status = Status::parse(STATUS, "7 (a) b) S 1 7 7 0 -1 4194560 0").unwrap();
        assert_eq!((status.state, status.process, status.numbers), ('S', 7, vec![7, 1]));
        assert_eq!((status.uid, status.gid), (6, 2));
        assert_eq!((status.capabilities.permitted, status.bounding), (CapSet(3), CapSet(255)));
        assert!(status.no_new_privs && !status.is_kernel_thread);
        assert!(Status::parse("Name:\tsh\n", "").is_none());
    }

    #[test]
    fn a_thread_of_the_kernel_is_told_by_its_flags() {
        assert!(is_kernel_thread("2 (kthreadd) S 0 0 0 0 -1 2129984 0"));
    }
}
