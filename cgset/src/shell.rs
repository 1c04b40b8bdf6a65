//! The calls as classic commands: mkdir, echo and rmdir are all that control groups need.

use crate::call::Call;
use crate::group::freezer_file;
use crate::label::attribute;
use crate::mark::{MARK_OF_ROOT, MARK_OF_USERS, Mark};
use chain::{Shell, join, quote};
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a call is in shell.
pub fn of(call: &Call) -> Shell {
    match call {
        Call::EnableControllers { directory, names } => {
            let text: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
            Shell::Line(echo(&text.join(" "), &directory.join("cgroup.subtree_control")))
        }
        Call::MakeGroup { directory, mark, by_root, .. } => {
            let marked = marked(*mark, directory, if *by_root { MARK_OF_ROOT } else { MARK_OF_USERS });
            lines([join(["mkdir".as_ref(), "-p".as_ref(), directory.as_os_str()]), marked])
        }
        Call::SetLabel { key, values } => {
            lines(values.iter().map(|(directory, value)| label(directory, key, value.as_deref())))
        }
        Call::WriteKnob { path, value, if_there } => match if_there {
            true => Shell::Line(joined([text(&["! [ -e "], path, " ] || "), echo(value, path)])),
            false => Shell::Line(echo(value, path)),
        },
        // bpftool loads an object file, and there is none.
        Call::SetDevices { .. } => Shell::Refuse,
        Call::RestoreDevices { .. } => Shell::Nothing,
        Call::MoveMembers { from, to } => {
            let each =
                text(&["for process in $(cat "], &from.join("cgroup.procs"), "); do echo \"$process\"");
            Shell::Line(joined([each, text(&[" > "], &to.join("cgroup.procs"), "; done")]))
        }
        Call::MoveProcess { found, groups } => {
            lines(groups.iter().map(|group| echo(&found.process.to_string(), &group.join("cgroup.procs"))))
        }
        Call::Join { doors } => lines(doors.iter().map(|door| echo("0", door))),
        Call::EndMembers { home, .. } => Shell::Line(text(
            &["for process in $(find "],
            home,
            " -name cgroup.procs -exec cat {} +); do kill -KILL \"$process\" || :; done",
        )),
        Call::RemoveGroup { directories, with_inner, .. } => {
            lines(directories.iter().map(|(_, one)| removed(one, *with_inner)))
        }
        Call::SetFrozen { directory, version, frozen } => {
            let (file, freeze, thaw) = freezer_file(*version);
            Shell::Line(echo(if *frozen { freeze } else { thaw }, &directory.join(file)))
        }
        Call::Report(call) => call.shell(),
        Call::Print(call) => call.shell(),
        Call::Mount(call) => call.shell(),
    }
}

/// Several commands, a line for each.
pub fn lines(lines: impl IntoIterator<Item = OsString>) -> Shell {
    let lines: Vec<OsString> = lines.into_iter().collect();
    Shell::Line(lines.join("\n".as_ref()))
}

/// rmdir(1) of a group whose last process may not be gone quite yet: for five seconds, and then it says why not.
fn removed(directory: &Path, with_inner: bool) -> OsString {
    let remove = match with_inner {
        true => text(&["find "], directory, " -depth -type d -exec rmdir {} +"),
        false => text(&["rmdir "], directory, ""),
    };
    let is_there = text(&["tries=0; while [ -d "], directory, " ] && ! ");
    let again = " 2>/dev/null; do [ $((tries += 1)) -lt 500 ] || { ";
    joined([is_there, remove.clone(), again.into(), remove, " || exit; }; sleep 0.01; done".into()])
}

fn echo(value: &str, path: &Path) -> OsString {
    text(&["echo ", &quote(value.as_ref()).to_string_lossy(), " > "], path, "")
}

/// setfattr(1) is in Debian's attr, which not every machine has; without a mark the rest is the same.
pub fn marked(mark: Mark, directory: &Path, name: &CStr) -> OsString {
    let name = name.to_string_lossy();
    text(
        &["! command -v setfattr >/dev/null || setfattr -n ", &name, " -v ", mark.text(), " "],
        directory,
        "",
    )
}

/// setfattr(1) takes text in double quotes as it is, but for a backslash before these two and before octal digits.
fn label(directory: &Path, key: &str, value: Option<&[u8]>) -> OsString {
    let there = "! command -v setfattr >/dev/null || setfattr ";
    let name = attribute(key);
    let Some(value) = value else { return text(&[there, "-x ", &name, " "], directory, "") };
    let mut word = vec![b'"'];
    for byte in value {
        match byte {
            b'"' | b'\\' => word.extend([b'\\', *byte]),
            _ => word.push(*byte),
        }
    }
    word.push(b'"');
    let value = quote(OsStr::from_bytes(&word));
    joined([[there, "-n ", &name, " -v "].concat().into(), value, text(&[" "], directory, "")])
}

/// Words with a path among them.
pub fn text(before: &[&str], path: &Path, after: &str) -> OsString {
    let mut line = OsString::from(before.concat());
    line.push(quote(path.as_os_str()));
    line.push(after);
    line
}

/// One line of several parts.
pub fn joined(parts: impl IntoIterator<Item = OsString>) -> OsString {
    parts.into_iter().collect::<Vec<_>>().join("".as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Of a script that is less patient.
    fn status(call: &Call) -> Option<i32> {
        let Shell::Line(line) = of(call) else { return None };
        let line = line.to_str().unwrap().replace("-lt 500", "-lt 3");
        Command::new("sh").arg("-c").arg(line).status().unwrap().code()
    }

    #[test]
    fn what_is_gone_or_cannot_go_ends_the_script_s_wait() {
        let top = std::env::temp_dir().join(format!("cgset-removed-{}", std::process::id()));
        let group = top.join("group");
        std::fs::create_dir_all(group.join("a/b")).unwrap();
        let remove = |with_inner| Call::RemoveGroup {
            directories: vec![(top.clone(), group.clone())],
            leave_if_busy: false,
            with_inner,
        };
        assert_eq!(status(&remove(false)), Some(1), "there is a group in it");
        assert_eq!(status(&remove(true)), Some(0));
        assert!(!group.exists());
        assert_eq!(status(&remove(true)), Some(0), "gone already");
        std::fs::remove_dir(&top).unwrap();
    }
}
