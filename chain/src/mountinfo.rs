//! The mount table of a process: proc_pid_mountinfo(5), read in one place.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The number of its device: `major:minor`.
    pub device: String,
    /// Which directory of its file system it shows.
    pub root: PathBuf,
    /// Where it is, seen from the root of the process.
    pub point: PathBuf,
    /// The peer groups it is in: `shared:1`, `master:2`; none where it is private.
    pub propagation: Vec<String>,
    /// The type of its file system: `ext4`, `cgroup2`.
    pub kind: String,
    /// What is mounted, as the one who did it named it.
    pub source: OsString,
    /// The options of its file system.
    pub super_options: Vec<String>,
}

/// Every mount this process sees, in the order they were made; none where there is no /proc.
pub fn mountinfo() -> Vec<Mount> {
    mountinfo_of("self")
}

/// Every mount a process sees, `process` being its directory in /proc.
pub fn mountinfo_of(process: &str) -> Vec<Mount> {
    let file = Path::new("/proc").join(process).join("mountinfo");
    mounts_in(&std::fs::read(file).unwrap_or_default())
}

/// The mounts in a text of that form; a line that has another is left out.
pub fn mounts_in(text: &[u8]) -> Vec<Mount> {
    text.split(|&byte| byte == b'\n').filter_map(line).collect()
}

/// `id parent device root point options [propagation...] - kind source super-options`.
fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ').skip(2);
    let device = text(fields.next()?);
    let root = PathBuf::from(unescaped(fields.next()?));
    let point = PathBuf::from(unescaped(fields.next()?));
    let _options = fields.next()?;
    let propagation = fields.by_ref().take_while(|field| *field != b"-").map(text).collect();
    let (kind, source) = (text(fields.next()?), unescaped(fields.next()?));
    let super_options = words(fields.next()?);
    Some(Mount { device, root, point, propagation, kind, source, super_options })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn words(field: &[u8]) -> Vec<String> {
    field.split(|&byte| byte == b',').map(text).collect()
}

/// Undoes the octal escapes: a blank, a tab, a newline, a backslash and a hash stand as `\040` and the like.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..3).filter(|_| first == b'\\').and_then(octal);
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn every_field_is_where_the_manual_says() {
        let table =
            b"24 1 7:1 /sub /a\\040b rw,nosuid shared:1 master:2 - ext4 /dev/loop1 rw,errors=continue\n\
                      25 1 0:5 / /proc rw - proc none rw\nnonsense\n";
        let mounts = mounts_in(table);
        assert_eq!(mounts.len(), 2);
        let first = Mount {
            device: "7:1".into(),
            root: "/sub".into(),
            point: "/a b".into(),
            propagation: vec!["shared:1".into(), "master:2".into()],
            kind: "ext4".into(),
            source: "/dev/loop1".into(),
            super_options: vec!["rw".into(), "errors=continue".into()],
        };
        assert_eq!(mounts[0], first);
        assert_eq!((mounts[1].kind.as_str(), mounts[1].propagation.len()), ("proc", 0));
    }

    #[test]
    fn a_path_is_any_bytes() {
        assert_eq!(unescaped(b"/\xff\\134040\\011").as_bytes(), b"/\xff\\040\t");
        assert_eq!(unescaped(b"\\04").as_bytes(), b"\\04");
    }
}
