//! The name servers of `--dns`: which those are, and a resolv.conf(5) in memory, shown over the new root's own.

use crate::mountfd::{self, FileSystem, Resolve};
use crate::sys;
use chain::{Failure, Refusal, quoted};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{fchdir, write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Where programs look for it.
pub const PLACE: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes down the servers that stand behind its own, 127.0.0.53.
const UPLINKS: &str = "/run/systemd/resolve/resolv.conf";
const FILE: &str = "resolv.conf";

/// The text to show for the values of `--dns`; none where the new root's own shall stay. `own_net`: the host's loopback
/// addresses answer nobody in there.
///
/// # Errors
/// A value is neither a word for it nor an address.
pub fn text(values: &[String], own_net: bool) -> Result<Option<String>, Failure> {
    match values {
        [] => Ok(None),
        [word] if word == "none" => Ok(None),
        [word] if word == "auto" => Ok(Some(of_the_host(own_net))),
        addresses => addresses.iter().map(|address| line(address)).collect::<Result<_, _>>().map(Some),
    }
}

fn line(address: &str) -> Result<String, Failure> {
    match address.parse::<IpAddr>() {
        Ok(address) => Ok(format!("nameserver {address}\n")),
        Err(_) if matches!(address, "auto" | "none") => {
            Err(Failure::new(format!("--dns {address}: it goes alone")).hint(match address {
                "auto" => "auto stands for the servers of the host: leave it out, or every other --dns",
                _ => "none leaves the new root's own file as it is: leave it out, or every other --dns",
            }))
        }
        Err(_) => Err(Failure::new(format!("--dns {}: not an address", quoted(address)))
            .hint("give auto, none, or the address of a name server, more than once for several")),
    }
}

fn of_the_host(own_net: bool) -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    usable(&read(PLACE), own_net)
        .or_else(|| usable(&read(UPLINKS), own_net))
        .unwrap_or_else(|| format!("# no server of the host's {PLACE} answers in this network\n"))
}

/// What of a resolv.conf(5) is of use; none where no server is left.
fn usable(text: &str, own_net: bool) -> Option<String> {
    let is_loopback = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let mut has_server = false;
    let lines = text.lines().filter(|line| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("nameserver"), Some(address)) => {
                let answers = !(own_net && is_loopback(address));
                has_server |= answers;
                answers
            }
            (Some("search" | "domain" | "options" | "sortlist"), Some(_)) => true,
            _ => false,
        }
    });
    let kept: String = lines.map(|line| format!("{line}\n")).collect();
    has_server.then_some(kept)
}

/// Attaches a file of `fs` that holds `text` over the resolv.conf of `root`, where this process stands.
pub fn show(text: &str, fs: &FileSystem, root: BorrowedFd, owner: Option<u32>) -> Result<(), Refusal> {
    let memory = fs.mount(Path::new(fs.kind))?;
    mountfd::make_file(memory.as_fd(), Path::new(FILE), Resolve::NoLinks, owner)?;
    let file = openat(&memory, FILE, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(&file, text.as_bytes())?;
    // Before 6.15 the kernel copies no part of a mount that is attached nowhere: it is attached for that one call.
    mountfd::attach(memory.as_fd(), root)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let copy = sys::open_tree(memory.as_fd(), &chain::c_string(FILE)?, flags);
    fchdir(&memory)?;
    umount2(".", MntFlags::MNT_DETACH)?;
    fchdir(root)?;
    mountfd::attach(copy?.as_fd(), place(root, owner)?.as_fd())
}

/// The file to attach it on, made where it is missing: a link to what is not there yet, as systemd leaves one, is
/// followed inside the root.
fn place(root: BorrowedFd, owner: Option<u32>) -> Result<OwnedFd, Refusal> {
    let mut path = PathBuf::from(PLACE.trim_start_matches('/'));
    for _ in 0..8 {
        match mountfd::make_file(root, &path, Resolve::InRoot, owner) {
            Err(Refusal { errno: Some(Errno::EEXIST), .. }) => {
                let at = OFlag::O_PATH | OFlag::O_NOFOLLOW;
                let link = mountfd::open_below(root, &path, Resolve::InRoot, at)?;
                path = target(&path, Path::new(&readlinkat(&link, "")?));
            }
            answer => return answer,
        }
    }
    Err(Errno::ELOOP.into())
}

/// Where a link at `path` leads, both as paths of the new root.
fn target(path: &Path, link: &Path) -> PathBuf {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut whole = PathBuf::new();
    for part in directory.join(link).components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => drop(whole.pop()),
            _ => {}
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn addresses_are_lines_and_anything_else_is_refused() {
        let both = text(&values(&["10.0.0.1", "fd00::1"]), true).unwrap();
        assert_eq!(both.as_deref(), Some("nameserver 10.0.0.1\nnameserver fd00::1\n"));
        assert_eq!(text(&[], true).unwrap(), None);
        assert_eq!(text(&values(&["none"]), true).unwrap(), None);
        for words in [&["host"][..], &["auto", "10.0.0.1"], &["none", "none"], &[""], &["10.0.0.1 10.0.0.2"]]
        {
            assert!(text(&values(words), true).is_err(), "{words:?}");
        }
        let said = |words: &[&str]| text(&values(words), true).unwrap_err().to_string();
        assert!(
            said(&["10.0.0.1", "none"])
                .starts_with("--dns none: it goes alone\nhint: none leaves the new root's")
        );
        assert!(said(&["auto", "10.0.0.1"]).starts_with("--dns auto: it goes alone\nhint: auto stands for"));
        assert!(said(&["10.0.0.1", "host"]).starts_with("--dns \"host\": not an address"));
    }

    #[test]
    fn what_listens_on_the_hosts_loopback_is_of_use_in_its_own_network_only() {
        let stub = "# made by resolved\nnameserver 127.0.0.53\noptions edns0\nsearch example\n";
        assert_eq!(usable(stub, true), None);
        assert_eq!(usable(stub, false).unwrap(), "nameserver 127.0.0.53\noptions edns0\nsearch example\n");
        let mixed = "nameserver ::1\nnameserver 10.0.0.1\nnameserver\n";
        assert_eq!(usable(mixed, true).unwrap(), "nameserver 10.0.0.1\n");
        assert_eq!(usable("search example\n", false), None);
    }

    #[test]
    fn a_link_is_followed_inside_the_root() {
        let at = |link| target(Path::new("etc/resolv.conf"), Path::new(link));
        assert_eq!(at("../run/x"), Path::new("run/x"));
        assert_eq!(at("/run/x"), Path::new("run/x"));
        assert_eq!(at("../../../run/x"), Path::new("run/x"));
        assert_eq!(at("other"), Path::new("etc/other"));
    }
}
