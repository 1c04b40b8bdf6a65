//! Arguments as strace(1) prints them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A string argument in double quotes, other bytes than printable ASCII escaped; cut at 200 bytes.
pub fn quoted(text: impl AsRef<OsStr>) -> String {
    let bytes = text.as_ref().as_bytes();
    match bytes.get(..200) {
        Some(start) if bytes.len() > 200 => format!("\"{}\"...", start.escape_ascii()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// An array of strings: `["sh", "-c", "true"]`.
pub fn array<W: AsRef<OsStr>>(words: &[W]) -> String {
    let words: Vec<String> = words.iter().map(quoted).collect();
    format!("[{}]", words.join(", "))
}
