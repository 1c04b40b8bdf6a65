//! Capabilities: their names, and the sets of capabilities(7).

use crate::step::Refusal;
use crate::sys;
use anyhow::anyhow;
use nix::errno::Errno;

/// The names of linux/capability.h, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapSet(pub u64);

impl CapSet {
    /// None of them.
    pub const NONE: CapSet = CapSet(0);
    /// Every one that has a name here.
    pub const ALL: CapSet = CapSet((1 << NAMES.len()) - 1);

    /// What root keeps inside: enough for package managers and servers, nothing that reaches the kernel's own state.
    pub fn default_of_root() -> CapSet {
        const KEPT: [&str; 8] =
            ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];
        KEPT.iter().filter_map(|name| CapSet::parse(name).ok()).fold(CapSet::NONE, CapSet::with)
    }

    /// One capability by its name, with or without `CAP_`, in any case; `ALL` is every one.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn parse(name: &str) -> anyhow::Result<CapSet> {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if short == "ALL" {
            return Ok(CapSet::ALL);
        }
        let number = NAMES.iter().position(|known| *known == short);
        number
            .map(|number| CapSet(1 << number))
            .ok_or_else(|| anyhow!("{name} is no capability: see capabilities(7)"))
    }

    /// Every capability of both.
    pub fn with(self, other: CapSet) -> CapSet {
        CapSet(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: CapSet) -> CapSet {
        CapSet(self.0 & !other.0)
    }

    /// Those that are in `other` too.
    pub fn and(self, other: CapSet) -> CapSet {
        CapSet(self.0 & other.0)
    }

    /// The numbers of its members.
    pub fn numbers(self) -> impl Iterator<Item = u64> {
        (0..NAMES.len() as u64).filter(move |number| self.0 >> number & 1 == 1)
    }

    /// What this process may use or raise: its permitted set.
    ///
    /// # Errors
    /// What capget(2) answered.
    pub fn permitted() -> Result<CapSet, Errno> {
        sys::permitted().map(CapSet)
    }

    /// The names of its members in lower case, as capsh(1) takes them: `cap_chown,cap_kill`.
    pub fn names(self) -> String {
        let names: Vec<String> =
            self.numbers().map(|number| format!("cap_{}", NAMES[number as usize].to_lowercase())).collect();
        names.join(",")
    }
}

/// PR_CAPBSET_DROP of prctl(2), for all but `kept`. The kernel may know more capabilities than we have names for; it
/// answers EINVAL at the first that does not exist.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn drop_bounding(kept: CapSet) -> Result<(), Refusal> {
    for number in 0..64 {
        if kept.0 >> number & 1 == 1 {
            continue;
        }
        match sys::prctl(libc::PR_CAPBSET_DROP, number, 0) {
            Err(Errno::EINVAL) => break,
            answer => {
                answer.map_err(|errno| Refusal::at(format!("prctl(PR_CAPBSET_DROP, {number})"), errno))?
            }
        };
    }
    Ok(())
}

/// PR_SET_KEEPCAPS of prctl(2): a change from root to another user leaves the permitted set as it is, until exec.
///
/// # Errors
/// EPERM where the securebits lock it.
pub fn keep_capabilities() -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// The capabilities of a process: what it uses, what it may use, what it hands to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// In use.
    pub effective: CapSet,
    /// May be used.
    pub permitted: CapSet,
    /// Handed to programs whose file asks for them, and to any program of root.
    pub inheritable: CapSet,
    /// Handed to any program.
    pub ambient: CapSet,
}

impl Capabilities {
    /// capset(2), PR_CAP_AMBIENT of prctl(2).
    ///
    /// # Errors
    /// EPERM: what this process has not itself it cannot hand on.
    pub fn set(&self) -> Result<(), Errno> {
        sys::capset(self.effective.0, self.permitted.0, self.inheritable.0)?;
        sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
        for number in self.ambient.numbers() {
            sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, number)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_these_eight_and_no_other() {
        assert_eq!(CapSet::default_of_root().0, 0b0100_1111_1011);
        assert_eq!(
            CapSet::default_of_root().names(),
            "cap_chown,cap_dac_override,cap_fowner,cap_fsetid,cap_kill,cap_setgid,cap_setuid,cap_net_bind_service"
        );
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        for name in ["NET_RAW", "cap_net_raw", "CAP_NET_RAW"] {
            assert_eq!(CapSet::parse(name).unwrap().0, 1 << 13);
        }
        assert_eq!(CapSet::parse("all").unwrap(), CapSet::ALL);
        for name in ["", "NET", "CAP_", "13", "NET_RAW "] {
            assert!(CapSet::parse(name).is_err(), "{name:?}");
        }
    }
}
