//! The calls as classic commands. The script goes into the new root with `cd` and names everything from there; at its end
//! it moves that over `/`, and one capsh(1) of the host changes root and gives up privileges, so nothing is needed inside.

use crate::call::{At, Call};
use crate::inside;
use crate::mountfd::{Attributes, FileSystem};
use crate::privileges::capsh;
use crate::resolver;
use crate::source::Source;
use chain::{Shell, join};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a call is in shell.
pub fn of(call: &Call) -> Shell {
    match call {
        Call::UnshareMounts => Shell::enter(["unshare", "--mount"]),
        Call::MakePrivate => Shell::enter(["unshare", "--propagation", "private"]),
        Call::CopyTree { from, at: At::Root } => {
            let from = operand(from);
            lines([words(&["mount", "--rbind"], [&from, &from]), words(&["cd"], [&from])])
        }
        Call::CopyTree { from, at: At::Below(at) } => {
            let mut lines_of =
                vec![if from.is_dir() { words(&["mkdir", "-p"], [below(at)]) } else { touch(at) }];
            lines_of.push(words(&["mount", "--rbind"], [from.as_os_str(), &below(at)]));
            lines(lines_of)
        }
        Call::MountSource { fs, source, at, parking } => mount_source(fs, source, at, parking),
        Call::SetAttributes { attributes, at } => {
            let place = at.in_shell();
            let options = format!("remount,bind,{}", attributes.options());
            let mut below = OsString::from("findmnt -Rlno TARGET -T ");
            below.push(join([&place]));
            below.push(format!(
                " | tail -n +2 | while IFS= read -r mount; do mount -o {options} \"$mount\"; done"
            ));
            lines([words(&["mount", "-o", &options], [&place]), below])
        }
        Call::MountNew { fs, at } => new_mount(fs, at),
        Call::Mask(mask) => mask.shell(),
        Call::FillDev => inside::as_commands(),
        Call::ShowResolver { text, fs, parking } => show_resolver(text, fs, parking),
        // Without -n it would write down the mount in /run, which takes the host's root.
        Call::PivotRoot => Shell::line(["mount", "-n", "--move", ".", "/"]),
        Call::DetachOldRoot => capsh(["--chroot=.".into()]),
        Call::Privilege(privilege) => privilege.shell(),
        Call::AttachLoop { .. } | Call::AttachRoot | Call::Attach { .. } | Call::ChangeDirectory(_) => {
            Shell::Implied
        }
        Call::MakeUserns(_) => Shell::Refuse,
        Call::IdmapMount(_) => Shell::Nothing,
    }
}

fn words<const N: usize>(start: &[&str], rest: [impl AsRef<OsStr>; N]) -> OsString {
    let rest = rest.iter().map(AsRef::as_ref);
    join(start.iter().map(OsStr::new).chain(rest))
}

fn lines(lines: impl IntoIterator<Item = OsString>) -> Shell {
    let lines: Vec<OsString> = lines.into_iter().collect();
    Shell::Line(lines.join(OsStr::new("\n")))
}

/// A path as a command must read it: one that begins with a hyphen is no option.
fn operand(path: &Path) -> OsString {
    let is_option = path.as_os_str().as_bytes().starts_with(b"-");
    if is_option { Path::new(".").join(path).into() } else { path.into() }
}

/// A path of the new root, from its directory: `/a/b` is `./a/b`.
fn below(at: &Path) -> OsString {
    At::Below(at.to_owned()).in_shell()
}

fn touch(at: &Path) -> OsString {
    let parent = at.parent().unwrap_or(Path::new("/"));
    let mut line = words(&["mkdir", "-p"], [below(parent)]);
    line.push("; : >> ");
    line.push(join([below(at)]));
    line
}

fn mount_source(fs: &FileSystem, source: &Source, at: &At, parking: &str) -> Shell {
    let (from, is_image) = match source {
        Source::Image { path, .. } => (operand(path), true),
        Source::Device { path, .. } => (operand(path), false),
        _ => (OsString::from("tmpfs"), false),
    };
    let from = from.as_os_str();
    match at {
        At::Root => {
            lines(mount(fs, from, is_image, parking.as_ref()).into_iter().chain([words(&["cd"], [parking])]))
        }
        At::Below(path) => {
            let place = below(path);
            lines([words(&["mkdir", "-p"], [&place])].into_iter().chain(mount(fs, from, is_image, &place)))
        }
    }
}

/// A link of the image could lead to a file of the host, whose shell this is.
fn show_resolver(text: &str, fs: &FileSystem, parking: &str) -> Shell {
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

fn new_mount(fs: &FileSystem, at: &str) -> Shell {
    let place = below(Path::new(at));
    let made = words(&["mkdir", "-p"], [&place]);
    lines([made].into_iter().chain(mount(fs, OsStr::new(fs.kind), false, &place)))
}

/// mount(8) makes a file system read-only for everybody who mounts it; where only this mount shall be, it takes a second
/// command.
fn mount(fs: &FileSystem, from: &OsStr, is_image: bool, place: &OsStr) -> Vec<OsString> {
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
