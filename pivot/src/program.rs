//! The program at the end: what it is called, where it is looked up, which variables it gets.

use crate::cli::Cli;
use crate::facts::Facts;
use chain::{DEFAULT_PATH, Program};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// HOME is left out where the user's own is meant, which is known once the new root's files can be read.
pub fn environment(cli: &Cli, facts: &Facts) -> Vec<(OsString, OsString)> {
    let of_caller = |name: &OsStr| facts.environment.iter().find(|(known, _)| known == name).cloned();
    let mut pairs: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: OsString, value: OsString| {
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
    };
    if cli.keep_env {
        facts.environment.iter().cloned().for_each(|(name, value)| set(name, value));
    } else {
        set("PATH".into(), DEFAULT_PATH.into());
        if let Some((name, value)) = of_caller(OsStr::new("TERM")) {
            set(name, value);
        }
        if facts.user.is_none() {
            set("HOME".into(), "/root".into());
        }
    }
    set("container".into(), "boxutils".into());
    for word in &cli.env {
        match split_variable(word) {
            Some((name, value)) => set(name, value),
            None => of_caller(word).into_iter().for_each(|(name, value)| set(name, value)),
        }
    }
    pairs
}

fn split_variable(word: &OsStr) -> Option<(OsString, OsString)> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = word.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((OsStr::from_bytes(&bytes[..at]).into(), OsStr::from_bytes(&bytes[at + 1..]).into()))
}

/// What the program is, looked up once the new root is there.
pub fn program(cli: &Cli, facts: &Facts) -> Program {
    let after_root = &cli.words[1..];
    let mut words = after_root.strip_prefix(&[OsString::from("--")]).unwrap_or(after_root).to_vec();
    if words.is_empty() {
        words.push("/bin/sh".into());
    }
    let root = cli.words[0].to_string_lossy().into_owned();
    let search = match cli.bare {
        true => facts.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()),
        false => environment(cli, facts).into_iter().find(|(name, _)| name == "PATH").map(|(_, path)| path),
    };
    let search = search.unwrap_or_else(|| DEFAULT_PATH.into());
    let typed = in_shell(&words, &search, cli.workdir.as_deref());
    let hint = format!("it is looked up in the new root, {root}, where the host's programs are not");
    Program::later(words)
        .along(search, hint)
        .where_tools_belong(|tool| {
            format!("what stands right of pivot runs in the new root: put {tool} left of pivot")
        })
        .typed(typed)
}

/// The program as capsh(1) starts it, without a shell in between: `--shell=PROG -- ARG…`.
fn in_shell(words: &[OsString], search: &OsStr, workdir: Option<&OsStr>) -> Vec<OsString> {
    let quoted = chain::quote_all(words);
    if let Some(directory) = workdir {
        let mut typed: Vec<OsString> = vec!["--shell=/bin/sh".into(), "--".into(), "-c".into()];
        typed.push(chain::quote(OsStr::new("cd \"$1\" && shift && exec \"$@\"")));
        typed.push("sh".into());
        typed.push(chain::quote(directory));
        typed.extend(quoted);
        return typed;
    }
    let name = Path::new(&words[0]);
    let mut first = OsString::from("--shell=");
    if name.components().count() > 1 {
        first.push(&quoted[0]);
    } else {
        let places: Vec<OsString> =
            std::env::split_paths(search).map(|place| chain::quote(place.as_os_str())).collect();
        first.push("\"$(for d in ");
        first.push(places.join(OsStr::new(" ")));
        first.push("; do if [ -e \".$d/\"");
        first.push(&quoted[0]);
        first.push(" ] || [ -L \".$d/\"");
        first.push(&quoted[0]);
        first.push(" ]; then echo \"$d/\"");
        first.push(&quoted[0]);
        first.push("; break; fi; done)\"");
    }
    [first, "--".into()].into_iter().chain(quoted.into_iter().skip(1)).collect()
}
