//! Who the program runs as: `--user NAME|UID[:GID]`, looked up in the new root's own /etc/passwd and /etc/group.

use crate::mountfd::{Resolve, open_below};
use chain::{Failure, Refusal, Shell, quoted};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// A name or a number. A number is never looked up as a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Name(String),
    Number(u32),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    pub user: Who,
    pub group: Option<Who>,
}

/// A user as the kernel knows it, and where it is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    pub home: OsString,
}

impl Account {
    /// Root, needing no file.
    pub fn root() -> Account {
        Account { uid: 0, gid: 0, home: "/root".into() }
    }
}

/// A passwd or group file above this is taken for an attack.
const MOST_BYTES: u64 = 1 << 20;

impl Who {
    fn parse(text: &str) -> Option<Who> {
        let first = text.bytes().next()?;
        if first.is_ascii_digit() {
            let number =
                text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten()?;
            // The kernel takes -1 for "leave it as it is".
            return (number != u32::MAX).then_some(Who::Number(number));
        }
        let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
        (sound && (first.is_ascii_alphabetic() || first == b'_')).then(|| Who::Name(text.into()))
    }
}

impl UserSpec {
    /// Root is meant, by number or by name.
    pub fn is_root(&self) -> bool {
        matches!(&self.user, Who::Number(0)) || matches!(&self.user, Who::Name(name) if name == "root")
    }

    /// The program's user, where the new root need not be asked: root, unless another number was typed.
    pub fn typed(spec: Option<&UserSpec>) -> Option<u32> {
        match spec.map(|spec| &spec.user) {
            None => Some(0),
            Some(Who::Number(uid)) => Some(*uid),
            Some(Who::Name(_)) => None,
        }
    }

    /// Reads `NAME|UID[:GID]`.
    ///
    /// # Errors
    /// A number out of range, or what is neither number nor name.
    pub fn parse(text: &str) -> Result<UserSpec, Failure> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let parse = |part: &str| {
            Who::parse(part).ok_or_else(|| {
                Failure::new(format!("--user {text}: {part:?} is neither a name nor a number below 4294967295"))
                    .hint("a number is taken as it is, and a name begins with a letter and stands in the new root's /etc/passwd")
            })
        };
        Ok(UserSpec { user: parse(user)?, group: group.map(parse).transpose()? })
    }

    /// Finds the account in the files of `root`. A number without a group has the group of its passwd line, or else its
    /// own number, never root's by default.
    pub fn find(&self, root: BorrowedFd) -> Result<Account, Refusal> {
        let passwd = || read(root, "etc/passwd");
        let (uid, gid, home) = match &self.user {
            Who::Number(0) => (0, 0, "/root".into()),
            Who::Number(uid) => match passwd().ok().and_then(|text| line_of(&text, 2, &uid.to_string())) {
                Some(fields) => account_in(&fields).unwrap_or((*uid, *uid, "/".into())),
                None => (*uid, *uid, "/".into()),
            },
            Who::Name(name) => {
                let fields = line_of(&passwd()?, 0, name).ok_or_else(|| absent(name, "/etc/passwd"))?;
                account_in(&fields).ok_or_else(|| absent(name, "/etc/passwd"))?
            }
        };
        let gid = match &self.group {
            None => gid,
            Some(Who::Number(gid)) => *gid,
            Some(Who::Name(name)) => line_of(&read(root, "etc/group")?, 0, name)
                .and_then(|fields| id_in(fields.get(2)?))
                .ok_or_else(|| absent(name, "/etc/group"))?,
        };
        Ok(Account { uid, gid, home })
    }

    /// The first call of `find`, as strace prints it.
    pub fn as_call(&self) -> &'static str {
        match self.user {
            Who::Number(0) => "openat2(\"etc/group\")",
            _ => "openat2(\"etc/passwd\", RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS)",
        }
    }

    /// Sets the variables uid, gid and home from the files of the new root, which is the working directory.
    pub fn as_commands(&self) -> Shell {
        let line = |file: &str, pattern: String, otherwise: String| {
            let pattern = chain::quote(OsStr::from_bytes(pattern.as_bytes()));
            format!("$(grep -m1 {} etc/{file}{otherwise})", pattern.to_string_lossy())
        };
        let account = match &self.user {
            Who::Number(0) => "root:x:0:0::/root".into(),
            Who::Number(uid) => {
                line("passwd", format!("^[^:]*:[^:]*:{uid}:"), format!(" || echo user:x:{uid}:{uid}::/"))
            }
            Who::Name(name) => line("passwd", format!("^{name}:"), String::new()),
        };
        let field =
            |variable: &str, number: u32| format!("{variable}=$(echo \"$account\" | cut -d: -f{number})");
        let mut lines =
            vec![format!("account=\"{account}\""), field("uid", 3), field("gid", 4), field("home", 6)];
        match &self.group {
            None => {}
            Some(Who::Number(gid)) => lines.push(format!("gid={gid}")),
            Some(Who::Name(name)) => {
                lines.push(format!("gid={}", line("group", format!("^{name}:"), " | cut -d: -f3".into())));
            }
        }
        Shell::Line(lines.join("\n").into())
    }
}

/// Why a file of the new root is not read.
pub fn why_not_found(errno: Errno) -> Option<String> {
    let why = match errno {
        Errno::ELOOP => "a link of the image could lead anywhere: its /etc/passwd must be a file",
        Errno::EINVAL => "it must be a regular file of at most 1 MiB",
        Errno::ENOENT => "give the number: --user UID:GID needs no file",
        _ => return None,
    };
    Some(why.into())
}

fn absent(name: &str, file: &str) -> Refusal {
    Refusal::said(format!("no valid line for {name:?} in the new root's {file}"))
}

fn account_in(fields: &[Vec<u8>]) -> Option<(u32, u32, OsString)> {
    Some((id_in(fields.get(2)?)?, id_in(fields.get(3)?)?, OsString::from_vec(fields.get(5)?.clone())))
}

/// An id as a file has it: digits and nothing else, not even a plus sign; not -1, which the kernel takes for none.
fn id_in(field: &[u8]) -> Option<u32> {
    match Who::parse(std::str::from_utf8(field).ok()?)? {
        Who::Number(id) => Some(id),
        Who::Name(_) => None,
    }
}

/// The fields of the first line whose field number `at` is `value`.
fn line_of(text: &[u8], at: usize, value: &str) -> Option<Vec<Vec<u8>>> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<Vec<u8>> = line.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect();
        (fields.get(at).map(Vec::as_slice) == Some(value.as_bytes())).then_some(fields)
    })
}

/// Reads a file of the new root: a regular one, of a sane size, reached without a link.
fn read(root: BorrowedFd, path: &str) -> Result<Vec<u8>, Refusal> {
    let refused = |errno| Refusal::at(format!("openat2({} below the new root)", quoted(path)), errno);
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(open_below(root, Path::new(path), Resolve::NoLinks, flags).map_err(refused)?);
    let about = file.metadata()?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(refused(Errno::EINVAL));
    }
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_strict_and_names_are_names() {
        let user = |text: &str| UserSpec::parse(text).map(|spec| spec.user).ok();
        assert_eq!(user("1000"), Some(Who::Number(1000)));
        assert_eq!(user("www-data"), Some(Who::Name("www-data".into())));
        assert_eq!(UserSpec::parse("1:2").unwrap().group, Some(Who::Number(2)));
        for text in [
            "",
            "-1",
            "4294967295",
            "4294967296",
            "1x",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "a b",
            "1:",
            ":1",
            "1:-1",
            "é",
        ] {
            assert!(UserSpec::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_found_by_name_or_number_and_by_nothing_else() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nuser:x:1000:100::/home/user:/bin/sh\n";
        let fields = line_of(passwd, 0, "user").unwrap();
        assert_eq!(account_in(&fields), Some((1000, 100, "/home/user".into())));
        assert_eq!(line_of(passwd, 2, "1000").unwrap(), fields);
        assert_eq!(line_of(passwd, 0, "use"), None);
        assert_eq!(account_in(&line_of(b"bad:x:-1:0::/:\n", 0, "bad").unwrap()), None);
    }
}
