//! What can be typed. The doc comments are the help.

use crate::label::Label;
use chain::{Failure, Narration, quoted};
use clap::{CommandFactory, Parser};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Create a control group, write its files, put the program in it
///
/// GROUP is a path such as web or lab/web, from the root of each hierarchy; what of it is missing is made. FILE is an
/// interface file in the spelling of version 1 or 2: the other's is translated.
#[derive(Parser, Debug, Default)]
#[command(version, args_override_self = true, after_help = EXAMPLES, override_usage =
    "cgset [OPTION]... GROUP [FILE=VALUE]... [-- PROG [ARG]...]\n       cgset --procs|--stat|--freeze|--thaw|--kill|--remove GROUP\n       cgset --move PID GROUP\n       cgset --tree [GROUP]\n       cgset --gc\n       cgset --hierarchy CTRL[,CTRL] [--remove] DIR\n       cgset --controllers")]
pub struct Cli {
    /// How much its members may keep in memory and, without --swap, in swap too: 256M, or max
    #[arg(short, long, value_name = "SIZE", help_heading = "Limits")]
    pub memory: Option<String>,
    /// How much they may keep in swap: 64M, or max
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub swap: Option<String>,
    /// How many CPUs' worth of time: 1.5 or 50%, or max
    #[arg(short, long, value_name = "N", help_heading = "Limits")]
    pub cpus: Option<String>,
    /// Its share where others want the CPU too, 1 to 10000; 100 is usual
    #[arg(long, value_name = "WEIGHT", help_heading = "Limits")]
    pub cpu_weight: Option<String>,
    /// On which CPUs, as in 0-2,7
    #[arg(long, value_name = "LIST", help_heading = "Limits")]
    pub cpuset: Option<String>,
    /// From which memory nodes
    #[arg(long, value_name = "LIST", help_heading = "Limits", hide_short_help = true)]
    pub cpuset_mems: Option<String>,
    /// How many processes and threads, or max
    #[arg(short, long, value_name = "N", help_heading = "Limits")]
    pub pids: Option<String>,
    /// How fast on a disk, by its node or a path on it: /dev/vda:rbps=4M,wbps=4M,riops=100,wiops=max
    #[arg(long, value_name = "DISK:KEY=N,...", help_heading = "Limits")]
    pub io: Vec<OsString>,
    /// Its share where others want the disk too, 1 to 1000; 100 is usual
    #[arg(long, value_name = "WEIGHT", help_heading = "Limits", hide_short_help = true)]
    pub io_weight: Option<String>,
    /// How much in huge pages of a size, as in 2M=64M
    #[arg(long, value_name = "SIZE=LIMIT", help_heading = "Limits", hide_short_help = true)]
    pub hugetlb: Vec<String>,
    /// Which devices, and no others: 'c 1:3 rwm', '/dev/null rw', none, or a for all
    #[arg(long, value_name = "RULE", help_heading = "Limits")]
    pub device: Vec<OsString>,
    /// The class of what it sends, as tc writes it: 10:1
    #[arg(long, value_name = "MAJOR:MINOR", help_heading = "Limits", hide_short_help = true)]
    pub net_class: Option<String>,
    /// The priority of what it sends over an interface, as in eth0:5
    #[arg(long, value_name = "IF:PRIO", help_heading = "Limits", hide_short_help = true)]
    pub net_prio: Vec<String>,

    /// Note something on it, which --stat and --tree show; root alone may
    #[arg(long, value_name = "KEY=VALUE", help_heading = "The group")]
    pub label: Vec<OsString>,
    /// Wait for PROG, then end what it left behind in the group and remove that
    #[arg(short, long, help_heading = "The group")]
    pub transient: bool,
    /// Wait for PROG, then print what it used as a JSON object, on stderr or to FILE
    #[arg(long, value_name = "FILE", help_heading = "The group", num_args = 0..=1, require_equals = true)]
    pub report: Option<Option<OsString>>,
    /// Move processes that stand in the way (version 2) into the group NAME beside GROUP
    #[arg(long, value_name = "NAME", help_heading = "The group", hide_short_help = true)]
    pub leaf: Option<OsString>,
    /// Print the processes in it
    #[arg(long, help_heading = "The group", group = "action")]
    pub procs: bool,
    /// Move a process there, by itself, in every hierarchy the group is in
    #[arg(long = "move", value_name = "PID", help_heading = "The group", group = "action",
        value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    pub processes: Vec<u32>,
    /// Print what it uses and may use
    #[arg(long, help_heading = "The group", group = "action")]
    pub stat: bool,
    /// Print all groups, or those at and below GROUP, with who is in them
    #[arg(long, help_heading = "The group", group = "action")]
    pub tree: bool,
    /// With --stat, --tree, --controllers: as JSON, whose keys stay
    #[arg(long, help_heading = "The group")]
    pub json: bool,
    /// Stop all of it where it is
    #[arg(long, help_heading = "The group", group = "action")]
    pub freeze: bool,
    /// Let it go on
    #[arg(long, help_heading = "The group", group = "action")]
    pub thaw: bool,
    /// End all of it
    #[arg(long, help_heading = "The group", group = "action")]
    pub kill: bool,
    /// Remove it, if cgset made it and nothing is in it
    #[arg(long, help_heading = "The group", group = "action")]
    pub remove: bool,
    /// Remove every group a cgset that was killed has left behind
    #[arg(long, help_heading = "The group", group = "action", hide_short_help = true)]
    pub gc: bool,

    /// Mount a hierarchy of version 1 with these controllers at DIR; with --remove, take it away again
    #[arg(long, value_name = "CTRL[,CTRL]", help_heading = "Hierarchies", hide_short_help = true,
        conflicts_with_all = ["program", "transient", "report", "label", "leaf", "processes", "procs", "stat", "tree", "freeze", "thaw", "kill", "gc"])]
    pub hierarchy: Option<String>,
    /// Print the controllers of this kernel, and where each is mounted
    #[arg(long, help_heading = "Hierarchies", group = "action", hide_short_help = true)]
    pub controllers: bool,

    /// A directory in place of the mounted hierarchies
    #[arg(long, value_name = "DIR", hide = true)]
    pub root: Option<PathBuf>,

    #[command(flatten)]
    pub narration: Narration,

    /// The group, and files to write
    #[arg(value_name = "GROUP", hide = true, required_unless_present_any = ["gc", "tree", "controllers"])]
    pub operands: Vec<OsString>,
    /// The program to become, and its arguments
    #[arg(last = true, hide = true, conflicts_with = "action")]
    pub program: Vec<OsString>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the group and write its files, perhaps with a program.
    Set,
    Procs,
    Move,
    Stat,
    Tree,
    Freeze,
    Thaw,
    Kill,
    Remove,
    Gc,
    Mount,
    Unmount,
    Controllers,
}

impl Cli {
    pub fn action(&self) -> Action {
        match self {
            Cli { hierarchy: Some(_), remove: true, .. } => Action::Unmount,
            Cli { hierarchy: Some(_), .. } => Action::Mount,
            Cli { controllers: true, .. } => Action::Controllers,
            Cli { procs: true, .. } => Action::Procs,
            Cli { processes, .. } if !processes.is_empty() => Action::Move,
            Cli { stat: true, .. } => Action::Stat,
            Cli { tree: true, .. } => Action::Tree,
            Cli { freeze: true, .. } => Action::Freeze,
            Cli { thaw: true, .. } => Action::Thaw,
            Cli { kill: true, .. } => Action::Kill,
            Cli { remove: true, .. } => Action::Remove,
            Cli { gc: true, .. } => Action::Gc,
            _ => Action::Set,
        }
    }

    /// GROUP, relative to the root of a hierarchy; empty with --gc, and with --tree of all.
    ///
    /// # Errors
    /// It is no path below that root.
    pub fn group(&self) -> Result<PathBuf, Failure> {
        let Some(word) = self.operands.first() else { return Ok(PathBuf::new()) };
        let refused =
            |what: &str, hint: &str| Err(Failure::new(format!("{}: {what}", quoted(word))).hint(hint));
        if word.as_bytes().contains(&b'=') {
            return refused("no GROUP before it", "the group comes first: cgset GROUP FILE=VALUE");
        }
        let path = Path::new(word);
        let names: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        if path.components().any(|part| part == Component::ParentDir) {
            return refused("leads out of the hierarchy", "a group is named from its root, without ..");
        }
        match names.as_os_str().is_empty() {
            true => refused(
                "the root of the hierarchy is no group of ours",
                "name a group below it, as in web or lab/web",
            ),
            false => Ok(names),
        }
    }

    /// NAME of --leaf.
    ///
    /// # Errors
    /// It is no name of a group beside GROUP.
    pub fn leaf(&self) -> Result<Option<&OsStr>, Failure> {
        let Some(name) = &self.leaf else { return Ok(None) };
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(Some(only)),
            _ => Err(Failure::new(format!("--leaf {}: not one name", quoted(name)))
                .hint("the group stands beside GROUP, in the same one: --leaf rest")),
        }
    }

    /// Each FILE=VALUE.
    ///
    /// # Errors
    /// An operand is not of that form.
    pub fn files(&self) -> Result<Vec<(String, String)>, Failure> {
        let pair = |word: &OsString| {
            let text =
                word.to_str().and_then(|text| text.split_once('=')).filter(|(file, _)| !file.is_empty());
            text.map(|(file, value)| (file.to_owned(), value.to_owned())).ok_or_else(|| self.no_file(word))
        };
        self.operands.iter().skip(1).map(pair).collect()
    }

    /// What stands where a FILE=VALUE may, and is none.
    fn no_file(&self, word: &OsStr) -> Failure {
        let (what, hint) = match (is_file(word), self.action()) {
            (true, _) => ("not FILE=VALUE", "name the file before the =, as in memory.max=64M"),
            (false, Action::Set) => ("not FILE=VALUE", BEFORE_PROGRAM),
            (false, Action::Move) => {
                ("a second group", "each process takes a --move of its own: --move PID --move PID GROUP")
            }
            (false, _) => ("a second group", "one at a time"),
        };
        Failure::new(format!("{}: {what}", quoted(word))).hint(hint)
    }

    /// Who waits for a program needs one.
    ///
    /// # Errors
    /// There is none.
    pub fn refuse_without_program(&self) -> Result<(), Failure> {
        let option = match self {
            Cli { transient: true, .. } => "--transient",
            Cli { report: Some(_), .. } => "--report",
            _ => return Ok(()),
        };
        if !self.program.is_empty() {
            return Ok(());
        }
        self.files()?;
        Err(Failure::new(format!("{option} waits for a program, and none is named"))
            .hint(format!("it comes after --: cgset {option} GROUP -- PROG")))
    }

    /// Each --label.
    ///
    /// # Errors
    /// One of them is none.
    pub fn labels(&self) -> Result<Vec<Label>, Failure> {
        self.label.iter().map(|word| Label::parse(word)).collect()
    }

    /// Whether anything is to be written or joined, and not only looked at or removed.
    pub fn knobs_are_given(&self) -> bool {
        let knobs = [
            &self.memory,
            &self.swap,
            &self.cpus,
            &self.cpu_weight,
            &self.cpuset,
            &self.cpuset_mems,
            &self.pids,
            &self.io_weight,
            &self.net_class,
        ];
        let lists = [self.io.len(), self.hugetlb.len(), self.device.len(), self.net_prio.len()];
        knobs.iter().any(|knob| knob.is_some())
            || lists.iter().any(|length| *length > 0)
            || !self.label.is_empty()
            || self.operands.len() > 1
    }
}

const BEFORE_PROGRAM: &str = "put -- before the program";

fn is_file(word: &OsStr) -> bool {
    word.as_bytes().contains(&b'=')
}

/// The cure for what clap refused, where that is the program's, which has no -- before it.
pub fn hint_at_dashes(refused: Failure) -> Failure {
    let Ok(typed) = Cli::command().ignore_errors(true).try_get_matches() else { return refused };
    let words = |name| typed.try_get_many::<OsString>(name).ok().flatten().into_iter().flatten();
    match (words("operands").next(), words("program").next()) {
        (None, Some(_)) => refused.hint("the group comes before --: cgset GROUP -- PROG"),
        _ if words("operands").skip(1).any(|word| !is_file(word)) => refused.hint(BEFORE_PROGRAM),
        _ => refused,
    }
}

const EXAMPLES: &str = "Examples:
  cgset --transient --memory 256M --pids 64 web -- make   limits for one command, gone with it
  cgset web cpu.max='50000 100000'                        half a CPU, in version 1 or 2
  cgset --stat web";
