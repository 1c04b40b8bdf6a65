//! A read-only look at the machine: who we are, what is joined, where the program is.

use crate::cli::Cli;
use crate::kept::{Directory, absolute};
use crate::process::Process;
use chain::{DEFAULT_PATH, Failure, Kind, Lifeline, Program, be_root, quoted};
use nix::errno::Errno;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A namespace to join, held open.
#[derive(Debug)]
pub struct Target {
    pub kind: Kind,
    pub path: PathBuf,
    pub file: File,
}

/// What a command line is for that runs no program.
#[derive(Debug)]
pub enum Errand {
    /// To let go of what is kept in a directory.
    Forget(Directory),
    /// To list what is kept, in these directories or all.
    List { within: Vec<PathBuf>, json: bool },
}

impl Errand {
    /// Looks at what it is about, if one was typed; changes nothing.
    ///
    /// # Errors
    /// What was named is not there.
    pub fn read(cli: &Cli) -> Result<Option<Errand>, Failure> {
        if let Some(path) = &cli.forget {
            return Ok(Some(Errand::Forget(Directory::look("--forget", path)?)));
        }
        if !cli.list {
            return Ok(None);
        }
        let within =
            cli.program.iter().map(|path| absolute("--list", path.as_ref())).collect::<Result<_, _>>()?;
        Ok(Some(Errand::List { within, json: cli.json }))
    }

    /// What is worth a line: what `--forget` leaves alone.
    pub fn notice(&self) -> Option<String> {
        let Errand::Forget(directory) = self else { return None };
        let names: Vec<String> = directory.others.iter().map(quoted).collect();
        (!names.is_empty()).then(|| {
            format!(
                "nsexec: {} stays: what is not of nsexec's keeping is in it: {}\n",
                quoted(&directory.path),
                names.join(", ")
            )
        })
    }
}

/// What the plan is made on.
#[derive(Debug)]
pub struct Facts {
    pub uid: u32,
    pub gid: u32,
    /// The first and the last group id that is mapped here, at most 2147483647; looked up for a new network only.
    pub groups: (u32, u32),
    /// Descriptors the caller opened for us.
    pub ready: Option<OwnedFd>,
    pub wait: Option<OwnedFd>,
    /// Looked for only where a user namespace is joined, which is what cuts it.
    pub lifeline: Option<Lifeline>,
    pub joins: Vec<Target>,
    /// The process to be with.
    pub process: Option<Process>,
    /// Where new namespaces shall be kept.
    pub keep: Option<Directory>,
    /// The age of our mount namespace among others, where the kernel tells it; looked up to keep a younger one.
    pub mount_id: Option<u64>,
    pub program: Program,
    /// Somebody reads our messages as they come.
    pub on_terminal: bool,
}

impl Facts {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// What was typed names something that is not there, or not what it should be.
    pub fn read(cli: &Cli) -> anyhow::Result<Facts> {
        if cli.join.is_some() {
            chain::refuse_open_directories()?;
        }
        // First of all: any file opened before could take the number that was meant.
        let ready = cli.ready_fd.map(|fd| descriptor("--ready-fd", fd)).transpose()?;
        let wait = cli.wait_fd.map(|fd| descriptor("--wait-fd", fd)).transpose()?;
        let mut joins = Vec::new();
        for (kind, option) in cli.kinds() {
            if let Some(Some(value)) = option {
                joins.push(Target::open(kind, value)?);
            }
        }
        let keep = cli.keep.as_ref().map(|path| Directory::look("--keep", path)).transpose()?;
        if keep.is_some() {
            refuse_foreign_proc()?;
        }
        let words = match cli.program.as_slice() {
            [] if cli.join.is_some() => vec!["/bin/sh".into()],
            [] => vec![
                std::env::var_os("SHELL")
                    .filter(|shell| !shell.is_empty())
                    .unwrap_or_else(|| "/bin/sh".into()),
            ],
            words => words.to_vec(),
        };
        let process = cli.join.as_deref().map(Process::look).transpose()?;
        let elsewhere = joins.iter().any(|target| target.kind == Kind::Mount);
        Ok(Facts {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: if cli.makes(Kind::Net) { mapped_groups(cli) } else { (0, 0) },
            ready,
            wait,
            lifeline: if joins.iter().any(|target| target.kind == Kind::User) {
                Lifeline::look()
            } else {
                None
            },
            joins,
            program: match &process {
                Some(process) if process.has_another_root => program_of(process, cli, words),
                _ if elsewhere => Program::later(words),
                _ => Program::find(words)?,
            },
            process,
            mount_id: keep.as_ref().and_then(|_| chain::mount_namespace_id()),
            keep,
            on_terminal: std::io::stderr().is_terminal(),
        })
    }
}

/// A program that is looked up in the root of the process that is joined.
fn program_of(process: &Process, cli: &Cli, words: Vec<OsString>) -> Program {
    let caller = std::env::var_os("PATH").filter(|_| cli.keep_env);
    let number = process.number;
    Program::later(words)
        .along(
            caller.unwrap_or_else(|| DEFAULT_PATH.into()),
            format!("it is looked up in the root of process {number}"),
        )
        .where_tools_belong(|tool| {
            format!("it is looked up in the root of process {number}: {tool} has to be in there")
        })
}

impl Target {
    fn open(kind: Kind, value: &OsStr) -> Result<Target, Failure> {
        let name = kind.name();
        if value.is_empty() {
            return Err(Failure::new(format!("--{name}= has an empty value")).hint(format!(
                "is the variable after it unset? --{name} alone makes a new namespace, --{name}=FILE or --{name}=PID joins one"
            )));
        }
        let is_pid = is_pid(value);
        let path = match is_pid {
            true => PathBuf::from(format!("/proc/{}/ns/{}", value.to_string_lossy(), kind.file())),
            false => PathBuf::from(value),
        };
        let why = "a namespace is joined through its file";
        let file = File::open(&path).map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            let failure = Failure::refused(format!("open({})", quoted(&path)), errno).why(why);
            match errno {
                Errno::ENOENT if is_pid => {
                    failure.hint(format!("there is no process {} here", value.to_string_lossy()))
                }
                Errno::ENOENT => failure
                    .hint(format!("a value joins a namespace that exists; --{name} alone makes a new one")),
                Errno::EACCES => {
                    failure.hint(format!("that process is not yours: {}", be_root("CAP_SYS_PTRACE")))
                }
                _ => failure,
            }
        })?;
        if fstatfs(&file).map(|about| about.filesystem_type()) != Ok(NSFS_MAGIC) {
            return Err(Failure::new(format!("{}: not a namespace", quoted(&path))).why(why).hint(format!(
                "a value joins, as in nsenter(1): /proc/PID/ns/{0}, or a file it is bound on, until a restart; --{name} --keep DIR makes one and binds it on DIR/{0}",
                kind.file()
            )));
        }
        Ok(Target { kind, path, file })
    }
}

/// The namespaces to keep are found by the number of the child; in a /proc of another PID namespace that is somebody else's.
fn refuse_foreign_proc() -> Result<(), Failure> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    match numbers.map(|numbers| numbers.split_whitespace().count()) {
        Some(1) => Ok(()),
        _ => Err(Failure::new("--keep: /proc does not show this process by its own number")
            .hint("it is that of another PID namespace: --mount-proc where this one was made")),
    }
}

fn descriptor(option: &str, fd: i32) -> Result<OwnedFd, Failure> {
    chain::inherited(fd).map_err(|errno| {
        Failure::refused(format!("{option} {fd}"), errno).hint(match fd {
            0..=2 => "0 to 2 are stdin, stdout and stderr: use a number above them".to_string(),
            _ => format!("open it for nsexec, as the shell does with {fd}<FILE or {fd}>FILE"),
        })
    })
}

/// The groups of the user namespace the network will belong to: ours, or the one that is joined.
fn mapped_groups(cli: &Cli) -> (u32, u32) {
    let process = match &cli.user {
        Some(Some(value)) if is_pid(value) => value.as_os_str(),
        Some(Some(_)) => return (0, 0),
        _ => OsStr::new("self"),
    };
    let map = PathBuf::from("/proc").join(process).join("gid_map");
    chain::first_extent(&std::fs::read_to_string(map).unwrap_or_default())
}

fn is_pid(value: &OsStr) -> bool {
    value.as_bytes().iter().all(u8::is_ascii_digit)
}
