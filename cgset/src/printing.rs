//! The calls that only look, and print what they see on stdout.

use crate::controllers::{self, Controller};
use crate::group;
use crate::listing;
use crate::report::read_counters;
use crate::shell::{joined, lines, text};
use crate::stat;
use crate::tree::{Hierarchy, Version};
use chain::{Answer, Refusal, Shell, join, print_data, quoted};
use std::fmt::{self, Display};
use std::path::PathBuf;

/// A call; each variant is named after what is printed.
#[derive(Debug)]
pub enum PrintCall {
    /// `cgroup.procs`
    Members { directories: Vec<PathBuf> },
    /// `cgroup.procs` of every group
    Tree { hierarchies: Vec<Hierarchy>, group: PathBuf, json: bool },
    /// `/proc/cgroups`
    Controllers { controllers: Vec<Controller>, json: bool },
    /// The files that count
    Stat { name: String, groups: Vec<(Hierarchy, PathBuf)>, json: bool },
}

impl Display for PrintCall {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let lines: Vec<String> = match self {
            PrintCall::Members { directories } => {
                directories.iter().map(|one| format!("read({})", quoted(one.join("cgroup.procs")))).collect()
            }
            PrintCall::Tree { hierarchies, group, .. } => hierarchies
                .iter()
                .map(|one| {
                    format!("read({{cgroup.procs of every group in {}}})", quoted(one.mount.join(group)))
                })
                .collect(),
            PrintCall::Controllers { .. } => vec!["read(\"/proc/cgroups\")".into()],
            PrintCall::Stat { groups, .. } => vec![read_counters(groups)],
        };
        f.write_str(&lines.join("\n"))
    }
}

impl PrintCall {
    /// The classic command that does the same.
    pub fn shell(&self) -> Shell {
        match self {
            PrintCall::Members { directories } => {
                let files = directories.iter().map(|one| one.join("cgroup.procs").into_os_string());
                let words = ["cat".into()].into_iter().chain(files);
                Shell::Line(joined([join(words), " | sort -nu".into()]))
            }
            PrintCall::Controllers { controllers, .. } => {
                let two = controllers.iter().find(|one| one.version == Some(Version::Two));
                Shell::Line(match two.and_then(|one| one.mount.as_ref()) {
                    Some(mount) => text(&["cat /proc/cgroups "], &mount.join("cgroup.controllers"), ""),
                    None => "cat /proc/cgroups".into(),
                })
            }
            PrintCall::Tree { hierarchies, group, .. } => {
                let places = hierarchies.iter().map(|one| one.mount.join(group).into_os_string());
                let words = ["find".into()].into_iter().chain(places);
                Shell::Line(joined([join(words), " -name cgroup.procs -exec grep -sH . {} + || :".into()]))
            }
            PrintCall::Stat { groups, .. } => lines(groups.iter().map(|(hierarchy, directory)| {
                let pattern = if hierarchy.version == Version::One { "/*.*" } else { "/*" };
                text(&["grep -s . "], directory, pattern)
            })),
        }
    }

    /// Looks, and prints.
    ///
    /// # Errors
    /// stdout takes nothing.
    pub fn run(&self) -> Result<Answer, Refusal> {
        match self {
            PrintCall::Members { directories } => {
                let mut all: Vec<u32> = directories.iter().flat_map(|one| group::members(one)).collect();
                all.sort_unstable();
                all.dedup();
                let text: String = all.iter().map(|process| format!("{process}\n")).collect();
                print_data(text.as_bytes())?;
                return Ok(Answer::Made(format!("{} processes", all.len())));
            }
            PrintCall::Controllers { controllers, json } => {
                print_data(controllers::text(controllers, *json).as_bytes())?;
            }
            PrintCall::Tree { hierarchies, group, json } => {
                print_data(listing::text(hierarchies, group, *json).as_bytes())?;
            }
            PrintCall::Stat { name, groups, json } => {
                print_data(stat::of(name, groups).text(*json).as_bytes())?;
            }
        }
        Ok(Answer::zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn the_controllers_of_version_2_are_read_where_it_is_mounted() {
        let line = |version| {
            let one = Controller {
                name: "misc".into(),
                version: Some(version),
                together: Vec::new(),
                mount: Some("/run/cg 2".into()),
                enabled: true,
            };
            match (PrintCall::Controllers { controllers: vec![one], json: false }).shell() {
                Shell::Line(line) => line,
                _ => OsString::new(),
            }
        };
        assert_eq!(line(Version::Two), "cat /proc/cgroups '/run/cg 2/cgroup.controllers'");
        assert_eq!(line(Version::One), "cat /proc/cgroups");
    }
}
