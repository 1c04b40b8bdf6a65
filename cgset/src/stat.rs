//! What a group uses and may use, under the same names whatever the version. The keys are promised in the manual page.

use crate::group::{is_frozen, members};
use crate::label::{self, Label, shown};
use crate::tree::{Hierarchy, Version};
use chain::{A_START, TOO_LITTLE, json_string, size};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The key of each line with its value, as JSON has it.
pub struct Stat {
    group: String,
    labels: Vec<Label>,
    rows: Vec<(&'static str, Option<String>)>,
}

/// No limit of version 1 is larger than this many pages below the largest number.
const UNLIMITED: u64 = 1 << 62;

/// Reads what can be read.
pub fn of(name: &str, groups: &[(Hierarchy, PathBuf)]) -> Stat {
    let find = |controller: &str| {
        groups.iter().find(|(one, _)| one.controllers.iter().any(|name| name == controller))
    };
    let number = |controller: &str, one: &str, two: &str| {
        let (hierarchy, directory) = find(controller)?;
        let file = if hierarchy.version == Version::One { one } else { two };
        read(directory, file)?.parse::<u64>().ok().filter(|number| *number < UNLIMITED)
    };
    let entry = |controller: &str, (one, one_key): (&str, &str), (two, two_key): (&str, &str)| {
        let (hierarchy, directory) = find(controller)?;
        match hierarchy.version {
            Version::One => keyed(&read(directory, one)?, one_key),
            Version::Two => keyed(&read(directory, two)?, two_key),
        }
    };
    let frozen = groups
        .iter()
        .find(|(one, _)| one.version == Version::Two || one.controllers.iter().any(|name| name == "freezer"));
    let mut everybody: Vec<u32> = groups.iter().flat_map(|(_, directory)| members(directory)).collect();
    everybody.sort_unstable();
    everybody.dedup();
    let usage = match find("cpuacct") {
        Some((_, directory)) => read(directory, "cpuacct.usage")
            .and_then(|text| text.parse::<u64>().ok())
            .map(|usage| usage / 1000),
        None => entry("cpu", ("", ""), ("cpu.stat", "usage_usec")),
    };
    let throttled = entry("cpu", ("cpu.stat", "throttled_time"), ("cpu.stat", "throttled_usec"));
    let is_one = find("cpu").is_some_and(|(one, _)| one.version == Version::One);
    let quota = find("cpu").and_then(|(hierarchy, directory)| quota(hierarchy.version, directory));
    let rows = vec![
        ("procs", Some(everybody.len() as u64)),
        ("memory.current_bytes", number("memory", "memory.usage_in_bytes", "memory.current")),
        ("memory.peak_bytes", number("memory", "memory.max_usage_in_bytes", "memory.peak")),
        ("memory.max_bytes", number("memory", "memory.limit_in_bytes", "memory.max")),
        ("memory.oom_kills", find("memory").and_then(|(one, directory)| oom_kills(directory, one.version))),
        ("cpu.usage_usec", usage),
        ("cpu.throttled_usec", throttled.map(|time| if is_one { time / 1000 } else { time })),
        ("cpu.quota_usec", quota.map(|(quota, _)| quota)),
        ("cpu.period_usec", quota.map(|(_, period)| period)),
        ("pids.current", number("pids", "pids.current", "pids.current")),
        ("pids.max", number("pids", "pids.max", "pids.max")),
    ];
    let mut rows: Vec<(&'static str, Option<String>)> =
        rows.into_iter().map(|(key, value)| (key, value.map(|value| value.to_string()))).collect();
    rows.insert(1, ("frozen", frozen.map(|(one, directory)| is_frozen(directory, one.version).to_string())));
    let mut labels: Vec<Label> = groups.iter().flat_map(|(_, directory)| label::of(directory)).collect();
    labels.sort();
    labels.dedup_by(|one, other| one.key == other.key);
    Stat { group: name.into(), labels, rows }
}

impl Stat {
    /// One object, or a line for each key; what this machine does not count, or does not limit, is null or a hyphen.
    pub fn text(&self, json: bool) -> String {
        if !json {
            let lines = self
                .rows
                .iter()
                .map(|(key, value)| format!("{key:<22} {}\n", value.as_deref().unwrap_or("-")));
            let labels =
                self.labels.iter().map(|one| format!("label.{:<16} {}\n", one.key, shown(&one.value)));
            return lines.chain(labels).collect();
        }
        let pairs = self
            .rows
            .iter()
            .map(|(key, value)| format!(", \"{key}\": {}", value.as_deref().unwrap_or("null")));
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|one| format!("{}: {}", json_string(&one.key), json_string(OsStr::from_bytes(&one.value))))
            .collect();
        format!(
            "{{\"group\": {}{}, \"labels\": {{{}}}}}\n",
            json_string(&self.group),
            pairs.collect::<String>(),
            labels.join(", ")
        )
    }
}

/// A file of a group, without the newline at its end.
pub fn read(directory: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(directory.join(file)).ok().map(|text| text.trim_end().to_owned())
}

/// The number behind a word at the beginning of a line.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn quota(version: Version, directory: &Path) -> Option<(u64, u64)> {
    let (quota, period) = match version {
        Version::One => (read(directory, "cpu.cfs_quota_us")?, read(directory, "cpu.cfs_period_us")?),
        Version::Two => read(directory, "cpu.max")?
            .split_once(' ')
            .map(|(quota, period)| (quota.into(), period.into()))?,
    };
    quota.parse().ok().zip(period.parse().ok())
}

/// The file that counts kills for want of memory.
pub fn oom_file(version: Version) -> &'static str {
    match version {
        Version::One => "memory.oom_control",
        Version::Two => "memory.events",
    }
}

fn oom_kills(directory: &Path, version: Version) -> Option<u64> {
    keyed(&read(directory, oom_file(version))?, "oom_kill")
}

/// Who types a plain number so small has thought of another unit.
fn too_little(typed: Option<&str>) -> String {
    let bare = typed.filter(|text| text.parse().is_ok_and(|number: u64| number < 64 << 10));
    let unit =
        bare.map(|text| format!("--memory {text} counts bytes, was {text}M meant? ")).unwrap_or_default();
    format!("cgset: hint: {unit}{TOO_LITTLE}\n")
}

/// What is said when a member was killed for want of memory; nothing where none was.
/// `before` were killed before that, and `typed` is the limit as it was given.
pub fn oom_line(
    name: &str,
    directory: &Path,
    version: Version,
    before: u64,
    typed: Option<&str>,
) -> Option<String> {
    let kills = oom_kills(directory, version)?.checked_sub(before).filter(|kills| *kills > 0)?;
    let (limit, peak) = match version {
        Version::One => ("memory.limit_in_bytes", "memory.max_usage_in_bytes"),
        Version::Two => ("memory.max", "memory.peak"),
    };
    let number = |file| read(directory, file)?.parse::<u64>().ok();
    let (limit, peak) = (number(limit), number(peak));
    let processes = if kills == 1 { "process" } else { "processes" };
    // Who never came near its own limit has met that of a group around it.
    let is_its_own = |limit: &u64| peak.is_none_or(|peak| peak + peak / 8 >= *limit);
    let limit = limit.filter(is_its_own);
    let hint = match limit {
        Some(limit) if limit < A_START => too_little(typed),
        _ => String::new(),
    };
    let limit = limit.map(size::human);
    let limit = limit.unwrap_or_else(|| "the limit of a group above".into());
    let peak = peak.map(|peak| format!(", peak {}", size::human(peak))).unwrap_or_default();
    Some(format!("cgset: {name}: out of memory: {kills} {processes} killed at {limit}{peak}\n{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_word() {
        let text = "oom_kill_disable 7\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
        assert_eq!(keyed("", "oom_kill"), None);
    }

    #[test]
    fn a_limit_that_is_too_small_for_want_of_a_unit_is_told_so() {
        let told = |typed| too_little(typed).replace(TOO_LITTLE, "");
        assert_eq!(told(Some("64")), "cgset: hint: --memory 64 counts bytes, was 64M meant? \n");
        for typed in [None, Some("64K"), Some("128KiB"), Some("65536"), Some("max")] {
            assert_eq!(told(typed), "cgset: hint: \n");
        }
    }

    #[test]
    fn what_is_not_there_is_null() {
        let stat = of("lab/a\"b", &[]);
        assert!(stat.text(true).starts_with(
            "{\"group\": \"lab/a\\\"b\", \"procs\": 0, \"frozen\": null, \"memory.current_bytes\": null, "
        ));
        assert!(stat.text(false).contains("pids.max               -\n"));
    }
}
