//! Data on stdout: written in one piece, and as JSON where it was asked for.

use std::ffi::OsStr;
use std::io::{Error, ErrorKind, Write};

/// Writes data on stdout. Who closes the pipe has seen enough: that is no error.
///
/// # Errors
/// stdout takes no more.
pub fn print_data(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        answer => answer,
    }
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
