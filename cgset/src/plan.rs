//! The story: how a group comes to be in each hierarchy, who goes into it, and what is left of it afterwards.

use crate::call::Call;
use crate::cli::{Action, Cli};
use crate::facts::{Facts, on_the_way};
use crate::group::{Group, Mark, door, listed};
use crate::tree::{Hierarchy, Version};
use chain::{Failure, Fork, Made, Plan, Step, quoted};
use std::path::{Path, PathBuf};

/// Decides everything; does nothing.
///
/// # Errors
/// The group is not there, not ours to remove, or in use.
pub fn plan(cli: &Cli, facts: Facts) -> Result<Plan<Call>, Failure> {
    if cli.action() == Action::Set {
        return set(cli, facts);
    }
    if cli.action() == Action::Gc {
        return Ok(Plan::of(facts.leftovers.iter().map(|group| remove_leftover(group, &facts)).collect()));
    }
    if facts.carriers.is_empty() && cli.action() != Action::Remove {
        return Err(Failure::new(format!("{}: there is no such group", quoted(&facts.group)))
            .hint("cgset GROUP makes one; a group is named from the root of its hierarchy, as in lab/web"));
    }
    Ok(Plan::of(match cli.action() {
        Action::Procs => vec![Step::new(
            "a process stands in cgroup.procs of every group it is in",
            Call::PrintMembers {
                directories: facts.present().map(|group| group.directory.clone()).collect(),
            },
        )],
        Action::Stat => vec![Step::new(
            "each controller counts in files of its own",
            Call::PrintStat {
                name: name_of(&facts),
                groups: facts
                    .carriers
                    .iter()
                    .map(|one| (one.clone(), one.mount.join(&facts.group)))
                    .collect(),
                json: cli.json,
            },
        )],
        Action::Freeze => vec![frozen(&facts, true)?],
        Action::Thaw => vec![frozen(&facts, false)?],
        Action::Kill => {
            vec![end(&facts, "every process in it, and none that it forks meanwhile gets away", false)]
        }
        _ => remove(&facts)?,
    }))
}

fn name_of(facts: &Facts) -> String {
    facts.group.to_string_lossy().into_owned()
}

/// Makes the group, writes its files and, with a program, joins it.
fn set(cli: &Cli, mut facts: Facts) -> Result<Plan<Call>, Failure> {
    let mut steps = Vec::new();
    if cli.transient {
        steps.extend(take_over(&facts)?);
    }
    let mark = if cli.transient { Mark::Transient } else { Mark::Group };
    for hierarchy in &facts.carriers {
        steps.extend(group_steps(hierarchy, &facts, mark, cli));
    }
    let home = home(&facts);
    if cli.transient {
        steps.push(Step::new(
            "while this lock is held somebody waits for the group's program, and nobody else takes it over",
            Call::LockGroup { directory: home },
        ));
    }
    for one in ordered(&facts) {
        let path = facts.path_of(one);
        let step = Step::new(
            one.why,
            Call::WriteKnob { path: path.clone(), value: one.value.clone(), if_there: one.if_there },
        );
        steps.push(match facts.values.get(&path).filter(|_| !cli.transient) {
            Some(old) => step.undo(Call::WriteKnob { path, value: old.clone(), if_there: true }),
            None => step,
        });
    }
    let Some(program) = facts.program.take() else { return Ok(Plan::of(steps)) };
    if !cli.transient {
        steps.extend(join(&facts, false));
        return Ok(Plan { steps, fork: None, program: Some(program), made: Made::default() });
    }
    let fork = Fork {
        why: "somebody has to stay, to say how it went and to remove the group: the program is a child",
        born_into: Vec::new(),
        birthplace: birthplace(&facts),
        first: join(&facts, true).into_iter().collect(),
        beside: Vec::new(),
        child: Vec::new(),
        after: after(&facts),
    };
    Ok(Plan { steps, fork: Some(fork), program: Some(program), made: Made::default() })
}

/// What a cgset that was killed has left of this group is removed, limits and all; anybody else's is left alone.
fn take_over(facts: &Facts) -> Result<Option<Step<Call>>, Failure> {
    if facts.present().any(|group| group.mark.is_none()) {
        let name = quoted(&facts.group);
        return Err(Failure::new(format!("{name}: this group is there already, and not of cgset's making"))
            .hint("--transient would remove it at the end: choose another name, or leave out --transient"));
    }
    refuse_in_use(facts, "choose another name, or ")?;
    Ok((facts.present().next().is_some()).then(|| {
        Step::new(
            "left behind, empty, by a cgset that was killed: begin without its limits",
            remove_call(facts, &facts.everywhere),
        )
    }))
}

/// A group with processes or groups in it is not removed; `instead` stands before the cure.
fn refuse_in_use(facts: &Facts, instead: &str) -> Result<(), Failure> {
    let name = quoted(&facts.group);
    if let Some(busy) = facts.present().find(|group| !group.members.is_empty()) {
        return Err(Failure::new(format!("{name}: these processes are in it: {}", listed(&busy.members)))
            .hint(format!("{instead}end them: cgset --kill GROUP")));
    }
    match facts.present().find(|group| !group.children.is_empty()) {
        Some(parent) => {
            Err(Failure::new(format!("{name}: there are groups in it: {}", parent.children.join(", ")))
                .hint(format!("{instead}remove those first: cgset --remove GROUP")))
        }
        None => Ok(()),
    }
}

/// Where every member is counted.
fn home(facts: &Facts) -> PathBuf {
    facts.carriers.first().map(|one| one.mount.join(&facts.group)).unwrap_or_default()
}

fn why_group(hierarchy: &Hierarchy) -> &'static str {
    let has = |name: &str| hierarchy.controllers.iter().any(|controller| controller == name);
    match hierarchy.version {
        Version::Two => "a directory is a group of processes; here one carries every controller",
        Version::One if has("memory") => {
            "a directory is a group of processes: here its memory is accounted for"
        }
        Version::One if has("cpu") => "a directory is a group of processes: here its CPU time is shared out",
        Version::One if has("cpuset") => "a directory is a group of processes: here it is kept to some CPUs",
        Version::One if has("pids") => "a directory is a group of processes: here they are counted",
        Version::One if has("freezer") => {
            "a directory is a group of processes: here all of them can be stopped at once"
        }
        Version::One => "a directory is a group of processes, and each hierarchy has one of its own",
    }
}

/// The group in one hierarchy, with what is missing above it.
fn group_steps(hierarchy: &Hierarchy, facts: &Facts, mark: Mark, cli: &Cli) -> Vec<Step<Call>> {
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
                    Call::MakeGroup { directory: directory.clone(), mark, by_root: facts.is_root },
                )
                .undo(Call::RemoveGroup {
                    directories: vec![(hierarchy.mount.clone(), directory.clone())],
                    home: directory.clone(),
                    leave_if_busy: false,
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
    let mut names: Vec<String> = written
        .chain(["pids"])
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
    let make = Call::MakeGroup { directory: leaf.clone(), mark: Mark::Group, by_root: facts.is_root };
    let undo = Call::RemoveGroup {
        directories: vec![(hierarchy.mount.clone(), leaf.clone())],
        home: leaf.clone(),
        leave_if_busy: false,
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

/// Memory and swap together may never be less than memory: where the limits grow, the one that bounds the other is first.
fn ordered(facts: &Facts) -> Vec<&crate::knobs::Write> {
    let mut writes: Vec<_> = facts.writes.iter().collect();
    let both = writes.iter().position(|one| one.file == "memory.memsw.limit_in_bytes");
    let memory = writes.iter().position(|one| one.file == "memory.limit_in_bytes");
    if let (Some(both), Some(memory)) = (both, memory) {
        let now = facts.values.get(&facts.path_of(writes[both])).and_then(|text| text.parse::<i64>().ok());
        let wanted = writes[memory].value.parse::<i64>().unwrap_or(-1);
        if now.is_some_and(|now| wanted < 0 || wanted > now) {
            writes.swap(both, memory);
        }
    }
    writes
}

/// Version 2 alone: the child is born in the group.
fn birthplace(facts: &Facts) -> Option<PathBuf> {
    let two = facts.carriers.iter().find(|one| one.version == Version::Two)?;
    Some(two.mount.join(&facts.group))
}

fn join(facts: &Facts, is_born: bool) -> Option<Step<Call>> {
    let joined = facts.carriers.iter().filter(|one| !is_born || one.version == Version::One);
    let doors: Vec<PathBuf> = joined.map(|one| door(one, &facts.group)).collect();
    (!doors.is_empty()).then(|| {
        Step::new(
            "go in: from here on this process, and all it starts, are counted and limited there",
            Call::Join { doors },
        )
    })
}

/// What the waiting parent does when the program has ended.
fn after(facts: &Facts) -> Vec<Step<Call>> {
    let memory = facts.carriers.iter().find(|one| one.controllers.iter().any(|name| name == "memory"));
    let is_limited = facts.writes.iter().any(|write| write.controller == "memory");
    let mut steps = Vec::new();
    steps.extend(memory.filter(|_| is_limited).map(|one| {
        Step::new(
            "from outside a kill for want of memory looks like any other: say it",
            Call::ReportOom {
                name: name_of(facts),
                directory: one.mount.join(&facts.group),
                version: one.version,
            },
        )
    }));
    steps.push(end(
        facts,
        "what the program left running would go on without the limits it was started under",
        true,
    ));
    steps.push(Step::new(
        "the group was the program's, and goes with it",
        remove_call(facts, &facts.carriers),
    ));
    steps
}

fn end(facts: &Facts, why: &'static str, say_so: bool) -> Step<Call> {
    let is_freezer = |one: &&Hierarchy| {
        one.version == Version::One && one.controllers.iter().any(|name| name == "freezer")
    };
    let freezer =
        facts.carriers.iter().find(is_freezer).map(|one| (one.mount.join(&facts.group), one.version));
    Step::new(why, Call::EndMembers { name: name_of(facts), home: home(facts), freezer, say_so })
}

fn frozen(facts: &Facts, frozen: bool) -> Result<Step<Call>, Failure> {
    let is_freezer = |one: &&Hierarchy| {
        one.version == Version::Two || one.controllers.iter().any(|name| name == "freezer")
    };
    let one = facts.carriers.iter().find(is_freezer).ok_or_else(|| {
        Failure::new(format!("{}: this group is in no hierarchy that could freeze it", quoted(&facts.group)))
            .hint("version 1 freezes where the freezer is mounted and the group is made: cgset GROUP makes it there")
    })?;
    let why = match frozen {
        true => "stopped between two instructions: no signal they could see, no handler they could run",
        false => "they go on where they were stopped",
    };
    Ok(Step::new(
        why,
        Call::SetFrozen { directory: one.mount.join(&facts.group), version: one.version, frozen },
    ))
}

fn remove_call(facts: &Facts, hierarchies: &[Hierarchy]) -> Call {
    let place = |one: &Hierarchy| one.mount.join(&facts.group);
    let directories = hierarchies.iter().map(|one| (one.mount.clone(), place(one))).collect();
    // Where every member is counted is locked by who waits; of a group that is only half there, any.
    let home = hierarchies.iter().find(|one| place(one) == home(facts)).or(hierarchies.first());
    Call::RemoveGroup { directories, home: home.map(place).unwrap_or_default(), leave_if_busy: false }
}

fn remove(facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    let name = quoted(&facts.group);
    if facts.present().any(|group| group.mark.is_none()) {
        return Err(Failure::new(format!("{name}: this group is not of cgset's making"))
            .hint("only what carries the mark of cgset is removed; rmdir removes any"));
    }
    refuse_in_use(facts, "")?;
    Ok(match facts.present().next() {
        Some(_) => {
            vec![Step::new("cgset made it, and nothing is in it", remove_call(facts, &facts.everywhere))]
        }
        None => Vec::new(),
    })
}

fn remove_leftover(group: &Group, facts: &Facts) -> Step<Call> {
    let mounts = facts.carriers.iter().map(|one| &one.mount);
    let mount =
        mounts.filter(|mount| group.directory.starts_with(mount)).max_by_key(|mount| mount.as_os_str().len());
    let directories = vec![(mount.cloned().unwrap_or_default(), group.directory.clone())];
    Step::new(
        "transient, empty, and nobody waits for it: a cgset that was killed has left it",
        Call::RemoveGroup { directories, home: group.directory.clone(), leave_if_busy: true },
    )
}

#[cfg(test)]
mod tests;
