//! What a program used of its group: counters before and after, and the text of the report.

use crate::stat::{keyed, oom_file, read};
use crate::tree::{Hierarchy, Version};
use chain::{Ended, json_string};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A counter, or the highest level that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: &'static str,
    pub value: u64,
    /// What was used before the program began is in it, and can be taken off.
    pub is_sum: bool,
}

/// What the waiting parent knows for its report.
#[derive(Default)]
pub struct Notes {
    started: Option<Instant>,
    wall: Duration,
    ended: Option<Ended>,
    before: Vec<Row>,
    used: Vec<Row>,
}

impl Notes {
    /// The program has begun, at that time.
    pub fn born(&mut self, at: Instant) {
        self.started = Some(at);
    }

    /// And has ended.
    pub fn ended(&mut self, how: Ended) {
        self.wall = self.started.map(|started| started.elapsed()).unwrap_or_default();
        self.ended = Some(how);
    }

    /// Takes the counters, once before and once after.
    pub fn read(&mut self, groups: &[(Hierarchy, PathBuf)], is_over: bool) {
        let now = of(groups);
        match is_over {
            false => self.before = now,
            true => self.used = since(now, &self.before),
        }
    }

    /// Kills for want of memory that there were before the program began.
    pub fn oom_kills_before(&self) -> u64 {
        self.before.iter().find(|row| row.key == "memory.oom_kills").map_or(0, |row| row.value)
    }

    /// One object in one line.
    pub fn text(&self, name: &str) -> String {
        let number = |number: Option<i64>| number.map_or("null".into(), |number| number.to_string());
        let mut text = format!(
            "{{\"group\": {}, \"status\": {}, \"signal\": {}, \"wall_usec\": {}",
            json_string(name),
            number(self.ended.map(|how| how.status.into())),
            number(self.ended.and_then(|how| how.signal).map(|signal| (signal as i32).into())),
            self.wall.as_micros()
        );
        for row in &self.used {
            text += &format!(", \"{}\": {}", row.key, row.value);
        }
        text + "}\n"
    }
}

/// The files of a group that hold what a report shows, for a shell to read.
pub fn files(hierarchy: &Hierarchy) -> Vec<&'static str> {
    const ONE: [&str; 9] = [
        "cpu.stat",
        "cpuacct.usage",
        "cpuacct.usage_user",
        "cpuacct.usage_sys",
        "memory.max_usage_in_bytes",
        "memory.oom_control",
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_serviced_recursive",
        "pids.peak",
    ];
    const TWO: [&str; 8] = [
        "cpu.stat",
        "memory.peak",
        "memory.events",
        "io.stat",
        "pids.peak",
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
    ];
    let is_its = |file: &&str| hierarchy.controllers.iter().any(|name| file.split('.').next() == Some(name));
    match hierarchy.version {
        Version::One => ONE.into_iter().filter(is_its).collect(),
        Version::Two => TWO.into(),
    }
}

/// What this kernel counts of a group, in the order of the manual page.
fn of(groups: &[(Hierarchy, PathBuf)]) -> Vec<Row> {
    let one = |controller: &str| {
        let carries = |one: &Hierarchy| {
            one.version == Version::One && one.controllers.iter().any(|name| name == controller)
        };
        groups.iter().find(|(hierarchy, _)| carries(hierarchy)).map(|(_, directory)| directory.as_path())
    };
    let two = groups.iter().find(|(one, _)| one.version == Version::Two).map(|(_, at)| at.as_path());
    let in_two = |file: &str, key: &str| keyed(&read(two?, file)?, key);
    let number = |directory: Option<&Path>, file: &str| read(directory?, file)?.parse::<u64>().ok();
    let nanoseconds = |file: &str| number(one("cpuacct"), file).map(|time| time / 1000);
    let throttled = || keyed(&read(one("cpu")?, "cpu.stat")?, "throttled_time").map(|time| time / 1000);
    let killed = || keyed(&read(one("memory")?, oom_file(Version::One))?, "oom_kill");
    let sum = |key, value: Option<u64>| value.map(|value| Row { key, value, is_sum: true });
    let level = |key, value: Option<u64>| value.map(|value| Row { key, value, is_sum: false });
    let mut rows = vec![
        sum("cpu.usage_usec", in_two("cpu.stat", "usage_usec").or_else(|| nanoseconds("cpuacct.usage"))),
        sum("cpu.user_usec", in_two("cpu.stat", "user_usec").or_else(|| nanoseconds("cpuacct.usage_user"))),
        sum(
            "cpu.system_usec",
            in_two("cpu.stat", "system_usec").or_else(|| nanoseconds("cpuacct.usage_sys")),
        ),
        sum("cpu.throttled_usec", in_two("cpu.stat", "throttled_usec").or_else(throttled)),
        level(
            "memory.peak_bytes",
            number(two, "memory.peak").or_else(|| number(one("memory"), "memory.max_usage_in_bytes")),
        ),
        sum("memory.oom_kills", in_two(oom_file(Version::Two), "oom_kill").or_else(killed)),
    ];
    for (key, keys) in [
        ("io.read_bytes", ("rbytes", "blkio.throttle.io_service_bytes", "Read")),
        ("io.write_bytes", ("wbytes", "blkio.throttle.io_service_bytes", "Write")),
        ("io.reads", ("rios", "blkio.throttle.io_serviced", "Read")),
        ("io.writes", ("wios", "blkio.throttle.io_serviced", "Write")),
    ] {
        let (twos, file, ones) = keys;
        let in_two = || Some(disks_of_two(&read(two?, "io.stat")?, twos));
        let in_one = || {
            let directory = one("blkio")?;
            let text = read(directory, &format!("{file}_recursive")).or_else(|| read(directory, file))?;
            Some(disks_of_one(&text, ones))
        };
        rows.push(sum(key, in_two().or_else(in_one)));
    }
    rows.push(level("pids.peak", number(two, "pids.peak").or_else(|| number(one("pids"), "pids.peak"))));
    for (key, file, word) in [
        ("pressure.cpu.some_usec", "cpu.pressure", "some"),
        ("pressure.memory.some_usec", "memory.pressure", "some"),
        ("pressure.memory.full_usec", "memory.pressure", "full"),
        ("pressure.io.some_usec", "io.pressure", "some"),
        ("pressure.io.full_usec", "io.pressure", "full"),
    ] {
        rows.push(sum(key, two.and_then(|two| stalled(&read(two, file)?, word))));
    }
    rows.into_iter().flatten().collect()
}

/// `MAJOR:MINOR rbytes=N wbytes=N ...` for each disk of version 2, summed.
fn disks_of_two(text: &str, key: &str) -> u64 {
    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
    words.filter(|(known, _)| *known == key).filter_map(|(_, number)| number.parse::<u64>().ok()).sum()
}

/// `MAJOR:MINOR Read N` for each disk of version 1, summed.
fn disks_of_one(text: &str, key: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next()? == key).then(|| words.next()?.parse::<u64>().ok())?
    });
    numbers.sum()
}

/// The total of a line `some avg10=0.00 avg60=0.00 avg300=0.00 total=N`.
fn stalled(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split(' ').next() == Some(word))?;
    line.split_once("total=")?.1.trim().parse().ok()
}

/// What was added to `before`; levels stand as they are.
fn since(now: Vec<Row>, before: &[Row]) -> Vec<Row> {
    let added = |row: Row| match before.iter().find(|known| known.key == row.key && row.is_sum) {
        Some(known) => Row { value: row.value.saturating_sub(known.value), ..row },
        None => row,
    };
    now.into_iter().map(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    #[test]
    fn counters_of_all_disks_are_summed_in_either_version() {
        let two = "8:0 rbytes=100 wbytes=7 rios=2 wios=1 dbytes=0 dios=0\n254:0 rbytes=11 wbytes=0 rios=1 wios=0\n253:0 \n";
        assert_eq!([disks_of_two(two, "rbytes"), disks_of_two(two, "wios")], [111, 1]);
        let one = "8:0 Read 100\n8:0 Write 7\n8:0 Total 107\n254:0 Read 11\nTotal 118\n";
        assert_eq!(
            [disks_of_one(one, "Read"), disks_of_one(one, "Write"), disks_of_one("Total 0\n", "Read")],
            [111, 7, 0]
        );
    }

    #[test]
    fn pressure_is_the_total_of_its_line() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=45\n";
        assert_eq!(
            (stalled(text, "some"), stalled(text, "full"), stalled("", "some")),
            (Some(123), Some(45), None)
        );
    }

    #[test]
    fn what_was_used_before_is_taken_off_a_counter_and_not_off_a_peak() {
        let row = |key, value, is_sum| Row { key, value, is_sum };
        let before = [row("cpu.usage_usec", 100, true), row("memory.peak_bytes", 4096, false)];
        let now = vec![
            row("cpu.usage_usec", 130, true),
            row("memory.peak_bytes", 4096, false),
            row("io.reads", 2, true),
        ];
        let used = since(now, &before);
        assert_eq!(used.iter().map(|row| row.value).collect::<Vec<_>>(), [30, 4096, 2]);
        let how = Ended { status: 137, signal: Some(Signal::SIGKILL), failed: false };
        let notes = Notes { ended: Some(how), used, wall: Duration::from_millis(5), ..Notes::default() };
        assert_eq!(
            notes.text("lab/web"),
            "{\"group\": \"lab/web\", \"status\": 137, \"signal\": 9, \"wall_usec\": 5000, \"cpu.usage_usec\": 30, \"memory.peak_bytes\": 4096, \"io.reads\": 2}\n"
        );
    }
}
