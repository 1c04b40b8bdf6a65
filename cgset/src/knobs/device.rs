//! Which devices a group may use: a list that is all it may, in version 1 written to files, in version 2 a program.

use super::{Look, Write, refused, version_of, write};
use crate::tree::{Tree, Version};
use chain::{Failure, quoted};
use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What helps who writes to the files of version 1 where there are none.
pub const INSTEAD: &str =
    "version 2 has a program in place of that file, and --device writes it: --device 'c 1:3 rwm'";

const WHY_NONE: &str = "its members may use no device at all, but for those that follow";
const WHY_ALL: &str = "its members may use whatever devices the group around it may";
const WHY_ALLOW: &str = "its members may use this device";
const WHY_KEPT: &str = "its members may use this device now, and if a later step fails once more";
const WHY_DENY: &str = "its members might use this device until now: the new list does not have it";
const WHY_PROGRAM: &str = "the kernel runs this program whenever a member opens or makes a device: what it does not find in its list is refused";

/// What a group may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    Everything,
    /// These, and no others.
    Only(Vec<Rule>),
}

/// One or more devices, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub is_block: bool,
    /// None is any.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// The bits of [`READ`], [`WRITE`], [`MAKE`].
    pub access: u32,
}

/// `BPF_DEVCG_ACC_*` of linux/bpf.h.
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
pub const ANY_ACCESS: u32 = MAKE | READ | WRITE;

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".into(), |number| number.to_string());
        let kind = if self.is_block { 'b' } else { 'c' };
        let access: String = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')]
            .iter()
            .filter(|(bit, _)| self.access & bit != 0)
            .map(|(_, letter)| letter)
            .collect();
        write!(f, "{kind} {}:{} {access}", number(self.major), number(self.minor))
    }
}

impl Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Rules::Everything => f.write_str("a"),
            Rules::Only(rules) => {
                f.write_str(&rules.iter().map(Rule::to_string).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// The list that the words of --device make; none where there is no such word.
///
/// # Errors
/// One is no rule, or names what is no device.
pub fn parse<W: AsRef<OsStr>>(words: &[W]) -> Result<Option<Rules>, Failure> {
    let mut rules = Vec::new();
    let mut is_everything = false;
    for word in words.iter().map(AsRef::as_ref) {
        match word.to_str().map(str::trim) {
            Some("none") if words.len() == 1 => {}
            Some("a" | "all" | "a *:* rwm") => is_everything = true,
            _ => add_rule(&mut rules, one(word)?),
        }
    }
    Ok(match (words.is_empty(), is_everything) {
        (true, _) => None,
        (_, true) => Some(Rules::Everything),
        _ => Some(Rules::Only(rules)),
    })
}

/// Two rules for the same devices are one, as in the kernel's list.
fn add_rule(rules: &mut Vec<Rule>, rule: Rule) {
    match rules.iter_mut().find(|known| known.is_about_the_same(&rule)) {
        Some(known) => known.access |= rule.access,
        None => rules.push(rule),
    }
}

impl Rule {
    fn is_about_the_same(&self, other: &Rule) -> bool {
        (self.is_block, self.major, self.minor) == (other.is_block, other.major, other.minor)
    }

    /// What of it `list` lacks.
    fn beyond(&self, list: &[Rule]) -> Option<Rule> {
        let known = list.iter().filter(|rule| rule.is_about_the_same(self));
        let access = known.fold(self.access, |left, rule| left & !rule.access);
        (access != 0).then(|| Rule { access, ..self.clone() })
    }
}

/// `c 1:3 rwm`, or the path of a node, with or without what may be done.
fn one(word: &OsStr) -> Result<Rule, Failure> {
    let wanted = || {
        refused(
            "--device",
            word,
            "b or c, MAJOR:MINOR (either may be *) and what of rwm: 'c 1:3 rwm'; or a node: '/dev/null rw'; a is all, none is none",
        )
    };
    let text = word.to_str().map(str::trim).filter(|text| !text.contains('/'));
    let Some(text) = text else { return node(word) };
    rule(text).ok_or_else(wanted)
}

fn rule(text: &str) -> Option<Rule> {
    let mut words = text.split_whitespace();
    let is_block = match words.next()? {
        "b" => true,
        "c" => false,
        _ => return None,
    };
    let number = |text: &str| match text {
        "*" => Some(None),
        _ => text.parse().ok().map(Some),
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = access(words.next().unwrap_or("rwm"))?;
    let rule = Rule { is_block, major: number(major)?, minor: number(minor)?, access };
    words.next().is_none().then_some(rule)
}

fn access(text: &str) -> Option<u32> {
    let bit = |letter| match letter {
        'r' => Some(READ),
        'w' => Some(WRITE),
        'm' => Some(MAKE),
        _ => None,
    };
    text.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?)).filter(|bits| *bits != 0)
}

/// The device of a node. What may be done stands behind a blank.
fn node(word: &OsStr) -> Result<Rule, Failure> {
    let bytes = word.as_bytes();
    let blank = bytes.iter().rposition(|byte| *byte == b' ');
    let behind =
        blank.and_then(|at| access(std::str::from_utf8(&bytes[at + 1..]).ok()?).map(|bits| (at, bits)));
    let (path, access) = match behind {
        Some((at, bits)) => (Path::new(OsStr::from_bytes(&bytes[..at])), bits),
        None => (Path::new(word), ANY_ACCESS),
    };
    let about = path.metadata().map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure::refused(format!("stat({})", quoted(path)), errno)
            .why("a rule holds numbers, which are looked up")
            .hint("name a node that is here, or the numbers: 'c 1:3 rwm'")
    })?;
    let kind = about.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return Err(
            Failure::new(format!("{} is no device", quoted(path))).hint("ls -l shows b or c before one")
        );
    }
    let (major, minor) = (major(about.rdev()) as u32, minor(about.rdev()) as u32);
    Ok(Rule { is_block: kind.is_block_device(), major: Some(major), minor: Some(minor), access })
}

/// What is to be written for the list.
pub fn add(tree: &Tree, look: &Look, writes: &mut Vec<Write>) -> Result<(), Failure> {
    let Some(rules) = &look.devices else { return Ok(()) };
    match version_of(tree, "devices")? {
        Version::Two => {
            let program = write("devices", "", String::new(), WHY_PROGRAM);
            writes.push(Write { rules: Some(rules.clone()), ..program });
        }
        Version::One => writes.extend(steps_to(rules, look.device_list.as_deref())),
    }
    Ok(())
}

/// From the list a group has, the text of `devices.list`, to another. Where it has one, what both have stays allowed all
/// the while, and groups below it do not stand in the way.
fn steps_to(rules: &Rules, now: Option<&str>) -> Vec<Write> {
    let line = |file: &str, rule: String, why, undo| Write { undo, ..write("devices", file, rule, why) };
    let (allow, deny) = ("devices.allow", "devices.deny");
    let old = now.and_then(listed);
    let Rules::Only(wanted) = rules else {
        // Taken back from the last: nothing is allowed any more, and then what was.
        let was = old.iter().flatten().map(Rule::to_string);
        let mut steps: Vec<Write> =
            was.map(|rule| line(allow, rule.clone(), WHY_KEPT, Some((allow, rule)))).collect();
        steps.push(line(allow, "a".into(), WHY_ALL, old.map(|_| (deny, "a".to_owned()))));
        return steps;
    };
    let mut steps = Vec::new();
    if old.is_none() {
        steps.push(line(deny, "a".into(), WHY_NONE, Some((allow, "a".to_owned()))));
    }
    let old = old.unwrap_or_default();
    for rule in wanted {
        let added = rule.beyond(&old);
        let undo = added.map(|added| (deny, added.to_string()));
        steps.extend(undo.map(|undo| line(allow, rule.to_string(), WHY_ALLOW, Some(undo))));
    }
    for rule in old.iter().filter_map(|rule| rule.beyond(wanted)) {
        let undo = Some((allow, rule.to_string()));
        steps.push(line(deny, rule.to_string(), WHY_DENY, undo));
    }
    steps
}

/// A `devices.list`; none where it is everything.
fn listed(text: &str) -> Option<Vec<Rule>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        match parse(words) {
            Ok(Some(rules)) => rules.to_string(),
            Ok(None) => "no list".into(),
            Err(failure) => format!("no: {failure}").lines().next().unwrap_or_default().into(),
        }
    }

    #[test]
    fn a_list_is_made_of_numbers_and_of_nodes() {
        assert_eq!(said(&[]), "no list");
        assert_eq!(said(&["none"]), "");
        assert_eq!(said(&["c 1:3 rwm", "b *:* m", "c 5:1"]), "c 1:3 rwm; b *:* m; c 5:1 rwm");
        assert_eq!(said(&["c 1:3 r", "c 1:3 w", "c 1:5 mr"]), "c 1:3 rw; c 1:5 rm");
        assert_eq!(said(&["/dev/null"]), "c 1:3 rwm");
        assert_eq!(said(&["/dev/null r"]), "c 1:3 r");
        assert_eq!(said(&["c 1:3 r", "a"]), "a");
        for word in ["c", "c 1", "c 1:x r", "c 1:3 x", "d 1:3 r", "c 1:3 r more", "", "c 1:3 rwm,", "c -1:3"]
        {
            assert_eq!(said(&[word]), format!("no: --device {word}: not what it takes"));
        }
        assert_eq!(said(&["none", "c 1:3"]), "no: --device none: not what it takes");
        assert_eq!(said(&["/dev"]), "no: \"/dev\" is no device");
        assert_eq!(
            said(&["/dev/nosuch rw"]),
            "no: stat(\"/dev/nosuch\"): No such file or directory (ENOENT)"
        );
    }

    #[test]
    fn a_list_becomes_another_without_denying_what_both_allow() {
        let steps = |words: &[&str], now: Option<&str>| -> Vec<String> {
            let rules = parse(words).unwrap().unwrap();
            let told = |one: Write| {
                let undo = one.undo.map(|(file, value)| format!(" | {file} {value}")).unwrap_or_default();
                format!("{} {}{undo}", one.file, one.value)
            };
            steps_to(&rules, now).into_iter().map(told).collect()
        };
        let everything = Some("a *:* rwm\n");
        for now in [None, everything] {
            assert_eq!(
                steps(&["c 1:3", "c 1:5 r"], now),
                [
                    "devices.deny a | devices.allow a",
                    "devices.allow c 1:3 rwm | devices.deny c 1:3 rwm",
                    "devices.allow c 1:5 r | devices.deny c 1:5 r"
                ]
            );
        }
        let now = Some("c 1:3 rwm\nc 1:8 rw\nc 1:5 rm\n");
        assert_eq!(
            steps(&["c 1:3", "c 1:5 rw", "c 1:9 r"], now),
            [
                "devices.allow c 1:5 rw | devices.deny c 1:5 w",
                "devices.allow c 1:9 r | devices.deny c 1:9 r",
                "devices.deny c 1:8 rw | devices.allow c 1:8 rw",
                "devices.deny c 1:5 m | devices.allow c 1:5 m",
            ]
        );
        assert_eq!(steps(&["none"], everything), ["devices.deny a | devices.allow a"]);
        assert_eq!(steps(&["none"], Some("")), Vec::<String>::new());
        assert_eq!(steps(&["a"], everything), ["devices.allow a"]);
        assert_eq!(
            steps(&["a"], Some("c 1:3 rwm\nc 1:8 rw\n")),
            [
                "devices.allow c 1:3 rwm | devices.allow c 1:3 rwm",
                "devices.allow c 1:8 rw | devices.allow c 1:8 rw",
                "devices.allow a | devices.deny a"
            ]
        );
    }
}
