//! The mark on a group of cgset's making: an extended attribute of its directory.

use chain::{Named, get_xattr};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// The extended attribute that says a group is cgset's: only what carries it is ever removed. Root's cannot be forged by
/// others; a user marks the groups of a tree that was handed on to it.
pub const MARK_OF_ROOT: &CStr = c"trusted.boxutils";
pub const MARK_OF_USERS: &CStr = c"user.boxutils";

/// What a marked group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Asked for by name.
    Group,
    /// Made on the way to one that was, and removed with the last of these.
    Parent,
    /// Gone with the program in it.
    Transient,
    /// The root of a hierarchy that was mounted, and the directory it was mounted on.
    Hierarchy,
}

impl Mark {
    /// The value of the attribute.
    pub fn text(self) -> &'static str {
        match self {
            Mark::Group => "group",
            Mark::Parent => "parent",
            Mark::Transient => "transient",
            Mark::Hierarchy => "hierarchy",
        }
    }

    /// The mark of a directory, if it carries one.
    pub fn of(directory: &Path) -> Option<Mark> {
        let file = File::open(directory).ok()?;
        let mut value = [0; 16];
        let mut length = None;
        for name in [MARK_OF_ROOT, MARK_OF_USERS] {
            length = length.or_else(|| get_xattr(Named::Open(file.as_fd()), name, &mut value).ok());
        }
        let text = &value[..length?];
        [Mark::Group, Mark::Parent, Mark::Transient, Mark::Hierarchy]
            .into_iter()
            .find(|mark| mark.text().as_bytes() == text)
    }
}
