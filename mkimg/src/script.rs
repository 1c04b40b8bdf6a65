//! Every call as the classic commands that do the same. What one command makes for the next is a variable of the shell:
//! `temp` the file under its temporary name, `loop` the loop device, `root` where the file system is mounted.

use crate::call::{Call, On};
use crate::cli::Alloc;
use chain::{Shell, join, quote};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What the script does at its end, however it comes: a script has no nameless file, no autoclear, no hidden mount.
const CLEAN_UP: &str = "\
temp= loop= root=
leave_nothing() {
	[ -z \"$root\" ] || { umount \"$root\"; rmdir \"$root\"; }
	[ -z \"$loop\" ] || losetup -d \"$loop\"
	[ -z \"$temp\" ] || rm -f \"$temp\"
}
trap leave_nothing EXIT
trap 'exit 125' HUP INT TERM
PATH=$PATH:/usr/sbin:/sbin";

/// The face of a call in a script.
pub fn of(call: &Call) -> Shell {
    match call {
        Call::RemoveLeftover { path } => Shell::Line(concat([
            OsStr::new("flock -n "),
            &operand(path),
            OsStr::new(" rm -f "),
            &operand(path),
            OsStr::new(" || :"),
        ])),
        Call::CreateNameless { image, .. } | Call::CreateNamed { image, .. } => create(image),
        Call::RemoveNamed { .. } => line(["rm -f \"$temp\""]),
        Call::Allocate { size, how } => allocate(*size, *how),
        Call::AttachLoop { image: None } => line(["loop=$(losetup --find --show \"$temp\")"]),
        Call::AttachLoop { image: Some(image) } => Shell::Line(concat([
            OsStr::new("loop=$(losetup --find --show "),
            &operand(image),
            OsStr::new(")\nlosetup --direct-io=on \"$loop\" 2>/dev/null || :"),
        ])),
        Call::MakeFileSystem { recipe, on } => {
            let target = if *on == On::Loop { " \"$loop\"" } else { " \"$temp\"" };
            Shell::Line(concat([&join(recipe.words()), OsStr::new(target)]))
        }
        Call::Mount => line(["root=$(mktemp -d)\nmount -o nosuid,nodev,noexec \"$loop\" \"$root\""]),
        Call::CopyTree { from, place_in_tree, .. } => copy(from, place_in_tree.as_deref()),
        Call::Unpack { from } => unpack(from),
        Call::SyncFileSystem => line(["sync -f \"$root\""]),
        Call::Unmount => line(["umount \"$root\"\nrmdir \"$root\"\nroot="]),
        Call::DetachLoop { .. } => line(["losetup -d \"$loop\"\nloop="]),
        Call::SyncFile => line(["sync \"$temp\""]),
        Call::Link { to } | Call::Rename { to, over: false, .. } => Shell::Line(concat([
            OsStr::new("ln -T \"$temp\" "),
            &operand(to),
            OsStr::new("\nrm \"$temp\"\ntemp="),
        ])),
        Call::LinkOver { to, .. } | Call::Rename { to, .. } => {
            Shell::Line(concat([OsStr::new("mv -fT \"$temp\" "), &operand(to), OsStr::new("\ntemp=")]))
        }
        Call::SyncDirectory { directory } => Shell::Line(concat([OsStr::new("sync "), &operand(directory)])),
        Call::OpenImage { .. } => Shell::Nothing,
        Call::PrintDevice => line(["printf '%s\\n' \"$loop\"\nloop="]),
        Call::DetachDevice(device) => {
            Shell::Line(concat([OsStr::new("losetup -d "), &operand(&device.device)]))
        }
        Call::List { json: false } => line(["losetup --list"]),
        Call::List { json: true } => line(["losetup --list --json"]),
    }
}

fn line<const N: usize>(parts: [&str; N]) -> Shell {
    Shell::Line(parts.concat().into())
}

fn concat<const N: usize>(parts: [&OsStr; N]) -> OsString {
    parts.into_iter().collect()
}

/// A path that no command takes for an option, quoted.
fn operand(path: &Path) -> OsString {
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-') => quote(Path::new(".").join(path).as_os_str()),
        _ => quote(path.as_os_str()),
    }
}

fn hidden(image: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(image.file_name().unwrap_or_default());
    name.push(ending);
    crate::facts::directory_of(image).join(name)
}

fn create(image: &Path) -> Shell {
    Shell::Line(concat([
        OsStr::new(CLEAN_UP),
        OsStr::new("\ntemp=$(mktemp "),
        &operand(&hidden(image, ".XXXXXXXXXX")),
        OsStr::new(")\nchmod =rw \"$temp\""),
    ]))
}

fn allocate(size: u64, how: Alloc) -> Shell {
    match how {
        Alloc::Sparse => Shell::Line(format!("truncate -s {size} \"$temp\"").into()),
        Alloc::Full => Shell::Line(format!("fallocate -l {size} \"$temp\"").into()),
        Alloc::Zero => Shell::Line(
            format!("dd if=/dev/zero of=\"$temp\" bs=1M iflag=count_bytes count={size} status=none").into(),
        ),
    }
}

/// Where the image lies in the tree, cp would copy it into itself, and tar can leave it out.
fn copy(from: &Path, place_in_tree: Option<&Path>) -> Shell {
    let Some(place) = place_in_tree else {
        let from = operand(&from.join("."));
        return Shell::Line(concat([
            OsStr::new("cp -a --one-file-system "),
            &from,
            OsStr::new(" \"$root\""),
        ]));
    };
    let left_out = [place.to_path_buf(), hidden(place, ".*")].map(|path| {
        let path = Path::new(".").join(path.strip_prefix(".").unwrap_or(&path));
        concat([OsStr::new(" --exclude="), &quote(path.as_os_str())])
    });
    Shell::Line(concat([
        OsStr::new("tar --one-file-system --xattrs --xattrs-include='*' --format=posix --sparse --anchored"),
        &left_out[0],
        &left_out[1],
        OsStr::new(" -C "),
        &operand(from),
        OsStr::new(" -cf - . | tar --numeric-owner --xattrs --xattrs-include='*' -C \"$root\" -xpf -"),
    ]))
}

fn unpack(from: &Path) -> Shell {
    const TAR: &str = "tar --numeric-owner --xattrs --xattrs-include='*' -C \"$root\" -xpf ";
    match from.as_os_str() == "-" {
        // gzip -cdf hands on what is not packed as it is.
        true => line(["gzip -cdf | ", TAR, "-"]),
        false => Shell::Line(concat([OsStr::new(TAR), &operand(from)])),
    }
}
