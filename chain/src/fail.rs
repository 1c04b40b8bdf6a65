//! The one error format and the exit statuses of all five tools.
//!
//! Line 1 says which call failed and what the kernel answered, line 2 why the call was made, line 3 the cause and the
//! shortest cure where the machine could be asked for it. Nothing else in the workspace prints an error.

use nix::errno::Errno;
use std::fmt::{self, Display};
use std::io::Write;

/// The tool itself failed, usage included. This and the next two are those of chroot(1), env(1) and nohup(1).
pub const TOOL_FAILED: u8 = 125;
/// The program was found and cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;

/// Why a tool stops before its program runs.
#[derive(Debug)]
pub struct Failure {
    what: String,
    why: Option<&'static str>,
    hint: Option<String>,
    /// The exit status the tool ends with.
    pub status: u8,
}

impl Failure {
    /// A failure that no errno describes; `what` names the thing and the cause.
    pub fn new(what: impl Into<String>) -> Self {
        Failure { what: what.into(), why: None, hint: None, status: TOOL_FAILED }
    }

    /// A call the kernel refused; `call` is written with its arguments, as strace prints it.
    pub fn refused(call: impl Display, errno: Errno) -> Self {
        Failure::new(format!("{call}: {}", in_words(errno)))
    }

    /// What the call was for: shown as the `while:` line.
    pub fn why(self, why: &'static str) -> Self {
        Failure { why: Some(why), ..self }
    }

    /// The cause and the cure: shown as the `hint:` line.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// Ends with `status` instead of 125.
    pub fn status(self, status: u8) -> Self {
        Failure { status, ..self }
    }

    /// Prints the failure on stderr in the name of `tool`; a closed stderr is not an error of ours.
    pub fn report(&self, tool: &str) {
        let text: String = self.to_string().lines().map(|line| format!("{tool}: {line}\n")).collect();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(why) = self.why {
            write!(f, "\nwhile: {why}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", hint.replace('\n', "\nhint: "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// An errno as its sentence, which is strerror(3)'s, and its name: `Invalid argument (EINVAL)`.
pub fn in_words(errno: Errno) -> String {
    let sentence = std::io::Error::from(errno).to_string();
    format!("{} ({errno:?})", sentence.split(" (os error").next().unwrap_or_default())
}

/// Turns whatever `main` got into the failure it carries, or into one of its own text.
pub(crate) fn from_any(error: anyhow::Error) -> Failure {
    error.downcast::<Failure>().unwrap_or_else(|other| Failure::new(format!("{other:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_call_and_errno_then_while_then_hint() {
        let failure =
            Failure::refused("pivot_root(\".\", \".\")", Errno::EINVAL).why("swap the roots").hint("a\nb");
        assert_eq!(
            failure.to_string(),
            "pivot_root(\".\", \".\"): Invalid argument (EINVAL)\nwhile: swap the roots\nhint: a\nhint: b"
        );
        assert_eq!(failure.status, 125);
    }

    #[test]
    fn an_error_of_another_kind_keeps_its_causes_on_one_line() {
        let error = anyhow::anyhow!("no such key").context("config");
        assert_eq!(from_any(error).to_string(), "config: no such key");
    }
}
