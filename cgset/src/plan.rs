//! The story: how a group comes to be in each hierarchy, who goes into it, and what is left of it afterwards.

mod labelling;
mod making;
mod mounting;
mod removing;
mod reporting;
mod writing;

use crate::call::Call;
use crate::cli::{Action, Cli};
use crate::facts::Facts;
use crate::group::door;
use crate::mark::Mark;
use crate::moving::Found;
use crate::printing::PrintCall;
use crate::tree::{Hierarchy, Version};
use chain::{Failure, Fork, Made, Plan, Step, quoted};
use labelling::labelling;
use making::group_steps;
use removing::{let_go, remove, remove_leftover, remove_with_inner, take_over};
use std::path::PathBuf;
use writing::writing;

/// Decides everything; does nothing.
///
/// # Errors
/// The group is not there, not ours to remove, or in use.
pub fn plan(cli: &Cli, facts: Facts) -> Result<Plan<Call>, Failure> {
    if cli.action() == Action::Set {
        return set(cli, facts);
    }
    if let Some(place) = &facts.place {
        return Ok(Plan::of(match cli.action() {
            Action::Unmount => mounting::unmount(place)?,
            _ => mounting::mount(place)?,
        }));
    }
    if cli.action() == Action::Controllers {
        let call = PrintCall::Controllers { controllers: facts.controllers, json: cli.json };
        return Ok(Plan::of(vec![Step::new(
            "/proc/cgroups has a line for each, and so has the root of version 2",
            Call::Print(call),
        )]));
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
            Call::Print(PrintCall::Members {
                directories: facts.present().map(|group| group.directory.clone()).collect(),
            }),
        )],
        Action::Move => moved(&facts),
        Action::Stat => vec![Step::new(
            "each controller counts in files of its own",
            Call::Print(PrintCall::Stat {
                name: name_of(&facts),
                groups: facts
                    .carriers
                    .iter()
                    .map(|one| (one.clone(), one.mount.join(&facts.group)))
                    .collect(),
                json: cli.json,
            }),
        )],
        Action::Tree => vec![Step::new(
            "every process stands in one group of each hierarchy",
            Call::Print(PrintCall::Tree {
                hierarchies: facts.carriers.clone(),
                group: facts.group.clone(),
                json: cli.json,
            }),
        )],
        Action::Freeze => vec![frozen(&facts, true)?],
        Action::Thaw => vec![frozen(&facts, false)?],
        Action::Kill => {
            vec![end(&facts, "every process in it, and none that it forks meanwhile gets away", false)]
        }
        _ => remove(&facts)?,
    }))
}

/// Each process by itself, and back where a later one is refused.
fn moved(facts: &Facts) -> Vec<Step<Call>> {
    let groups: Vec<PathBuf> = facts.carriers.iter().map(|one| one.mount.join(&facts.group)).collect();
    let step = |found: &Found| {
        let back = found.homes.iter().flatten().cloned().collect();
        let without_homes = Found { homes: Vec::new(), ..found.clone() };
        Step::new(
            "a process is moved by itself: its parent stays, and so do children that it has already",
            Call::MoveProcess { found: found.clone(), groups: groups.clone() },
        )
        .undo(Call::MoveProcess { found: without_homes, groups: back })
    };
    facts.found.iter().map(step).collect()
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
    // A limit for a group that goes with its program goes with it, too, or is left behind like it.
    let is_transient = cli.transient || facts.present().any(|one| one.mark == Some(Mark::Transient));
    let mark = if is_transient { Mark::Transient } else { Mark::Group };
    for hierarchy in &facts.carriers {
        steps.extend(group_steps(hierarchy, &facts, mark, cli));
    }
    steps.extend(labelling(&facts)?);
    steps.extend(writing(&facts, cli));
    let Some(program) = facts.program.take() else { return Ok(Plan::of(steps)) };
    if !cli.transient && cli.report.is_none() {
        steps.extend(join(&facts, false));
        return Ok(Plan { steps, fork: None, program: Some(program), made: Made::default() });
    }
    steps.extend(reporting::open(&facts, cli));
    steps.extend(reporting::before(&facts, cli));
    let fork = Fork {
        why: match cli.transient {
            true => {
                "somebody has to stay, to say how it went and to remove the group: the program is a child"
            }
            false => "somebody has to stay, to say how it went: the program is a child",
        },
        born_into: Vec::new(),
        birthplace: birthplace(&facts),
        first: join(&facts, true).into_iter().collect(),
        beside: Vec::new(),
        child: Vec::new(),
        after: after(&facts, cli),
    };
    Ok(Plan { steps, fork: Some(fork), program: Some(program), made: Made::default() })
}

/// Where every member is counted.
fn home(facts: &Facts) -> PathBuf {
    facts.carriers.first().map(|one| one.mount.join(&facts.group)).unwrap_or_default()
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
fn after(facts: &Facts, cli: &Cli) -> Vec<Step<Call>> {
    let mut steps: Vec<Step<Call>> = reporting::oom(facts, cli).into_iter().collect();
    if cli.transient {
        steps.push(end(
            facts,
            "what the program left running would go on without the limits it was started under",
            true,
        ));
    }
    steps.extend(reporting::after(facts, cli));
    if cli.transient {
        steps.extend(let_go(facts));
        steps.push(remove_with_inner(facts));
    }
    steps.extend(reporting::write(facts, cli));
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

#[cfg(test)]
mod tests;
