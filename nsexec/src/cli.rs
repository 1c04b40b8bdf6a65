//! What can be typed. The doc comments are the help.

use crate::timens::Offset;
use chain::{Kind, Narration};
use clap::{Arg, Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

// An option with an optional value is absent, bare (make one), or has a value (join that one).

/// Make or join namespaces, then become the program
///
/// A bare option makes a new namespace; a value joins one that exists: all digits are a PID, anything else a file.
/// Without PROG it runs $SHELL, else /bin/sh.
#[derive(Parser, Debug, Default)]
#[command(version, args_override_self = true, after_help = EXAMPLES, override_usage =
    "nsexec [OPTION]... [--] [PROG [ARG]...]\n       nsexec --list [--json] [DIR]... | --forget DIR", mut_args = alone)]
pub struct Cli {
    /// Mount points of its own, and private ones
    #[arg(short, long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub mount: Option<Option<OsString>>,
    /// Host name
    #[arg(short, long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub uts: Option<Option<OsString>>,
    /// System V IPC and message queues
    #[arg(short, long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub ipc: Option<Option<OsString>>,
    /// Network interfaces, routes, rules, sockets
    #[arg(short, long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub net: Option<Option<OsString>>,
    /// Process numbers; forks and waits, and a new one makes the program PID 1
    #[arg(short, long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub pid: Option<Option<OsString>>,
    /// User and group ids, capabilities
    #[arg(short = 'U', long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub user: Option<Option<OsString>>,
    /// The root of the control-group tree
    #[arg(short = 'C', long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub cgroup: Option<Option<OsString>>,
    /// Clocks that count from the start of the machine
    #[arg(short = 'T', long, value_name = "FILE|PID", num_args = 0..=1, require_equals = true, help_heading = "Namespaces")]
    pub time: Option<Option<OsString>>,
    /// Every new kind but user and time
    #[arg(short, long, help_heading = "Namespaces")]
    pub all: bool,
    /// Be where process PID is, and have no more rights than it has
    #[arg(short = 't', long, visible_alias = "target", value_name = "PID", help_heading = "Namespaces")]
    pub join: Option<OsString>,

    /// Be root in a new user namespace: maps 0 to the caller; implies --user
    #[arg(short = 'r', long, help_heading = "Inside")]
    pub map_root_user: bool,
    /// The name of the host, in a UTS namespace only
    #[arg(long, value_name = "NAME", help_heading = "Inside")]
    pub hostname: Option<OsString>,
    /// Mount a /proc that shows the new PID namespace; implies --mount
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, help_heading = "Inside")]
    pub mount_proc: Option<Option<PathBuf>>,
    /// What becomes of mounts made on either side of a new mount namespace
    #[arg(
        long,
        value_name = "HOW",
        default_value = "private",
        hide_short_help = true,
        help_heading = "Inside"
    )]
    pub propagation: Propagation,
    /// With a new --pid: a reaper is process 1, and the program its child
    #[arg(long, help_heading = "Inside")]
    pub init: bool,
    /// With --join, leave the environment as it is
    #[arg(long, requires = "join", hide_short_help = true, help_heading = "Inside")]
    pub keep_env: bool,
    /// Leave the lo of a new network namespace down
    #[arg(long, hide_short_help = true, help_heading = "Inside")]
    pub no_lo: bool,

    /// Shift the clock that counts from the start of the machine, in a new time namespace only
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = "Inside"
    )]
    pub boottime: Option<Offset>,
    /// Shift the clock that never jumps, in a new time namespace only
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = "Inside"
    )]
    pub monotonic: Option<Offset>,

    /// Keep each new namespace beyond its processes, on a file in DIR named as in /proc/PID/ns
    #[arg(long, value_name = "DIR", conflicts_with = "join", help_heading = "Kept by name")]
    pub keep: Option<PathBuf>,
    /// Let go of the namespaces kept in DIR
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "program"], help_heading = "Kept by name")]
    pub forget: Option<PathBuf>,
    /// List the namespaces that are kept: all, or those in DIR
    #[arg(long, help_heading = "Kept by name")]
    pub list: bool,
    /// List them as JSON
    #[arg(long, requires = "list", hide_short_help = true, help_heading = "Kept by name")]
    pub json: bool,

    /// Write the program's PID (with --init the reaper's) to descriptor N once everything is set up, and close it
    #[arg(long, value_name = "N", help_heading = "Together with others")]
    pub ready_fd: Option<i32>,
    /// Wait until descriptor N is at its end before the program starts
    #[arg(long, value_name = "N", help_heading = "Together with others")]
    pub wait_fd: Option<i32>,
    /// Write the program's PID (with --init the reaper's) to FILE; where nsexec waits, it removes FILE at the end
    #[arg(long, value_name = "FILE", help_heading = "Together with others")]
    pub pid_file: Option<PathBuf>,

    #[command(flatten)]
    pub narration: Narration,

    /// The program to become, and its arguments
    #[arg(value_name = "PROG", trailing_var_arg = true, hide = true)]
    pub program: Vec<OsString>,
}

/// The propagation of a new mount namespace, as mount_namespaces(7) names it.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// Neither side sees the other's
    #[default]
    Private,
    /// The host's appear inside
    Slave,
    /// Both ways
    Shared,
    /// As the host has it
    Unchanged,
}

const EXAMPLES: &str = "Examples:
  nsexec --pid --mount-proc ps ax        the program alone, as PID 1
  nsexec -r --net -- ip address          a network without being root
  nsexec --net=4711 -- ss -tln           what listens in the network of process 4711";

/// Whoever lists or forgets runs, makes and joins nothing: the other options contradict that.
fn alone(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "forget" | "list" | "json" | "explain" | "dry_run" | "program" | "help" | "version" => option,
        _ => option.conflicts_with_all(["forget", "list"]),
    }
}

impl Cli {
    /// The option of each kind, in the order the namespaces are made and joined.
    pub fn kinds(&self) -> [(Kind, &Option<Option<OsString>>); 8] {
        [
            (Kind::User, &self.user),
            (Kind::Mount, &self.mount),
            (Kind::Uts, &self.uts),
            (Kind::Ipc, &self.ipc),
            (Kind::Net, &self.net),
            (Kind::Cgroup, &self.cgroup),
            (Kind::Time, &self.time),
            (Kind::Pid, &self.pid),
        ]
    }

    /// Whether it goes where other programs are, who could lay hands on this one.
    pub fn goes_among_others(&self) -> bool {
        self.join.is_some() || matches!(self.mount, Some(Some(_)))
    }

    /// Whether a new namespace of this kind is asked for, by its option or by another that needs it.
    pub fn makes(&self, kind: Kind) -> bool {
        let (_, option) = self.kinds().into_iter().find(|(other, _)| *other == kind).unwrap_or((kind, &None));
        let implied = match kind {
            Kind::User => self.map_root_user,
            Kind::Mount => self.all || self.mount_proc.is_some(),
            Kind::Time => false,
            _ => self.all,
        };
        matches!(option, Some(None)) || (option.is_none() && implied)
    }
}
