//! The clocks of a time namespace: time_namespaces(7). Wall-clock time has no namespace, so nothing here changes the date.

use crate::call::{Call, write_once};
use crate::cli::Cli;
use crate::plan::why_new;
use chain::{Answer, Failure, Kind, Refusal, Shell, Step, be_root};
use nix::errno::Errno;
use nix::sched::setns;
use std::fmt::{self, Display};
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

/// The time namespace that the children of this process are born in.
const FOR_CHILDREN: &str = "/proc/self/ns/time_for_children";
/// What is written to it counts for the same namespace: time_namespaces(7).
const OFFSETS: &str = "/proc/self/timens_offsets";

/// A clock that a time namespace shifts, as `/proc/self/timens_offsets` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Boottime,
    Monotonic,
}

impl Clock {
    pub fn name(self) -> &'static str {
        match self {
            Clock::Boottime => "boottime",
            Clock::Monotonic => "monotonic",
        }
    }
}

/// By how much a clock is shifted. The nanoseconds always count forward: -0.25 s is -1 s and 750000000 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl FromStr for Offset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Offset, Self::Err> {
        const WRONG: &str = "a number of seconds, such as 3600, -5 or 0.25";
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
            return Err(WRONG);
        }
        let seconds: i64 = whole.parse().map_err(|_| WRONG)?;
        let nanoseconds: u32 = format!("{fraction:0<9}").parse().map_err(|_| WRONG)?;
        Ok(match (text.starts_with('-'), nanoseconds) {
            (false, _) => Offset { seconds, nanoseconds },
            (true, 0) => Offset { seconds: -seconds, nanoseconds },
            (true, _) => Offset { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
        })
    }
}

impl Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.seconds, self.nanoseconds)
    }
}

/// The clocks of a new time namespace only can be set.
///
/// # Errors
/// There is none.
pub fn refuse_contradictions(cli: &Cli) -> Result<(), Failure> {
    if (cli.boottime.is_some() || cli.monotonic.is_some()) && !cli.makes(Kind::Time) {
        return Err(Failure::new("--boottime and --monotonic set the clocks of a new time namespace")
            .hint("add --time; the clocks of one that has processes stand for ever"));
    }
    Ok(())
}

/// A new time namespace, entered once its clocks are set: the first process in it freezes them.
pub fn steps(cli: &Cli) -> Vec<Step<Call>> {
    let mut steps = vec![Step::new(why_new(Kind::Time), Call::Unshare(Kind::Time))];
    let set = |why, clock, offset: Option<Offset>| {
        offset.map(|offset| Step::new(why, Call::Time(TimeCall::ShiftClock { clock, offset })))
    };
    steps.extend(set(
        "what it thinks how long ago the machine was switched on",
        Clock::Boottime,
        cli.boottime,
    ));
    steps.extend(set(
        "the clock that timeouts are measured by starts elsewhere",
        Clock::Monotonic,
        cli.monotonic,
    ));
    steps.push(Step::new(
        "go where the children would be born: kernels before 6.2 do not do that at exec",
        Call::Time(TimeCall::Enter),
    ));
    steps
}

/// A call about a time namespace that is new. Each with its four faces, as in call.rs.
#[derive(Debug)]
pub enum TimeCall {
    /// `/proc/self/timens_offsets`
    ShiftClock { clock: Clock, offset: Offset },
    /// setns(2) to the time namespace that children would be born in
    Enter,
}

impl Display for TimeCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            TimeCall::ShiftClock { clock, offset } => {
                write!(f, "write(\"{OFFSETS}\", \"{} {offset}\")", clock.name())
            }
            TimeCall::Enter => write!(f, "setns(\"{FOR_CHILDREN}\", CLONE_NEWTIME)"),
        }
    }
}

impl TimeCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        match self {
            TimeCall::ShiftClock { clock, offset: Offset { seconds, nanoseconds: 0 } } => {
                Shell::enter(["unshare", &format!("--{}={seconds}", clock.name())])
            }
            // unshare(1) knows whole seconds only.
            TimeCall::ShiftClock { .. } => Shell::Refuse,
            TimeCall::Enter => Shell::enter(["nsenter", &format!("--time={FOR_CHILDREN}")]),
        }
    }

    /// Makes the request.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn run(&self) -> Result<Answer, Refusal> {
        match self {
            TimeCall::ShiftClock { clock, offset } => {
                write_once(Path::new(OFFSETS), &format!("{} {offset}", clock.name()))
            }
            TimeCall::Enter => {
                setns(File::open(FOR_CHILDREN)?, Kind::Time.flag())?;
                Ok(Answer::zero())
            }
        }
    }

    /// What the kernel minds about an offset.
    pub fn hint(&self, errno: Errno) -> Option<String> {
        match (self, errno) {
            (TimeCall::ShiftClock { .. }, Errno::EPERM) => Some(format!("shifting clocks takes CAP_SYS_TIME over the time namespace: {}, or add -r", be_root("CAP_SYS_TIME"))),
            (TimeCall::ShiftClock { .. }, Errno::ERANGE) => Some("the clock would stand before 0 or run over: it may go back no further than it has run (/proc/uptime), and at most 146 years ahead".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_be_negative_and_have_a_fraction() {
        let cases = [
            ("0", "0 0"),
            ("3600", "3600 0"),
            ("+1.5", "1 500000000"),
            ("0.000000001", "0 1"),
            ("-5", "-5 0"),
            ("-0.25", "-1 750000000"),
            ("-1.5", "-2 500000000"),
        ];
        for (typed, written) in cases {
            assert_eq!(typed.parse::<Offset>().unwrap().to_string(), written, "{typed}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for typed in ["", "-", "1.", ".5", "1s", "--1", "1e3", "0.0000000001", "99999999999999999999"] {
            assert!(typed.parse::<Offset>().is_err(), "{typed}");
        }
    }
}
