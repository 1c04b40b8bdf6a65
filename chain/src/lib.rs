//! What the five tools share: decide first, act later, never decide while acting.
//!
//! ```text
//! Cli  +  Facts  ->  Plan of Steps  ->  run | explain | dry-run
//! what was typed     read-only look     why + call + undo
//! ```
//!
//! A tool reads its command line and looks at the machine, and from both makes a [`Plan`]: a list of typed [`Call`]s, each
//! with the one sentence that says why. The plan is a value. It is carried out by one runner, which does it, tells it
//! (`--explain`) or writes it down as a script of classic commands (`--dry-run`); so what is told is what is done.
//! The sentence is the code comment, the line of the explanation, the `while:` of an error and the comment of the script.
//!
//! At its end a tool becomes the next program ([`Program`]), and only this crate execs, forks, waits and prints errors.
//! Code comes here when its second user appears; one subject a file.

mod below;
mod binfmt;
mod caps;
mod cgroup;
mod child;
mod exec;
mod fail;
mod guard;
mod held;
mod lifeline;
mod limits;
mod loopdev;
mod mountinfo;
mod namespace;
mod narrate;
pub mod netlink;
mod output;
mod plan;
mod reaper;
mod room;
mod root;
mod run;
mod shell;
mod signals;
pub mod size;
mod step;
mod strace;
mod sys;
mod wait;

pub use below::open_below;
pub use caps::{CapSet, Capabilities, drop_bounding, keep_capabilities};
pub use cgroup::{Cgroup, cgroups_in, cgroups_of};
pub use exec::{DEFAULT_PATH, Program, TOOLS, c_string};
pub use fail::{CANNOT_RUN, Failure, NOT_FOUND, TOOL_FAILED, in_words};
pub use guard::{
    forbid_tracing, go_on_from_a_copy, is_sealed_copy, name_this_process, own_path, refuse_open_directories,
};
pub use lifeline::{Holder, Lifeline, die_with_parent};
pub use limits::why_no_namespace;
pub use loopdev::{Attached, LoopDevice, LoopFlags, attach, attached, detach, devices_on, why_no_loop};
pub use mountinfo::{Mount, mountinfo, mountinfo_of, mounts_in};
pub use namespace::{Kind, first_extent, in_user_namespace, is_below_ours, mount_namespace_id};
pub use narrate::{MODE_VARIABLE, Made, Mode, Narration, say};
pub use output::{json_string, print_answer, print_data};
pub use plan::{Fork, Plan};
pub use room::{A_START, TOO_LITTLE};
pub use root::{be_root, takes};
pub use shell::{Shell, join, quote, quote_all};
pub use step::{Answer, Call, Refusal, Step};
pub use strace::{array, quoted};
pub use sys::{
    Named, close_from_at_exec, exists, get_xattr, inherited, join_new_session_keyring, list_xattrs, own,
    pidfd_open, remove_xattr, set_default, set_environment, set_xattr,
};
pub use wait::Ended;

/// Makes `run`, of the type `fn(&'static str) -> anyhow::Result<u8>`, the program's entry point.
///
/// The entry is C's own and not Rust's, whose start-up sets SIGPIPE to ignored (the program would inherit that), maps an
/// alternate stack and reads /proc/self/maps: 0.05 ms that every link of a chain would pay.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[cfg(not(test))]
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: i32, words: *mut *mut u8) -> i32 {
            $crate::start(env!("CARGO_PKG_NAME"), words, $run)
        }
        #[cfg(test)]
        const _: fn(&'static str) -> anyhow::Result<u8> = $run;
    };
}

/// Runs a tool and turns its outcome into an exit status and, where it failed, a message. `words` is main's own argument.
pub fn start(tool: &'static str, words: *mut *mut u8, run: fn(&'static str) -> anyhow::Result<u8>) -> i32 {
    sys::WORDS.store(words, std::sync::atomic::Ordering::Relaxed);
    sys::open_standard_descriptors();
    match run(tool) {
        Ok(status) => status.into(),
        Err(error) => {
            let failure = fail::from_any(error);
            failure.report(tool);
            narrate::end_script(failure.status);
            failure.status.into()
        }
    }
}

/// Reads the command line. Help and version are printed on stdout, and end the process with 0.
///
/// # Errors
/// What was typed is wrong, or stdout takes no more.
pub fn parse<Cli: clap::Parser>() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| {
        let text = error.to_string();
        if !error.use_stderr() {
            match print_data(text.as_bytes()) {
                Ok(()) => std::process::exit(0),
                Err(refusal) => return refusal.failure("write(1)").why("print what was asked for"),
            }
        }
        let first = text.split("\n\nUsage:").next().unwrap_or(&text);
        let similar = first.lines().find_map(|line| line.trim().strip_prefix("tip: a similar "));
        let lines: Vec<&str> = first
            .lines()
            .map(str::trim)
            .filter(|line| {
                !(line.is_empty() || line.starts_with("tip:") || line.starts_with("For more information"))
            })
            .collect();
        let what = lines.join(" ");
        let name = Cli::command().get_name().to_owned();
        let hint = match similar {
            Some(tip) => format!("a similar {tip}"),
            None => format!("{name} --help lists what it takes"),
        };
        Failure::new(what.strip_prefix("error: ").unwrap_or(&what)).hint(hint)
    })
}
