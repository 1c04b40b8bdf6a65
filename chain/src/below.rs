//! Opening what lies below a directory that is somebody's root: no name and no link in it leads out.

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::os::fd::{AsFd, OwnedFd};

/// How often the kernel is asked; one answer takes a microsecond.
const TRIES: usize = 10_000;

/// openat2(2) with `RESOLVE_IN_ROOT`, and what else is said about links.
///
/// Wherever on the machine something is renamed or mounted while a `..` is followed, the kernel cannot tell that it stayed
/// below, answers EAGAIN, and wants to be asked again.
pub fn open_below<P: ?Sized + NixPath>(
    root: impl AsFd,
    path: &P,
    flags: OFlag,
    links: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(links | ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    for _ in 1..TRIES {
        match openat2(&root, path, how) {
            Err(Errno::EAGAIN) => {}
            answer => return answer,
        }
    }
    openat2(&root, path, how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn while_names_change_elsewhere_what_is_below_is_opened() {
        let top = std::env::temp_dir().join(format!("boxutils-below-{}", std::process::id()));
        fs::create_dir_all(top.join("root/inner")).unwrap();
        fs::write(top.join("root/file"), "").unwrap();
        fs::write(top.join("one"), "").unwrap();
        let root = fs::File::open(top.join("root")).unwrap();
        let over = AtomicBool::new(false);
        let answers = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    fs::rename(top.join("one"), top.join("two")).unwrap();
                    fs::rename(top.join("two"), top.join("one")).unwrap();
                }
            });
            let answers: Vec<_> = (0..20_000)
                .map(|_| open_below(&root, "inner/../file", OFlag::O_PATH, ResolveFlag::empty()).err())
                .filter(Option::is_some)
                .collect();
            over.store(true, Ordering::Relaxed);
            answers
        });
        let outside = open_below(&root, "../one", OFlag::O_PATH, ResolveFlag::empty()).err();
        fs::remove_dir_all(&top).unwrap();
        assert_eq!(answers, []);
        assert_eq!(outside, Some(Errno::ENOENT));
    }
}
