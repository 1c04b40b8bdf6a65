//! How a plan is carried out: in silence, told step by step, or only written down.
//!
//! The mode reaches the next tool in one environment variable, and ends at the first program that is not ours.

use crate::fail::Failure;
use crate::namespace::Kind;
use std::ffi::{OsStr, OsString};
use std::fmt::{Arguments, Display};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variable the mode travels in.
pub const MODE_VARIABLE: &str = "BOXUTILS_MODE";

/// The two flags every tool has.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Narration")]
pub struct Narration {
    /// Say each step before it happens, and why, through the whole chain
    #[arg(long, conflicts_with = "dry_run")]
    pub explain: bool,
    /// Print the chain as a script of classic commands, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What the tools further out have made, or would have made: the facts an inner tool plans on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Namespaces, outermost first; a kind made twice stands twice.
    pub namespaces: Vec<Kind>,
    /// The ids are mapped so that the program is root in its user namespace.
    pub root: bool,
    /// How many blocks of a script stand around, without a namespace that would tell of them.
    pub blocks: usize,
}

impl Made {
    /// Whether a namespace of this kind was made.
    pub fn has(&self, kind: Kind) -> bool {
        self.namespaces.contains(&kind)
    }

    /// How deep in a script the next tool stands, or more.
    pub(crate) fn depth(&self) -> usize {
        self.namespaces.len() + self.blocks
    }
}

/// How a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do it, in silence.
    Run,
    /// Do it, and say each step on stderr.
    Explain,
    /// Print on stdout the script that does it, and do nothing; the outer tools would have made this much.
    DryRun(Made),
}

impl Mode {
    /// The mode this tool was started in: the flag, or what the tool before it passed on.
    ///
    /// # Errors
    /// The variable holds what none of our tools writes.
    pub fn new(narration: Narration) -> Result<Mode, Failure> {
        let inherited = match std::env::var_os(MODE_VARIABLE) {
            Some(value) => Mode::parse(&value)?,
            None => Mode::Run,
        };
        let mode = match inherited {
            Mode::Run if narration.explain => Mode::Explain,
            Mode::Run | Mode::Explain if narration.dry_run => Mode::DryRun(Made::default()),
            other => other,
        };
        IS_DRY_RUN.store(matches!(mode, Mode::DryRun(_)), Ordering::Relaxed);
        Ok(mode)
    }

    fn parse(value: &OsStr) -> Result<Mode, Failure> {
        let refused = || {
            Failure::new(format!("{MODE_VARIABLE}={}: not a mode", value.to_string_lossy())).hint(format!(
                "{MODE_VARIABLE} is how the tools of a chain tell each other their mode: unset it"
            ))
        };
        let text = value.to_str().ok_or_else(refused)?;
        if text == "explain" {
            return Ok(Mode::Explain);
        }
        let kinds = text.strip_prefix("dry-run:").ok_or_else(refused)?;
        let mut made = Made::default();
        for word in kinds.split(',').filter(|word| !word.is_empty()) {
            match Kind::from_name(word) {
                Some(kind) => made.namespaces.push(kind),
                None if word == "root" => made.root = true,
                None if word == "block" => made.blocks += 1,
                None => return Err(refused()),
            }
        }
        Ok(Mode::DryRun(made))
    }

    /// What outer tools would have made in a dry run; empty where they really made it.
    pub fn made(&self) -> Made {
        match self {
            Mode::DryRun(made) => made.clone(),
            _ => Made::default(),
        }
    }

    /// The value for the next tool, which will find `made` more than this one did; none when there is nothing to say.
    pub(crate) fn for_next(&self, made: &Made) -> Option<OsString> {
        match self {
            Mode::Run => None,
            Mode::Explain => Some("explain".into()),
            Mode::DryRun(before) => {
                let kinds = before.namespaces.iter().chain(&made.namespaces).map(|kind| kind.name());
                let root = (before.root || made.root).then_some("root");
                let blocks = std::iter::repeat_n("block", before.blocks + made.blocks);
                let words: Vec<&str> = kinds.chain(root).chain(blocks).collect();
                Some(format!("dry-run:{}", words.join(",")).into())
            }
        }
    }
}

/// A script is being written, so a failure must end that too.
static IS_DRY_RUN: AtomicBool = AtomicBool::new(false);

/// Where a script is being written: makes whoever runs it end as this tool does, and not succeed for having nothing to do.
pub(crate) fn end_script(status: u8) {
    if IS_DRY_RUN.load(Ordering::Relaxed) {
        let _ = std::io::stdout().write_all(format!("exit {status}\n").as_bytes());
    }
}

/// Tells the steps of one plan: `tool 3/7  why`, then the call and its answer.
pub(crate) struct Narrator {
    /// Nothing is said unless this holds.
    pub on: bool,
    pub tool: &'static str,
    pub total: usize,
    pub next: usize,
}

impl Narrator {
    fn indent(&self) -> usize {
        format!("{} {}/{}", self.tool, self.total, self.total).len() + 2
    }

    /// A step is about to happen.
    pub fn why(&mut self, why: &str) {
        if self.on {
            let number = format!("{} {}/{}", self.tool, self.next, self.total);
            say(&format!("{number:<width$}{why}\n", width = self.indent()));
        }
        self.next += 1;
    }

    /// What it is to the kernel, one line a call, and what the kernel answered.
    pub fn call(&self, call: &impl Display, answer: Arguments) {
        if self.on {
            let margin = " ".repeat(self.indent());
            let lines = call.to_string().replace('\n', &format!("\n{margin}"));
            say(&format!("{margin}{lines}{answer}\n"));
        }
    }
}

/// Writes on stderr in one piece; a closed stderr is not an error of ours.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_passes_on_what_it_would_have_made() {
        let mode = Mode::parse(OsStr::new("dry-run:user,root,block")).unwrap();
        assert!(mode.made().root && mode.made().has(Kind::User) && !mode.made().has(Kind::Net));
        assert_eq!(mode.made().depth(), 2);
        let made = Made { namespaces: vec![Kind::Pid], ..Made::default() };
        assert_eq!(mode.for_next(&made), Some("dry-run:user,pid,root,block".into()));
        assert_eq!(Mode::Run.for_next(&made), None);
    }

    #[test]
    fn any_other_value_is_refused() {
        for value in ["", "run", "dry-run", "dry-run:moon", "Explain", "explain,"] {
            assert!(Mode::parse(OsStr::new(value)).is_err(), "{value}");
        }
    }
}
