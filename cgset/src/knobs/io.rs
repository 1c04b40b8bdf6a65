//! Disk I/O: so many bytes and requests a second from or to one disk, and the share where others want it too.

use super::raw::Values;
use super::{Look, Write, carried, refused, write};
use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::{Failure, size};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The keys of io.max, and the file of version 1 for each.
pub const KEYS: [&str; 4] = ["rbps", "wbps", "riops", "wiops"];
pub const FILES: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];

const WHY: &str = "its members together read and write no faster than this there: who is ahead waits";
const WHY_WEIGHT: &str = "where others want the disk too, it gets a share in proportion to this, if the disk's scheduler counts weights";

/// What one --io asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Whole disks, as MAJOR:MINOR.
    pub disks: Vec<String>,
    /// For each of [`KEYS`], where it is given; none is max.
    pub rates: [Option<Option<u64>>; 4],
}

impl Limit {
    /// `TARGET:KEY=VALUE[,KEY=VALUE]...`; `disks_of` finds what is behind TARGET, in which there may be colons.
    ///
    /// # Errors
    /// It is not of that form, or no disk is behind TARGET.
    pub fn parse(
        word: &OsStr,
        disks_of: impl Fn(&OsStr) -> Result<Vec<String>, Failure>,
    ) -> Result<Limit, Failure> {
        let wanted = || {
            refused(
                "--io",
                word,
                "a disk or a path, then limits: /dev/vda:rbps=4M,wbps=4M,riops=100,wiops=max",
            )
        };
        let bytes = word.as_bytes();
        let colon = bytes.iter().rposition(|byte| *byte == b':').filter(|at| *at > 0).ok_or_else(wanted)?;
        let text = std::str::from_utf8(&bytes[colon + 1..]).map_err(|_| wanted())?;
        let mut limit = Limit::default();
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(wanted)?;
            let at = KEYS.iter().position(|known| *known == key).ok_or_else(wanted)?;
            limit.rates[at] = Some(rate(key, value).ok_or_else(wanted)?);
        }
        limit.disks = disks_of(OsStr::from_bytes(&bytes[..colon]))?;
        Ok(limit)
    }
}

/// Bytes are a size, requests a plain number; of neither 0, which would stop it
/// for good, nor 1, which version 2 does not take. None is max.
fn rate(key: &str, value: &str) -> Option<Option<u64>> {
    let number = match value {
        "max" => return Some(None),
        _ if key.ends_with("bps") => size::parse(value).ok(),
        _ => value.parse::<u32>().ok().map(u64::from),
    };
    number.filter(|number| *number > 1).map(Some)
}

/// --io and --io-weight.
pub fn add(cli: &Cli, tree: &Tree, look: &Look, writes: &mut Vec<Write>) -> Result<(), Failure> {
    for limit in &look.io {
        let (controller, version) = carried(tree, "io")?;
        for disk in &limit.disks {
            let given = (0..4).filter_map(|at| Some((at, limit.rates[at]?)));
            match version {
                Version::One => writes.extend(given.map(|(at, rate)| {
                    write(controller, FILES[at], format!("{disk} {}", rate.unwrap_or(0)), WHY)
                })),
                Version::Two => {
                    let max = |rate: Option<u64>| rate.map_or("max".into(), |rate| rate.to_string());
                    let pairs: Vec<String> =
                        given.map(|(at, rate)| format!("{}={}", KEYS[at], max(rate))).collect();
                    writes.push(write(controller, "io.max", format!("{disk} {}", pairs.join(" ")), WHY));
                }
            }
        }
    }
    if let Some(text) = &cli.io_weight {
        let (_, version) = carried(tree, "io")?;
        writes.extend(weights("--io-weight", text, version, look)?);
    }
    Ok(())
}

/// A weight for each scheduler that is here: which of them counts, the disk in question decides.
///
/// # Errors
/// It is no weight, or this kernel has no scheduler that counts them.
pub fn weights(option: &str, text: &str, version: Version, look: &Look) -> Result<Vec<Write>, Failure> {
    let files: &[(&str, &str)] = match version {
        Version::One => &[("blkio", "blkio.bfq.weight")],
        Version::Two => &[("io", "io.bfq.weight"), ("io", "io.weight")],
    };
    let files: Vec<_> = files.iter().filter(|(_, file)| look.weights.contains(file)).collect();
    let most = if files.iter().any(|(_, file)| file.ends_with("bfq.weight")) { 1000 } else { 10_000 };
    if files.is_empty() {
        return Err(Failure::new(format!(
            "{option} {text}: this kernel has no scheduler that counts weights"
        ))
        .hint("it would be bfq, perhaps a module (modprobe bfq), or blk-iocost; limits need none: --io DISK:wbps=4M"));
    }
    if !text.parse::<u64>().is_ok_and(|weight| (1..=most).contains(&weight)) {
        return Err(refused(option, text, &format!("a number from 1 to {most}; 100 is what others have")));
    }
    let line =
        |file: &str| if file == "blkio.bfq.weight" { text.to_owned() } else { format!("default {text}") };
    Ok(files.iter().map(|(controller, file)| write(controller, *file, line(file), WHY_WEIGHT)).collect())
}

/// What is as good as no line at all.
pub fn unlimited(file: &str, key: &str) -> Option<String> {
    match file {
        "io.max" => Some(format!("{key} rbps=max wbps=max riops=max wiops=max")),
        "io.bfq.weight" | "io.weight" => Some(format!("{key} default")),
        _ if file.starts_with("blkio.") => Some(format!("{key} 0")),
        _ => None,
    }
}

/// A line of io.max, each key in the file that version 1 has for it.
pub fn to_one(value: &str) -> Option<Values> {
    let mut words = value.split_whitespace();
    let disk = words.next()?;
    let each = words.map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let at = KEYS.iter().position(|known| *known == key)?;
        let number = if value == "max" { 0 } else { value.parse::<u64>().ok()? };
        Some((FILES[at], format!("{disk} {number}")))
    });
    each.collect::<Option<Vec<_>>>().filter(|lines| !lines.is_empty())
}

pub fn read_bytes(value: &str) -> Option<String> {
    to_two("rbps", value)
}

pub fn write_bytes(value: &str) -> Option<String> {
    to_two("wbps", value)
}

pub fn reads(value: &str) -> Option<String> {
    to_two("riops", value)
}

pub fn writes(value: &str) -> Option<String> {
    to_two("wiops", value)
}

/// `MAJOR:MINOR NUMBER`, where 0 is no limit.
fn to_two(key: &str, value: &str) -> Option<String> {
    let (disk, number) = value.split_once(' ')?;
    match number.trim().parse::<u64>().ok()? {
        0 => Some(format!("{disk} {key}=max")),
        number => Some(format!("{disk} {key}={number}")),
    }
}

/// `default N` or `N` is for all disks, `MAJOR:MINOR N` for one: version 1 has a file for each.
pub fn weight_to_one(value: &str) -> Option<Values> {
    let words: Vec<&str> = value.split_whitespace().collect();
    match words[..] {
        ["default", weight] | [weight] => Some(vec![("blkio.bfq.weight", weight.into())]),
        [_, _] => Some(vec![("blkio.bfq.weight_device", value.into())]),
        _ => None,
    }
}

pub fn weight_to_two(value: &str) -> Option<String> {
    Some(format!("default {}", value.strip_prefix("default ").unwrap_or(value)))
}

pub fn same(value: &str) -> Option<String> {
    Some(value.into())
}
