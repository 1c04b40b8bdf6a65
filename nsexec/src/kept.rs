//! What is kept, as the mount table tells: a namespace outlives its processes while its file in /proc/PID/ns is mounted
//! on another. There is no other record.

use chain::{Failure, Kind, Mount, mountinfo, quoted};
use nix::errno::Errno;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A namespace that is mounted on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub kind: Kind,
    pub inode: u64,
    pub at: PathBuf,
    /// It is named as nsexec names it, in a directory that is mounted as nsexec mounts it.
    pub is_ours: bool,
}

impl Kept {
    /// The namespaces in a mount table, in the order of their paths; of several on one file the last, which hides the
    /// others. The root of such a mount reads `net:[4026532177]`.
    pub fn all(table: &[Mount]) -> Vec<Kept> {
        let mut all: Vec<Kept> = table.iter().filter_map(|mount| Kept::of(mount, table)).collect();
        all.reverse();
        all.sort_by(|one, other| one.at.cmp(&other.at));
        all.dedup_by(|one, other| one.at == other.at);
        all
    }

    fn of(mount: &Mount, table: &[Mount]) -> Option<Kept> {
        let (kind, inode) = (mount.kind == "nsfs").then(|| mount.root.to_str())??.split_once(":[")?;
        let kind = Kind::from_file(kind)?;
        let directory = mount.point.parent()?;
        let is_ours =
            mount.point.file_name()?.to_str() == Some(kind.file()) && binds_of(directory, table) > 0;
        Some(Kept { kind, inode: inode.strip_suffix(']')?.parse().ok()?, at: mount.point.clone(), is_ours })
    }
}

/// How often a directory is mounted on itself, privately: so nsexec leaves the one that it keeps namespaces in.
fn binds_of(directory: &Path, table: &[Mount]) -> usize {
    let is_bind = |(index, mount): &(usize, &Mount)| {
        let shows_itself = |below: &Mount| {
            let path = directory.strip_prefix(&below.point).ok();
            below.device == mount.device && path.is_some_and(|path| below.root.join(path) == mount.root)
        };
        mount.point == directory && mount.propagation.is_empty() && table[..*index].iter().any(shows_itself)
    };
    table.iter().enumerate().filter(is_bind).count()
}

/// A directory to keep namespaces in, or that they are kept in.
#[derive(Debug, Default)]
pub struct Directory {
    /// Absolute, and without symbolic links, as it stands in the mount table.
    pub path: PathBuf,
    pub exists: bool,
    /// How often it is mounted on itself.
    pub binds: usize,
    /// The namespaces that nsexec keeps in it, those on top first.
    pub namespaces: Vec<Kept>,
    /// The files that nsexec made for namespaces and that have none on them: after a `kill -9`, or a restart of the machine.
    pub files: Vec<Kind>,
    /// What else is in it.
    pub others: Vec<OsString>,
    /// Something else is mounted below it.
    pub has_mounts: bool,
}

impl Directory {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// It is no directory, nor could one be made there.
    pub fn look(option: &str, path: &Path) -> Result<Directory, Failure> {
        let absolute = absolute(option, path)?;
        if absolute.exists() && !absolute.is_dir() {
            return Err(Failure::refused(format!("{option} {}", quoted(path)), Errno::ENOTDIR)
                .hint("the namespaces become files of a directory, one for each kind"));
        }
        Ok(Directory::of(absolute, &mountinfo()))
    }

    fn of(path: PathBuf, table: &[Mount]) -> Directory {
        let is_in = |mount: &&Mount| mount.point.parent() == Some(&path);
        let mut namespaces: Vec<Kept> =
            table.iter().filter(is_in).filter_map(|mount| Kept::of(mount, table)).collect();
        namespaces.retain(|kept| kept.is_ours);
        namespaces.reverse();
        let is_kept = |point: &Path| namespaces.iter().any(|kept| kept.at == point);
        let is_below = |mount: &&Mount| mount.point.starts_with(&path) && mount.point != path;
        let mut directory = Directory {
            exists: path.is_dir(),
            binds: binds_of(&path, table),
            has_mounts: table.iter().filter(is_below).any(|mount| !is_kept(&mount.point)),
            ..Directory::default()
        };
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let at = entry.path();
            if is_kept(&at) {
                continue;
            }
            match entry.file_name().to_str().and_then(Kind::from_file) {
                Some(kind) if is_own_file(&at) => directory.files.push(kind),
                _ => directory.others.push(entry.file_name()),
            }
        }
        directory.others.sort();
        Directory { path, namespaces, ..directory }
    }
}

/// The path as the mount table writes it; its last part need not be there.
///
/// # Errors
/// The rest must.
pub fn absolute(option: &str, path: &Path) -> Result<PathBuf, Failure> {
    let canonical = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new(".")).canonicalize();
            path.file_name().ok_or(error).and_then(|name| Ok(parent?.join(name)))
        }
        answer => answer,
    };
    canonical.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure::refused(format!("{option} {}", quoted(path)), errno)
            .hint("it takes a directory, or the name of one to be in a directory that exists")
    })
}

/// Whether a file is one that nsexec made to mount a namespace on: empty, and with no permission at all, as of ip-netns(8).
pub fn is_own_file(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|about| about.is_file() && about.len() == 0 && about.permissions().mode() & 0o7777 == 0)
}

/// Whether processes can still be put into a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// A PID namespace whose process 1 has ended.
    Dead,
    /// A PID namespace whose processes this one may not see.
    Unknown,
}

/// The processes of every namespace, as far as /proc shows them.
#[derive(Debug, Default)]
pub struct Census {
    counts: HashMap<String, usize>,
    /// There are, or may be, processes whose namespaces are not this process's to see.
    has_secrets: bool,
}

impl Census {
    /// Counts the processes in the namespaces of these kinds.
    pub fn take(kinds: &[Kind]) -> Census {
        let mut census = Census { has_secrets: hides_processes(&mountinfo()), ..Census::default() };
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let is_process = entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
            // A process that has ended, and whose parent has not asked how, is in some of its namespaces still.
            if !is_process || has_ended(&entry.path()) {
                continue;
            }
            for kind in kinds {
                match std::fs::read_link(entry.path().join("ns").join(kind.file())) {
                    Ok(name) => *census.counts.entry(name.to_string_lossy().into_owned()).or_default() += 1,
                    Err(error) => {
                        census.has_secrets |= error.kind() == ErrorKind::PermissionDenied;
                    }
                }
            }
        }
        census
    }

    /// How many processes it has seen in a namespace.
    pub fn processes(&self, kept: &Kept) -> usize {
        let name = format!("{}:[{}]", kept.kind.file(), kept.inode);
        self.counts.get(&name).copied().unwrap_or(0)
    }

    /// A PID namespace lives while it has processes; any other takes some in whenever they come.
    pub fn life(&self, kept: &Kept) -> Life {
        if kept.kind != Kind::Pid || self.processes(kept) > 0 {
            return Life::Alive;
        }
        let would_be_seen =
            || !self.has_secrets && File::open(&kept.at).is_ok_and(|file| chain::is_below_ours(&file));
        if would_be_seen() { Life::Dead } else { Life::Unknown }
    }
}

/// Whether /proc leaves out the processes of others: hidepid of proc(5), which only the machine's root is exempt from.
fn hides_processes(table: &[Mount]) -> bool {
    let proc = table.iter().rfind(|mount| mount.point == Path::new("/proc"));
    let is_hiding = |option: &str| option.starts_with("hidepid=") && !matches!(&option[8..], "0" | "off");
    let is_exempt = nix::unistd::geteuid().is_root() && !chain::in_user_namespace();
    !is_exempt && proc.is_some_and(|mount| mount.super_options.iter().any(|option| is_hiding(option)))
}

fn has_ended(process: &Path) -> bool {
    let stat = std::fs::read(process.join("stat")).unwrap_or_default();
    let name_end = stat.iter().rposition(|&byte| byte == b')');
    name_end.and_then(|end| stat.get(end + 2)).is_none_or(|&state| matches!(state, b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:20 / /run rw shared:2 - tmpfs tmpfs rw
22 21 0:20 /box /run/box rw - tmpfs tmpfs rw
23 22 0:4 net:[4026532177] /run/box/net rw - nsfs nsfs rw
24 22 0:4 mnt:[4026532178] /run/box/mnt rw - nsfs nsfs rw
25 22 0:4 net:[4026532180] /run/box/other rw - nsfs nsfs rw
26 21 0:20 /netns /run/netns rw shared:3 - tmpfs tmpfs rw
27 26 0:4 net:[4026532179] /run/netns/net rw - nsfs nsfs rw
28 22 0:4 net:[4026532181] /run/box/net rw - nsfs nsfs rw
29 20 8:1 /srv/data /srv/data rw - ext4 /dev/sda1 rw
30 20 8:1 /srv/other /srv/box rw - ext4 /dev/sda1 rw
31 30 0:4 uts:[4026532190] /srv/box/uts rw - nsfs nsfs rw
";

    fn table() -> Vec<Mount> {
        chain::mounts_in(TABLE)
    }

    #[test]
    fn what_is_kept_is_in_the_mount_table() {
        let found: Vec<(String, u64, bool)> = Kept::all(&table())
            .into_iter()
            .map(|kept| (kept.at.display().to_string(), kept.inode, kept.is_ours))
            .collect();
        let wanted = [
            ("/run/box/mnt", 4_026_532_178, true),
            // The last one on a file hides the others.
            ("/run/box/net", 4_026_532_181, true),
            // Another name, a directory that is shared, a directory that shows another.
            ("/run/box/other", 4_026_532_180, false),
            ("/run/netns/net", 4_026_532_179, false),
            ("/srv/box/uts", 4_026_532_190, false),
        ];
        assert_eq!(found, wanted.map(|(path, inode, ours)| (path.to_owned(), inode, ours)));
    }

    #[test]
    fn a_directory_is_ours_where_it_is_mounted_on_itself_and_private() {
        assert_eq!(binds_of(Path::new("/run/box"), &table()), 1);
        assert_eq!(binds_of(Path::new("/srv/data"), &table()), 1);
        for other in ["/run/netns", "/srv/box", "/run", "/nowhere"] {
            assert_eq!(binds_of(Path::new(other), &table()), 0, "{other}");
        }
    }

    #[test]
    fn a_directory_holds_its_own_namespaces_top_first_and_knows_of_others() {
        let directory = Directory::of("/run/box".into(), &table());
        let inodes: Vec<u64> = directory.namespaces.iter().map(|kept| kept.inode).collect();
        assert_eq!(inodes, [4_026_532_181, 4_026_532_178, 4_026_532_177]);
        assert!(directory.has_mounts);
        assert!(Directory::of("/run/netns".into(), &table()).namespaces.is_empty());
    }

    #[test]
    fn a_pid_namespace_is_dead_when_nobody_is_in_it_and_unknown_when_that_cannot_be_seen() {
        let pid = |inode| Kept { kind: Kind::Pid, inode, at: "/proc/self/ns/pid".into(), is_ours: true };
        let seen = HashMap::from([("pid:[7]".to_owned(), 2)]);
        let census = Census { counts: seen, has_secrets: false };
        assert_eq!((census.life(&pid(7)), census.processes(&pid(7))), (Life::Alive, 2));
        assert_eq!(census.life(&pid(8)), Life::Dead);
        assert_eq!(Census { has_secrets: true, ..Census::default() }.life(&pid(8)), Life::Unknown);
        assert_eq!(Census::default().life(&Kept { kind: Kind::Net, ..pid(8) }), Life::Alive);
    }
}
