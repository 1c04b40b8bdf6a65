//! Data on stdout: written in one piece, and as JSON where it was asked for.

use crate::step::Refusal;
use nix::errno::Errno;
use nix::unistd::write;
use std::ffi::OsStr;

/// Writes data on stdout. Who closes the pipe has seen enough: that is no error.
///
/// # Errors
/// stdout takes no more.
pub fn print_data(bytes: &[u8]) -> Result<(), Refusal> {
    match print_answer(bytes) {
        Err(refusal) if refusal.errno == Some(Errno::EPIPE) => Ok(()),
        answer => answer,
    }
}

/// The same where it is of no use that the caller has not read.
///
/// # Errors
/// stdout takes no more, or nobody reads it.
pub fn print_answer(bytes: &[u8]) -> Result<(), Refusal> {
    let mut left = bytes;
    while !left.is_empty() {
        // std::io::Stdout says nothing where the descriptor cannot be written to.
        match write(std::io::stdout(), left) {
            Ok(written) => left = &left[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Refusal::at("write(1)", errno)),
        }
    }
    Ok(())
}

/// A JSON string (RFC 8259, section 7); bytes that are no UTF-8 become the replacement character.
pub fn json_string(text: impl AsRef<OsStr>) -> String {
    let mut string = String::from("\"");
    for letter in text.as_ref().to_string_lossy().chars() {
        match letter {
            '"' => string += "\\\"",
            '\\' => string += "\\\\",
            // Those from U+007F on need no escape, and would drive a terminal like the others.
            letter if letter.is_control() => string += &format!("\\u{:04x}", letter as u32),
            letter => string.push(letter),
        }
    }
    string + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_string_holds_any_text() {
        assert_eq!(json_string("a \"b\"\\\n\u{9b}"), "\"a \\\"b\\\"\\\\\\u000a\\u009b\"");
    }
}
