//! All groups of all hierarchies, with who is in them: what --tree prints.

use crate::group::{members, walk};
use crate::label::{self, Label, shown};
use crate::mark::Mark;
use crate::tree::{Hierarchy, Version};
use chain::json_string;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A group as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hierarchy: String,
    /// From the root of its hierarchy, which is `/`.
    group: PathBuf,
    procs: Vec<u32>,
    mark: Option<Mark>,
    labels: Vec<Label>,
}

/// Every group at and below `group`, a line each: as a tree, or as JSON.
pub fn text(hierarchies: &[Hierarchy], group: &Path, json: bool) -> String {
    let mut text = String::new();
    for (at, hierarchy) in hierarchies.iter().enumerate() {
        let entries = entries(hierarchy, group);
        if json {
            let lines = entries.iter().enumerate().map(|(next, entry)| match at + next {
                0 => entry.json(),
                _ => format!(",\n{}", entry.json()),
            });
            text.extend(lines);
        } else {
            text += &heading(hierarchy);
            text.extend(entries.iter().map(|entry| entry.line(group)));
        }
    }
    if json { format!("[{text}]\n") } else { text }
}

/// What a hierarchy is called here: its controllers, or `unified`.
pub fn name(hierarchy: &Hierarchy) -> String {
    match hierarchy.version {
        Version::One => hierarchy.controllers.join(","),
        Version::Two => "unified".into(),
    }
}

fn heading(hierarchy: &Hierarchy) -> String {
    let place = shown(hierarchy.mount.as_os_str().as_bytes());
    match hierarchy.version {
        Version::One => format!("{} (version 1, {place})\n", shown(name(hierarchy).as_bytes())),
        Version::Two => {
            let controllers = hierarchy.controllers.join(" ");
            format!(
                "unified (version 2, {place}): {}\n",
                if controllers.is_empty() { "no controllers" } else { &controllers }
            )
        }
    }
}

/// The groups of one hierarchy, each before those in it, and every process in one of them.
fn entries(hierarchy: &Hierarchy, group: &Path) -> Vec<Entry> {
    let entry = |directory: PathBuf| Entry {
        hierarchy: name(hierarchy),
        procs: members(&directory).into_iter().filter(|process| *process > 0).collect(),
        mark: Mark::of(&directory),
        labels: label::of(&directory),
        group: Path::new("/").join(directory.strip_prefix(&hierarchy.mount).unwrap_or(&directory)),
    };
    let mut entries: Vec<Entry> = walk(&hierarchy.mount.join(group)).into_iter().map(entry).collect();
    settle(&mut entries, &hierarchy.mount);
    entries
}

/// A process whose threads stand in several groups (version 1), or that moved while they were read, is in the group of its
/// first thread.
fn settle(entries: &mut [Entry], mount: &Path) {
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    for process in entries.iter().flat_map(|entry| &entry.procs) {
        *seen.entry(*process).or_default() += 1;
    }
    seen.retain(|_, times| *times > 1);
    for process in seen.into_keys() {
        let is_in = |entry: &Entry| entry.procs.contains(&process);
        let first_thread = |entry: &Entry| {
            let place = entry.group.strip_prefix("/").unwrap_or(&entry.group);
            let tasks = std::fs::read_to_string(mount.join(place).join("tasks")).unwrap_or_default();
            tasks.lines().any(|line| line.parse() == Ok(process))
        };
        let home = entries.iter().rposition(|entry| is_in(entry) && first_thread(entry));
        let home = home.or_else(|| entries.iter().rposition(is_in));
        for (at, entry) in entries.iter_mut().enumerate() {
            if Some(at) != home {
                entry.procs.retain(|other| *other != process);
            }
        }
    }
}

impl Entry {
    fn json(&self) -> String {
        let procs: Vec<String> = self.procs.iter().map(u32::to_string).collect();
        let pair = |label: &Label| {
            format!("{}:{}", json_string(&label.key), json_string(OsStr::from_bytes(&label.value)))
        };
        let labels: Vec<String> = self.labels.iter().map(pair).collect();
        format!(
            "{{\"hierarchy\":{},\"group\":{},\"procs\":[{}],\"marked\":{},\"labels\":{{{}}}}}",
            json_string(&self.hierarchy),
            json_string(&self.group),
            procs.join(","),
            self.mark.is_some(),
            labels.join(",")
        )
    }

    /// Indented by its depth below `top`; `top` itself by its whole path.
    fn line(&self, top: &Path) -> String {
        let depth = self.group.components().count() - top.components().count();
        let name = match depth {
            1 => shown(self.group.as_os_str().as_bytes()),
            _ => shown(self.group.file_name().unwrap_or_default().as_bytes()),
        };
        let mut line = format!("{}{name}  {}", "  ".repeat(depth), self.procs.len());
        if let Some(mark) = self.mark {
            line += &format!("  {}", mark.text());
        }
        for label in &self.labels {
            line += &format!("  {}={}", label.key, shown(&label.value));
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(group: &str, procs: &[u32]) -> Entry {
        Entry {
            hierarchy: "cpu".into(),
            group: group.into(),
            procs: procs.into(),
            mark: None,
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_group_is_one_line_of_json_whatever_its_name() {
        let mut one = entry("/a\x1b\"b", &[7, 12]);
        assert_eq!(
            one.json(),
            "{\"hierarchy\":\"cpu\",\"group\":\"/a\\u001b\\\"b\",\"procs\":[7,12],\"marked\":false,\"labels\":{}}"
        );
        one.mark = Some(Mark::Transient);
        one.labels = vec![Label { key: "container".into(), value: b"web\x07".to_vec() }];
        assert!(one.json().ends_with("\"marked\":true,\"labels\":{\"container\":\"web\\u0007\"}}"));
        assert_eq!(one.line(Path::new("")), "    a\\x1b\"b  2  transient  container=web\\x07\n");
    }

    #[test]
    fn depth_is_counted_from_what_was_asked_for() {
        assert_eq!(entry("/", &[1]).line(Path::new("")), "  /  1\n");
        assert_eq!(entry("/lab", &[]).line(Path::new("")), "    lab  0\n");
        assert_eq!(entry("/lab/web", &[]).line(Path::new("lab/web")), "  /lab/web  0\n");
        assert_eq!(entry("/lab/web/a", &[]).line(Path::new("lab/web")), "    a  0\n");
    }

    #[test]
    fn a_process_in_two_groups_is_in_the_last_that_is_known() {
        let mut entries = [entry("/", &[1, 7]), entry("/a", &[7]), entry("/b", &[8])];
        settle(&mut entries, Path::new("/nonexistent"));
        assert_eq!(entries, [entry("/", &[1]), entry("/a", &[7]), entry("/b", &[8])]);
    }
}
