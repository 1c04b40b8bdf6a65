//! The calls of the parent that waits: to say that memory ran out, to count what was used, to write the report.

use crate::shell::{joined, text};
use crate::stat::{self, oom_file};
use crate::tree::{Hierarchy, Version};
use crate::usage::{Notes, files};
use chain::{Answer, Refusal, Shell, join, quote, quoted, say};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A call; each variant is named after what becomes of the report.
#[derive(Debug)]
pub enum ReportCall {
    /// `memory.oom_control` or `memory.events`; with the limit as it was typed
    ReportOom { name: String, directory: PathBuf, version: Version, typed: Option<String> },
    /// The files that count, before or after the program
    ReadUsage { groups: Vec<(Hierarchy, PathBuf)>, is_over: bool },
    /// open(2) of the file for the report; of a FIFO, which waits for who reads it, a handle only
    OpenReport { file: PathBuf, is_fifo: bool },
    /// unlink(2) of one that was made
    RemoveReport { file: PathBuf },
    /// write(2) of the report
    WriteReport { name: String, file: Option<PathBuf> },
}

/// What one of these calls keeps for others.
#[derive(Default)]
pub struct Kept {
    /// What is to be reported, and where to.
    pub notes: Notes,
    target: Option<Target>,
}

impl Display for ReportCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ReportCall::ReportOom { directory, version, .. } => {
                write!(f, "read({})", quoted(directory.join(oom_file(*version))))
            }
            ReportCall::ReadUsage { groups, .. } => f.write_str(&read_counters(groups)),
            ReportCall::OpenReport { file, is_fifo: true } => write!(f, "open({}, O_PATH)", quoted(file)),
            ReportCall::OpenReport { file, .. } => {
                write!(f, "open({}, O_WRONLY|O_CREAT, 0666)", quoted(file))
            }
            ReportCall::RemoveReport { file } => write!(f, "unlink({})", quoted(file)),
            ReportCall::WriteReport { file: Some(file), .. } => {
                write!(f, "write({}, {{the report}})", quoted(file))
            }
            ReportCall::WriteReport { file: None, .. } => f.write_str("write(2, {the report})"),
        }
    }
}

/// Reading what is counted in these groups, as strace prints it.
pub fn read_counters(groups: &[(Hierarchy, PathBuf)]) -> String {
    let line = |(_, one): &(Hierarchy, PathBuf)| format!("read({{the counters in {}}})", quoted(one));
    groups.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl ReportCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        match self {
            ReportCall::ReportOom { name, directory, version, .. } => {
                let found =
                    text(&["! grep -q '^oom_kill [1-9]' "], &directory.join(oom_file(*version)), " || echo ");
                let said = quote(format!("cgset: {name}: out of memory").as_ref());
                Shell::Line(joined([found, said, " >&2".into()]))
            }
            ReportCall::ReadUsage { groups, is_over } => {
                let paths = groups.iter().flat_map(|(one, at)| {
                    files(one).into_iter().map(move |file| at.join(file).into_os_string())
                });
                let words = ["grep", "-sH", "."].map(OsString::from).into_iter().chain(paths);
                let name = if *is_over { "used=$(" } else { "before=$(" };
                Shell::Line(joined([name.into(), join(words), " || :)".into()]))
            }
            // A script opens it when it writes it.
            ReportCall::OpenReport { .. } | ReportCall::RemoveReport { .. } => Shell::Nothing,
            ReportCall::WriteReport { file, .. } => {
                let said = "printf '%s\\n' \"status $status\" \"$used\" \"${before:+before: $before}\"";
                Shell::Line(match file {
                    Some(file) => text(&[said, " > "], file, ""),
                    None => format!("{said} >&2").into(),
                })
            }
        }
    }

    /// It waits for nobody.
    pub fn is_quick(&self) -> bool {
        matches!(self, ReportCall::ReadUsage { .. } | ReportCall::OpenReport { .. })
    }

    /// Makes the request.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self, kept: &mut Kept) -> Result<Answer, Refusal> {
        match self {
            ReportCall::ReportOom { name, directory, version, typed } => {
                let before = kept.notes.oom_kills_before();
                if let Some(line) = stat::oom_line(name, directory, *version, before, typed.as_deref()) {
                    say(&line);
                }
            }
            ReportCall::ReadUsage { groups, is_over } => kept.notes.read(groups, *is_over),
            ReportCall::OpenReport { file, is_fifo } => {
                let (answer, target) = open_report(file, *is_fifo)?;
                kept.target = Some(target);
                return Ok(answer);
            }
            ReportCall::RemoveReport { file } => std::fs::remove_file(file)?,
            ReportCall::WriteReport { name, .. } => {
                return write_report(&kept.notes, name, kept.target.take());
            }
        }
        Ok(Answer::zero())
    }
}

/// Where the report goes, as it was before the program ran: it cannot put another file there.
enum Target {
    File(File),
    /// Of a FIFO, opened for writing when there is something to write: its reader may come late.
    Handle(File),
}

/// Opens the file for the report; what was in it stays until there is a new one.
fn open_report(file: &Path, is_fifo: bool) -> Result<(Answer, Target), Refusal> {
    let refused = |call: &str, error: std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Refusal::at(format!("open({}, {call})", chain::quoted(file)), errno)
    };
    if is_fifo {
        let handle = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(file);
        let handle = handle.map_err(|error| refused("O_PATH", error))?;
        return Ok((Answer::AlreadyThere, Target::Handle(handle)));
    }
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NOCTTY);
    match options.clone().create_new(true).open(file) {
        Ok(made) => Ok((Answer::Made(made.as_raw_fd().to_string()), Target::File(made))),
        // A link to nothing is there, and is followed.
        _ => match options.create(true).truncate(false).open(file) {
            Ok(there) => Ok((Answer::AlreadyThere, Target::File(there))),
            Err(error) => Err(refused("O_WRONLY|O_CREAT, 0666", error)),
        },
    }
}

/// Writes the report where it was asked for, or on stderr.
fn write_report(notes: &Notes, name: &str, target: Option<Target>) -> Result<Answer, Refusal> {
    let text = notes.text(name);
    let Some(target) = target else {
        say(&text);
        return Ok(Answer::Made(text.len().to_string()));
    };
    // All is put away: from here on a signal ends this process as it would any other, if nobody ever reads. Its parent's
    // death does, too, or has ended this already; only what needs no reader is still written then.
    if !matches!(&target, Target::File(file) if file.metadata()?.is_file()) {
        let alive = chain::die_with_parent();
        if matches!(&target, Target::Handle(_)) {
            alive.map_err(|_| Refusal::said("whoever started this has died, and nobody reads it"))?;
        }
    }
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM]
        .into_iter()
        .collect::<SigSet>()
        .thread_unblock()?;
    // A reader that has gone is an error to be told, and no reason to die.
    let mut pipe = SigSet::empty();
    pipe.add(Signal::SIGPIPE);
    pipe.thread_block()?;
    let mut opened = match target {
        Target::File(file) => {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file
        }
        Target::Handle(handle) => {
            OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?
        }
    };
    opened.write_all(text.as_bytes())?;
    Ok(Answer::Made(text.len().to_string()))
}
