//! FILE=VALUE, in the spelling of either version: the other's name is translated, and its value with it.

use super::look::Look;
use super::{ONLY_ONE, ONLY_TWO, PAIRS, Write, carried, device, io, why_absent, write};
use crate::tree::{Tree, Version};
use chain::{Failure, quoted};
use std::borrow::Cow;

const WHY_RAW: &str = "the value that was asked for";

/// A pair of files that mean the same, and how a value is said in the other version. A `*` stands for one part of both names.
pub struct Pair {
    pub two: &'static str,
    pub one: &'static str,
    pub to_one: ToOne,
    pub to_two: fn(&str) -> Option<String>,
}

/// A value for each of some files.
pub type Values = Vec<(&'static str, String)>;

/// What a value of version 2 is in version 1.
pub enum ToOne {
    /// One value, for the file of the pair.
    Value(fn(&str) -> Option<String>),
    /// Several.
    Files(fn(&str) -> Option<Values>),
}

/// What is to be written for FILE=VALUE.
pub fn add(
    file: &str,
    value: &str,
    tree: &Tree,
    look: &Look,
    writes: &mut Vec<Write>,
) -> Result<(), Failure> {
    if file.contains('/') || !file.contains('.') {
        return Err(Failure::new(format!("{}: not an interface file", quoted(file)))
            .hint("they are named after their controller, as in memory.max or pids.max"));
    }
    let (controller, version) = place(file, tree)?;
    if (file, version) == ("io.weight", Version::One) || (file, version) == ("blkio.weight", Version::Two) {
        let weight = value.strip_prefix("default ").unwrap_or(value);
        writes.extend(io::weights(file, weight, version, look)?);
        return Ok(());
    }
    let translated = PAIRS.iter().find_map(|pair| {
        let (from, to) = match version {
            Version::One => (pair.two, pair.one),
            Version::Two => (pair.one, pair.two),
        };
        Some((pair, renamed(file, from, to)?))
    });
    let Some((pair, name)) = translated else {
        refuse_foreign(file, version)?;
        writes.push(write(&controller, file, value.to_owned(), WHY_RAW));
        return Ok(());
    };
    let values = match (version, &pair.to_one) {
        (Version::Two, _) => (pair.to_two)(value).map(|value| vec![(name.clone(), value)]),
        (Version::One, ToOne::Value(to_one)) => to_one(value).map(|value| vec![(name.clone(), value)]),
        (Version::One, ToOne::Files(to_one)) => to_one(value)
            .map(|values| values.into_iter().map(|(file, value)| (Cow::Borrowed(file), value)).collect()),
    };
    let values = values.ok_or_else(|| {
        Failure::new(format!("{file}={value}: this value has no equivalent in {name}"))
            .hint(format!("the machine has the other version: write {name}=VALUE in its own terms"))
    })?;
    writes.extend(values.into_iter().map(|(file, value)| write(&controller, file, value, WHY_RAW)));
    Ok(())
}

/// `file` as `to` is to `from`, if it is of that form.
fn renamed(file: &str, from: &'static str, to: &'static str) -> Option<Cow<'static, str>> {
    let Some((before, after)) = from.split_once('*') else {
        return (file == from).then_some(Cow::Borrowed(to));
    };
    let part = file.strip_prefix(before)?.strip_suffix(after).filter(|part| !part.contains('.'))?;
    Some(Cow::Owned(to.replace('*', part)))
}

/// The controller a file belongs to, and the version of the hierarchy that carries it.
fn place(file: &str, tree: &Tree) -> Result<(String, Version), Failure> {
    let prefix = file.split('.').next().unwrap_or_default();
    if prefix == "cgroup" || prefix == "freezer" {
        let freezer = tree.freezer().map(|one| one.version);
        return freezer.map(|version| ("freezer".to_owned(), version)).ok_or_else(|| {
            Failure::new("no hierarchy here can freeze a group").hint(why_absent("freezer", tree))
        });
    }
    // Version 2 has these under other names, or not at all.
    let found = carried(tree, prefix).map(|(controller, version)| (controller.to_owned(), version));
    found.or_else(|absent| {
        match tree.hierarchies.iter().any(|one| one.version == Version::Two) && is_of(file, &ONLY_ONE) {
            true => Ok((prefix.to_owned(), Version::Two)),
            false => Err(absent),
        }
    })
}

fn is_of(file: &str, names: &[&str]) -> bool {
    names.iter().any(|name| file.starts_with(name))
}

fn refuse_foreign(file: &str, version: Version) -> Result<(), Failure> {
    let (names, here): (&[&str], _) = match version {
        Version::One => (&ONLY_TWO, "1"),
        Version::Two => (&ONLY_ONE, "2"),
    };
    if !is_of(file, names) {
        return Ok(());
    }
    let hint = match file {
        "cpu.cfs_period_us" => "write quota and period together: cpu.max='QUOTA PERIOD'".to_owned(),
        _ if file.starts_with("devices.") => device::INSTEAD.to_owned(),
        _ => format!("it is a file of the other version; this machine's hierarchy is of version {here}"),
    };
    Err(Failure::new(format!("{file} has no equivalent in version {here}")).hint(hint))
}

/// `QUOTA [PERIOD]`.
pub fn quota_and_period(value: &str) -> Option<Values> {
    let mut words = value.split_whitespace();
    let quota = super::max_to_minus(words.next()?)?;
    let period = words.next().unwrap_or("100000").to_owned();
    Some(vec![("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota)])
}

pub fn freeze_to_state(value: &str) -> Option<String> {
    [("1", "FROZEN"), ("0", "THAWED")]
        .into_iter()
        .find(|(freeze, _)| *freeze == value)
        .map(|(_, state)| state.into())
}

pub fn state_to_freeze(value: &str) -> Option<String> {
    [("FROZEN", "1"), ("THAWED", "0")]
        .into_iter()
        .find(|(state, _)| *state == value)
        .map(|(_, freeze)| freeze.into())
}
