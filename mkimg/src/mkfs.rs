//! mkfs.ext4: its command line, and running it so that it dies with us and its words reach our error.

use crate::sys::dies_with_us;
use chain::{Refusal, array};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What mkfs.ext4 is asked for.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    pub label: Option<String>,
    pub uuid: Option<String>,
    pub inodes: Option<u64>,
    /// A directory it fills the file system from.
    pub tree: Option<PathBuf>,
}

impl Recipe {
    /// An empty file system.
    pub fn new(program: Option<&Path>) -> Recipe {
        Recipe { program: program.unwrap_or(Path::new("mkfs.ext4")).into(), ..Recipe::default() }
    }

    /// The words up to the device. The file is new and reads as zeros, so nothing is discarded or zeroed again; no
    /// blocks are set aside for root, for the size of an image is meant as it is said.
    pub fn words(&self) -> Vec<OsString> {
        let fixed =
            ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-E", "nodiscard,assume_storage_prezeroed=1"];
        let mut words: Vec<OsString> = fixed.into_iter().map(OsString::from).collect();
        let mut option = |name: &str, value: Option<&OsStr>| {
            if let Some(value) = value {
                words.extend([name.into(), value.to_owned()]);
            }
        };
        let inodes = self.inodes.map(|inodes| inodes.to_string());
        option("-N", inodes.as_deref().map(OsStr::new));
        option("-L", self.label.as_deref().map(OsStr::new));
        option("-U", self.uuid.as_deref().map(OsStr::new));
        option("-d", self.tree.as_deref().map(Path::as_os_str));
        words
    }

    /// Runs it on `target`, which may name its stdin: `/proc/self/fd/0`.
    ///
    /// # Errors
    /// It could not be run, or said no: then with its own words.
    pub fn run(&self, target: &Path, stdin: Stdio) -> Result<(), Refusal> {
        let mut words = self.words();
        words.push(target.into());
        let mut command = Command::new(&self.program);
        command.args(&words[1..]).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
        let call = format!("execve(\"mkfs.ext4\", {})", array(&words));
        let output = dies_with_us(&mut command).output().map_err(|error| {
            let mut refusal = Refusal::from(error);
            refusal.call = Some(call.clone());
            refusal
        })?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        // The first line is its version.
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("mke2fs 1"))
            .collect();
        let mut refusal = Refusal::said(format!("{}: {}", output.status, lines.join("; ")));
        refusal.call = Some(call);
        Err(refusal)
    }
}

/// A descriptor of the same open file for a child's stdin.
///
/// # Errors
/// Too many files are open.
pub fn as_stdin(file: &File) -> Result<Stdio, Refusal> {
    Ok(Stdio::from(file.try_clone()?))
}
