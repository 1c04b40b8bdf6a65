//! What the classic commands of a script are made of. It goes into the new root with `cd` and names everything from there; at its end
//! it moves that over `/`, and one capsh(1) of the host changes root and gives up privileges, so nothing is needed inside.

use crate::mountfd::{Attributes, FileSystem};
use crate::resolver;
use crate::tree::At;
use chain::{Shell, join};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Words, quoted where it takes that: some of ours, then some that were typed.
pub fn words<const N: usize>(start: &[&str], rest: [impl AsRef<OsStr>; N]) -> OsString {
    let rest = rest.iter().map(AsRef::as_ref);
    join(start.iter().map(OsStr::new).chain(rest))
}

/// Commands, one a line.
pub fn lines(lines: impl IntoIterator<Item = OsString>) -> Shell {
    let lines: Vec<OsString> = lines.into_iter().collect();
    Shell::Line(lines.join(OsStr::new("\n")))
}

/// A path as a command must read it: one that begins with a hyphen is no option.
pub fn operand(path: &Path) -> OsString {
    let is_option = path.as_os_str().as_bytes().starts_with(b"-");
    if is_option { Path::new(".").join(path).into() } else { path.into() }
}

/// A path of the new root, from its directory: `/a/b` is `./a/b`.
pub fn below(at: &Path) -> OsString {
    At::Below(at.to_owned()).in_shell()
}

/// The file to mount on, made where it is missing.
pub fn touch(at: &Path) -> OsString {
    let parent = at.parent().unwrap_or(Path::new("/"));
    let mut line = words(&["mkdir", "-p"], [below(parent)]);
    line.push("; : >> ");
    line.push(join([below(at)]));
    line
}

/// A link of the image could lead to a file of the host, whose shell this is.
pub fn show_resolver(text: &str, fs: &FileSystem, parking: &str) -> Shell {
    let place = below(Path::new(resolver::PLACE));
    let place = place.to_string_lossy();
    let mut made = words(&["printf", "%s"], [text]);
    made.push(format!(" > {parking}/resolv.conf"));
    let guarded = format!("if [ -L {place} ]; then echo '{place}: a symbolic link' >&2; exit 125; fi");
    let target = touch(Path::new(resolver::PLACE));
    let shown = words(&["mount", "--bind", &format!("{parking}/resolv.conf")], [place.as_ref()]);
    let first = mount(fs, OsStr::new(fs.kind), false, parking.as_ref());
    lines(first.into_iter().chain([made, guarded.into(), target, shown, words(&["umount"], [parking])]))
}

/// A new mount of a kernel file system.
pub fn new_mount(fs: &FileSystem, at: &str) -> Shell {
    let place = below(Path::new(at));
    let made = words(&["mkdir", "-p"], [&place]);
    lines([made].into_iter().chain(mount(fs, OsStr::new(fs.kind), false, &place)))
}

/// mount(8) makes a file system read-only for everybody who mounts it; where only this mount shall be, it takes a second
/// command.
pub fn mount(fs: &FileSystem, from: &OsStr, is_image: bool, place: &OsStr) -> Vec<OsString> {
    let is_read_only = fs.attributes.and(Attributes::READ_ONLY) == fs.attributes;
    let alone = is_read_only && !fs.options.contains(&("ro", None));
    let first = FileSystem { attributes: fs.attributes.without(Attributes::READ_ONLY), ..fs.clone() };
    let mut options = first.mount_options();
    if is_image {
        options = format!("loop,{options}");
    }
    let line = match options.trim_end_matches(',') {
        "" => words(&["mount", "-t", fs.kind], [from, place]),
        options => words(&["mount", "-t", fs.kind, "-o", options], [from, place]),
    };
    if !alone {
        return vec![line];
    }
    vec![line, words(&["mount", "-o", &format!("remount,bind,{}", fs.attributes.options())], [place])]
}
