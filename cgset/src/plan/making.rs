//! The group in each hierarchy: what is made on the way to it, and what of that must be handed on.

use crate::call::Call;
use crate::cli::Cli;
use crate::facts::{Facts, on_the_way};
use crate::mark::Mark;
use crate::tree::{Hierarchy, Version};
use chain::Step;
use std::path::Path;

fn why_group(hierarchy: &Hierarchy) -> &'static str {
    let has = |name: &str| hierarchy.controllers.iter().any(|controller| controller == name);
    match hierarchy.version {
        Version::Two => "a directory is a group of processes; here one carries every controller",
        Version::One if has("memory") => {
            "a directory is a group of processes: here its memory is accounted for"
        }
        Version::One if has("cpu") => "a directory is a group of processes: here its CPU time is shared out",
        Version::One if has("cpuacct") => {
            "a directory is a group of processes: here the CPU time it uses is added up"
        }
        Version::One if has("blkio") => "a directory is a group of processes: here its disk I/O is shaped",
        Version::One if has("devices") => "a directory is a group of processes: here it gets its devices",
        Version::One if has("cpuset") => "a directory is a group of processes: here it is kept to some CPUs",
        Version::One if has("pids") => "a directory is a group of processes: here they are counted",
        Version::One if has("freezer") => {
            "a directory is a group of processes: here all of them can be stopped at once"
        }
        Version::One => "a directory is a group of processes, and each hierarchy has one of its own",
    }
}

/// The group in one hierarchy, with what is missing above it.
pub fn group_steps(hierarchy: &Hierarchy, facts: &Facts, mark: Mark, cli: &Cli) -> Vec<Step<Call>> {
    let way = on_the_way(hierarchy, &facts.group);
    let mut steps = Vec::new();
    for (at, directory) in way.iter().enumerate() {
        let is_group = at + 1 == way.len();
        if at > 0 && (is_group || facts.at(directory).is_none()) {
            let (mark, why) = match is_group {
                true => (mark, why_group(hierarchy)),
                false => (Mark::Parent, "groups stand in groups: make the one around it, which goes with it"),
            };
            steps.push(
                Step::new(
                    why,
                    Call::MakeGroup {
                        directory: directory.clone(),
                        mark,
                        by_root: facts.is_root,
                        is_held: mark == Mark::Transient && cli.transient,
                    },
                )
                .undo(Call::RemoveGroup {
                    directories: vec![(hierarchy.mount.clone(), directory.clone())],
                    leave_if_busy: false,
                    with_inner: false,
                }),
            );
            steps.extend(cpuset_steps(hierarchy, directory, facts));
        }
        if !is_group && hierarchy.version == Version::Two {
            steps.extend(leaf_steps(directory, hierarchy, facts, cli));
            steps.extend(enable(directory, hierarchy, facts));
        }
    }
    steps
}

/// Version 1 makes a group without CPUs or memory, which takes nobody in.
fn cpuset_steps(hierarchy: &Hierarchy, directory: &Path, facts: &Facts) -> Vec<Step<Call>> {
    let is_cpuset =
        hierarchy.version == Version::One && hierarchy.controllers.iter().any(|name| name == "cpuset");
    let Some((cpus, mems)) = facts.cpuset.as_ref().filter(|_| is_cpuset && facts.at(directory).is_none())
    else {
        return Vec::new();
    };
    let write = |file: &str, value: &String| {
        Step::new(
            "a new group of this hierarchy has no CPU and no memory node: to begin with, those around it",
            Call::WriteKnob { path: directory.join(file), value: value.clone(), if_there: false },
        )
    };
    vec![write("cpuset.cpus", cpus), write("cpuset.mems", mems)]
}

/// The controllers this needs that `directory` does not hand on yet.
fn enable(directory: &Path, hierarchy: &Hierarchy, facts: &Facts) -> Option<Step<Call>> {
    let on: &[String] = facts.enabled.get(directory).map_or(&[], Vec::as_slice);
    let written = facts.writes.iter().map(|write| write.controller.as_str());
    // What is written is counted when it leaves the page cache, as that of the group the page's memory is counted in.
    let with_io = facts.writes.iter().any(|write| write.controller == "io").then_some("memory");
    let mut names: Vec<String> = written
        .chain(["pids"])
        .chain(with_io)
        .chain(facts.counted.iter().map(String::as_str))
        .filter(|name| hierarchy.controllers.iter().any(|known| known == name))
        .filter(|name| !on.iter().any(|known| known == name))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| {
        Step::new(
            "a group has the files of those controllers only that the group around it hands on",
            Call::EnableControllers { directory: directory.into(), names },
        )
    })
}

/// With --leaf, whoever is in a group that is to hand controllers on moves to one beside. The root may hold processes.
fn leaf_steps(directory: &Path, hierarchy: &Hierarchy, facts: &Facts, cli: &Cli) -> Vec<Step<Call>> {
    let is_crowded = facts.at(directory).is_some_and(|group| !group.members.is_empty());
    let Some(name) = cli.leaf.as_ref().filter(|_| is_crowded) else { return Vec::new() };
    let leaf = directory.join(name);
    let make = Call::MakeGroup {
        directory: leaf.clone(),
        mark: Mark::Group,
        by_root: facts.is_root,
        is_held: false,
    };
    let undo = Call::RemoveGroup {
        directories: vec![(hierarchy.mount.clone(), leaf.clone())],
        leave_if_busy: false,
        with_inner: false,
    };
    vec![
        Step::new(
            "a group that hands controllers on may hold no process: those in it get a group beside",
            make,
        )
        .undo(undo),
        Step::new("move them there", Call::MoveMembers { from: directory.into(), to: leaf.clone() })
            .undo(Call::MoveMembers { from: leaf, to: directory.into() }),
    ]
}
