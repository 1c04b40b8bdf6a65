//! The one exec: how a tool finds the program that follows it, and becomes it.
//!
//! Exit statuses follow env(1): 127 where there is no such program, 126 where there is one that cannot be run.

use crate::binfmt;
use crate::fail::{CANNOT_RUN, Failure, NOT_FOUND};
use crate::narrate::{MODE_VARIABLE, Made, Mode};
use crate::room::why_no_memory;
use crate::shell::quote_all;
use crate::strace::{array, quoted};
use nix::errno::Errno;
use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The five tools: a bare word among these means ours, whatever else of that name is in PATH.
pub const TOOLS: [&str; 5] = ["nsexec", "mkimg", "cgset", "vethup", "pivot"];

/// Why any of our tools runs another program.
pub const WHY: &str = "become the program: same process, same number, another life";

/// Where programs are looked up when nothing says where.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program a tool becomes.
#[derive(Debug)]
pub struct Program {
    words: Vec<OsString>,
    found: Option<Found>,
    search: OsString,
    absent_hint: Option<String>,
    /// The same where it is one of our tools.
    absent_tool_hint: Option<String>,
    typed: Option<Vec<OsString>>,
    /// It is run by this descriptor, whatever its path.
    descriptor: Option<OwnedFd>,
    /// Why it is not process 1 itself, where it is not.
    pub(crate) reaper: Option<&'static str>,
}

#[derive(Debug)]
struct Found {
    path: PathBuf,
    ours: bool,
}

impl Program {
    /// Finds the program now, before anything is done, so that a wrong name changes nothing.
    ///
    /// # Errors
    /// 127: not there. 126: there, and it cannot be run.
    pub fn find(words: Vec<OsString>) -> Result<Program, Failure> {
        let mut program = Program::later(words);
        program.found = Some(match our_own(program.name()) {
            Some(path) => Found { path, ours: true },
            None => program.look_up()?,
        });
        Ok(program)
    }

    /// A program that is only there once the steps are done: it is looked up then, along `PATH`.
    pub fn later(words: Vec<OsString>) -> Program {
        let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        Program {
            words,
            found: None,
            search,
            absent_hint: None,
            absent_tool_hint: None,
            typed: None,
            descriptor: None,
            reaper: None,
        }
    }

    /// One of our tools, as the file that is open here.
    pub(crate) fn of_descriptor(file: OwnedFd, words: Vec<OsString>) -> Program {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let found = Some(Found { path, ours: true });
        Program { found, descriptor: Some(file), ..Program::later(words) }
    }

    /// Looks along `search` instead of `PATH`; `absent_hint` says where that is when nothing is found.
    pub fn along(self, search: impl Into<OsString>, absent_hint: String) -> Program {
        Program { search: search.into(), absent_hint: Some(absent_hint), ..self }
    }

    /// What is said instead when the one that is not found is a tool of ours, by its name.
    pub fn where_tools_belong(self, hint: impl FnOnce(Cow<str>) -> String) -> Program {
        let hint = hint(self.name().to_string_lossy());
        Program { absent_tool_hint: Some(hint), ..self }
    }

    /// As the child of a reaper, which is process 1; `why` says what for.
    pub fn under_reaper(self, why: &'static str) -> Program {
        Program { reaper: Some(why), ..self }
    }

    /// What a dry run prints in the program's place, as the shell reads it.
    pub fn typed(self, words: Vec<OsString>) -> Program {
        Program { typed: Some(words), ..self }
    }

    fn name(&self) -> &OsStr {
        self.words.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// Whether it is one of our tools, which is told the mode and narrates on.
    pub fn is_ours(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.ours)
    }

    /// The words of the program's line in a script.
    pub(crate) fn shell_words(&self) -> Vec<OsString> {
        self.typed.clone().unwrap_or_else(|| quote_all(&self.words))
    }

    fn look_up(&self) -> Result<Found, Failure> {
        let path = self.search_for().ok_or_else(|| self.absent())?;
        let foreign_formats = || Path::new("/proc/sys/fs/binfmt_misc/status").exists();
        match binfmt::obstacle(&path) {
            Some(cause) if cause.errno == Errno::ENOEXEC && foreign_formats() => {}
            Some(cause) => return Err(refused(&path, cause.errno, Some(cause.hint))),
            None => {}
        }
        Ok(Found { path, ours: false })
    }

    /// The first file of that name, executable ones first, as a shell chooses.
    fn search_for(&self) -> Option<PathBuf> {
        let name = self.name();
        if name.is_empty() {
            return None;
        }
        if name.as_bytes().contains(&b'/') {
            return Some(PathBuf::from(name)).filter(|path| path.exists());
        }
        let places = std::env::split_paths(&self.search);
        let files: Vec<PathBuf> =
            places.map(|place| place.join(name)).filter(|path| path.is_file()).collect();
        let sound = files
            .iter()
            .position(|path| binfmt::obstacle(path).is_none_or(|cause| cause.errno != Errno::EACCES));
        files.into_iter().nth(sound.unwrap_or(0))
    }

    /// Why a path that was given cannot be looked at, where that is not for want of a file.
    fn out_of_reach(&self) -> Option<Errno> {
        let is_path = self.name().as_bytes().contains(&b'/');
        let error = std::fs::metadata(self.name()).err().filter(|_| is_path)?;
        let errno = Errno::from_raw(error.raw_os_error()?);
        (!matches!(errno, Errno::ENOENT | Errno::ENOTDIR)).then_some(errno)
    }

    fn absent(&self) -> Failure {
        let name = self.name();
        let call = format!("execve({})", quoted(name));
        if let Some(errno) = self.out_of_reach() {
            return Failure::refused(call, errno)
                .why(WHY)
                .status(CANNOT_RUN)
                .hint("a directory on the way to it may not be searched, or its links lead in a circle");
        }
        let failure = Failure::refused(call, Errno::ENOENT).why(WHY).status(NOT_FOUND);
        let is_tool = TOOLS.iter().any(|tool| Path::new(name).file_name() == Some(OsStr::new(tool)));
        match self.absent_tool_hint.as_ref().filter(|_| is_tool).or(self.absent_hint.as_ref()) {
            Some(hint) if is_tool => failure.hint(hint),
            _ if name.as_bytes().starts_with(b"-") => {
                failure.hint("options stop at the first operand: put it before that")
            }
            _ if !name.is_empty() && name.as_bytes().iter().all(u8::is_ascii_digit) => {
                failure.hint("the value of an option that can do without is written with =, as in --pid=4711")
            }
            Some(hint) => failure.hint(hint),
            None if Path::new(name).is_symlink() => {
                failure.hint("it is a symbolic link to what is not there")
            }
            None if name.as_bytes().contains(&b'/') => failure.hint("there is no such file"),
            None => failure.hint(format!("not in any directory of PATH={}", self.search.to_string_lossy())),
        }
    }

    /// The call, as strace prints it.
    pub(crate) fn call(&self) -> String {
        if let Some(file) = &self.descriptor {
            return format!("execveat({}, \"\", {}, AT_EMPTY_PATH)", file.as_raw_fd(), array(&self.words));
        }
        let path = self.found.as_ref().map_or(Path::new(self.name()), |found| &found.path);
        format!("execve({}, {})", quoted(path), array(&self.words))
    }

    /// Becomes the program. Returns only when that failed.
    pub(crate) fn exec(&self, mode: &Mode, made: &Made) -> Failure {
        let looked_up = match &self.found {
            Some(_) => None,
            None => match self.search_for() {
                Some(path) => Some(path),
                None => return self.absent(),
            },
        };
        let path = looked_up.as_deref().or(self.found.as_ref().map(|found| found.path.as_path()));
        let Some(path) = path else { return self.absent() };
        if let Some(failure) = self.leads_out(path) {
            return failure;
        }
        let words: Option<Vec<CString>> =
            self.words.iter().map(|word| CString::new(word.as_bytes()).ok()).collect();
        let variables: Option<Vec<CString>> =
            self.variables(mode, made).into_iter().map(|pair| CString::new(pair).ok()).collect();
        let (Ok(c_path), Some(words), Some(variables)) =
            (CString::new(path.as_os_str().as_bytes()), words, variables)
        else {
            return Failure::new("execve: a word holds a NUL byte").status(CANNOT_RUN);
        };
        let Err(errno) = match &self.descriptor {
            Some(file) => {
                nix::unistd::execveat(file, c"", &words, &variables, nix::fcntl::AtFlags::AT_EMPTY_PATH)
            }
            None => nix::unistd::execve(&c_path, &words, &variables),
        };
        // No kernel takes less, and none of them is too long then.
        let length: usize =
            words.iter().chain(&variables).map(|word| word.as_bytes_with_nul().len() + 8).sum();
        let no_memory = why_no_memory(errno, length < 128 << 10);
        let hint = match errno {
            _ if no_memory.is_some() => no_memory,
            Errno::E2BIG => Some("arguments and environment together are more than the kernel takes (a quarter of `ulimit -s`, 128 KiB each)".into()),
            _ => binfmt::obstacle(path).map(|cause| cause.hint),
        };
        refused(path, errno, hint)
    }

    /// In a new root the files are others', and could make the kernel run or load a file of the host.
    fn leads_out(&self, path: &Path) -> Option<Failure> {
        if self.found.is_some() {
            return None;
        }
        let way = binfmt::leads_out(path)?;
        let what = format!("execve({}): it leads out of the new root", quoted(path));
        let hint = match way == path {
            true => {
                "it is a link of /proc to an open file, or passes one: that is none of the root's own".into()
            }
            false => format!(
                "it is run by {}, a link of /proc to an open file: that is none of the root's own",
                quoted(&way)
            ),
        };
        Some(Failure::new(what).why(WHY).status(CANNOT_RUN).hint(hint))
    }

    fn variables(&self, mode: &Mode, made: &Made) -> Vec<Vec<u8>> {
        let pair = |name: &OsStr, value: &OsStr| [name.as_bytes(), b"=", value.as_bytes()].concat();
        let inherited = std::env::vars_os().filter(|(name, _)| name != MODE_VARIABLE);
        let mut variables: Vec<Vec<u8>> = inherited.map(|(name, value)| pair(&name, &value)).collect();
        if let Some(value) = mode.for_next(made).filter(|_| self.is_ours()) {
            variables.push(pair(OsStr::new(MODE_VARIABLE), &value));
        }
        variables
    }

    /// In a dry run: lets the next tool, one of ours, print its part. Returns its exit status.
    pub(crate) fn let_it_print(&self, mode: &Mode, made: &Made) -> Result<u8, Failure> {
        let Some(found) = &self.found else { return Ok(0) };
        let value = mode.for_next(made).unwrap_or_default();
        let mut command = std::process::Command::new(&found.path);
        command.args(&self.words[1..]).env(MODE_VARIABLE, value);
        // Ignored, as some launchers leave it, SIGCHLD would have the kernel reap the child and forget its status.
        let _ = crate::sys::set_default(nix::sys::signal::Signal::SIGCHLD);
        let status = command.status().map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            refused(&found.path, errno, None)
        })?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::fail::TOOL_FAILED))
    }
}

fn refused(path: &Path, errno: Errno, hint: Option<String>) -> Failure {
    let call = format!("execve({})", quoted(path));
    let failure = Failure::refused(call, errno).why(WHY).status(CANNOT_RUN);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The path of our tool `name`: the one beside the running program. libcgroup installs a `cgset` too.
fn our_own(name: &OsStr) -> Option<PathBuf> {
    let path = Path::new(name);
    let tool = path.file_name()?;
    if !TOOLS.iter().any(|ours| tool == OsStr::new(ours)) {
        return None;
    }
    let own = crate::guard::own_path()?.parent()?.join(tool);
    let is_bare = path.as_os_str() == tool;
    ((is_bare && own.is_file()) || path == own).then_some(own)
}

/// The C string behind a path, for calls nix has no wrapper for.
///
/// # Errors
/// EINVAL for a path with a NUL byte in it.
pub fn c_string(text: impl AsRef<OsStr>) -> Result<CString, Errno> {
    CString::new(text.as_ref().to_owned().into_vec()).map_err(|_| Errno::EINVAL)
}
