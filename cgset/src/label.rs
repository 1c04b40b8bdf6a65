//! Labels: what is to be known about a group, kept on the group itself, so that nobody needs a file of state beside it.
//! Each is an extended attribute that only root writes and sees; what users set on a group is never taken for one.

use chain::{Failure, Named, Refusal, get_xattr, list_xattrs, quoted, remove_xattr, set_xattr};
use nix::errno::Errno;
use std::ffi::{CString, OsStr};
use std::fmt::Write;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What its name begins with. The mark's own name is this without the dot, so no label can stand for it.
const PREFIX: &str = "trusted.boxutils.";

/// A key with a value, which may be any bytes but NUL and newline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub key: String,
    pub value: Vec<u8>,
}

impl Label {
    /// Reads KEY=VALUE.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(word: &OsStr) -> Result<Label, Failure> {
        let bytes = word.as_bytes();
        let refused =
            |hint: &str| Err(Failure::new(format!("--label {}: no label", quoted(word))).hint(hint));
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            return refused("give KEY=VALUE, as in --label owner=alice");
        };
        let (key, value) = (&bytes[..at], &bytes[at + 1..]);
        let is_key = key.first().is_some_and(u8::is_ascii_lowercase)
            && key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if !is_key || key.len() > 200 {
            return refused("a key is a small letter, then up to 199 small letters, digits, _ and -");
        }
        if value.contains(&b'\n') {
            return refused("a value is one line");
        }
        Ok(Label { key: String::from_utf8_lossy(key).into_owned(), value: value.to_vec() })
    }
}

/// The name of the attribute that holds a label.
pub fn attribute(key: &str) -> String {
    format!("{PREFIX}{key}")
}

/// The labels of a group, sorted; none where they cannot be read.
pub fn of(directory: &Path) -> Vec<Label> {
    let Ok(file) = File::open(directory) else { return Vec::new() };
    let named = Named::Open(file.as_fd());
    let names = whole(|buffer| list_xattrs(named, buffer)).unwrap_or_default();
    let label = |name: &[u8]| {
        let key = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
        let name = CString::new(name).ok()?;
        let value = whole(|buffer| get_xattr(named, &name, buffer)).ok()?;
        Some(Label { key: key.to_owned(), value })
    };
    let mut labels: Vec<Label> = names.split(|byte| *byte == 0).filter_map(label).collect();
    labels.sort();
    labels
}

/// What is read into a buffer, of which the kernel says with ERANGE that it is too small; it has a limit of 64 KiB itself.
fn whole(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Err(Errno::ERANGE) if buffer.len() < 1 << 16 => buffer.resize(buffer.len() * 4, 0),
            length => {
                buffer.truncate(length?);
                return Ok(buffer);
            }
        }
    }
}

/// The call that sets a label, or takes it away.
pub fn call(directory: &Path, key: &str, value: Option<&[u8]>) -> String {
    let (place, name) = (quoted(directory), quoted(attribute(key)));
    match value {
        Some(value) => format!("setxattr({place}, {name}, {})", quoted(OsStr::from_bytes(value))),
        None => format!("removexattr({place}, {name})"),
    }
}

/// Sets a label of a group in each of its hierarchies, or takes it away: in all of them or in none.
pub fn set_all(key: &str, values: &[(PathBuf, Option<Vec<u8>>)]) -> Result<(), Refusal> {
    let mut before: Vec<(&Path, Option<Vec<u8>>)> = Vec::new();
    for (directory, value) in values {
        let old = of(directory).into_iter().find(|label| label.key == key).map(|label| label.value);
        if let Err(refusal) = set(directory, key, value.as_deref()) {
            for (directory, old) in before {
                let _ = set(directory, key, old.as_deref());
            }
            return Err(refusal);
        }
        before.push((directory, old));
    }
    Ok(())
}

fn set(directory: &Path, key: &str, value: Option<&[u8]>) -> Result<(), Refusal> {
    let file = File::open(directory)?;
    let name = CString::new(attribute(key)).map_err(|_| Errno::EINVAL)?;
    let done = match value {
        Some(value) => set_xattr(Named::Open(file.as_fd()), &name, value),
        None => remove_xattr(Named::Open(file.as_fd()), &name),
    };
    match (done, value) {
        // It is not there to be taken away.
        (Err(Errno::ENODATA), None) => Ok(()),
        (done, value) => done.map_err(|errno| Refusal::at(call(directory, key, value), errno)),
    }
}

/// Text that may come from anybody, for a terminal: what would move the cursor or is no UTF-8 is shown byte by byte.
pub fn shown(text: &[u8]) -> String {
    let mut line = String::new();
    let bytes = |line: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(line, "\\x{byte:02x}");
        }
    };
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => line += "\\\\",
                letter if letter.is_control() => bytes(&mut line, letter.to_string().as_bytes()),
                letter => line.push(letter),
            }
        }
        bytes(&mut line, chunk.invalid());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_small_key_and_one_line() {
        let label = |word: &str| Label::parse(OsStr::new(word)).map(|label| (label.key, label.value));
        assert_eq!(label("image=/a b=c.img").unwrap(), ("image".into(), b"/a b=c.img".to_vec()));
        assert_eq!(label("x_1-y=").unwrap(), ("x_1-y".into(), Vec::new()));
        for word in ["image", "=x", "Image=x", "1a=x", "a.b=x", "a=x\ny", &format!("{}=x", "a".repeat(201))] {
            assert!(label(word).is_err(), "{word}");
        }
        assert_eq!(attribute("web"), "trusted.boxutils.web");
    }

    #[test]
    fn what_could_drive_a_terminal_is_spelled_out() {
        assert_eq!(shown("a\x1b[31mb\\".as_bytes()), "a\\x1b[31mb\\\\");
        assert_eq!(shown(b"\xc2\x9bx\xffy\x7f"), "\\xc2\\x9bx\\xffy\\x7f");
        assert_eq!(shown("größer".as_bytes()), "größer");
    }
}
