//! Removing groups: only those of cgset's making, and only where nobody is in them.

use super::mounting::emptied;
use crate::call::Call;
use crate::facts::Facts;
use crate::group::{Group, listed, named};
use crate::mark::Mark;
use crate::tree::Hierarchy;
use chain::{Failure, Step, quoted};

/// What a cgset that was killed has left of this group is removed, limits and all; anybody else's is left alone.
pub fn take_over(facts: &Facts) -> Result<Option<Step<Call>>, Failure> {
    if facts.present().any(|group| group.mark.is_none()) {
        let name = quoted(&facts.group);
        return Err(Failure::new(format!("{name}: this group is there already, and not of cgset's making"))
            .hint("--transient would remove it at the end: choose another name, or leave out --transient"));
    }
    refuse_in_use(facts, "choose another name, or ")?;
    Ok((facts.present().next().is_some()).then(|| {
        Step::new(
            "left behind, empty, by a cgset that was killed: begin without its limits",
            remove_call(facts, &facts.everywhere, false),
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
    let Some(parent) = facts.present().find(|group| !group.children.is_empty()) else { return Ok(()) };
    let refused = Failure::new(format!("{name}: there are groups in it: {}", named(&parent.children)));
    Err(refused.hint(match parent.mark {
        _ if facts.is_left_behind => {
            format!("{instead}remove it with those, which were its program's: cgset --gc")
        }
        Some(Mark::Transient) if !facts.below.is_empty() => format!(
            "{instead}end who is in those, {}, by cgset --kill GROUP, and remove it with them by cgset --gc",
            listed(&facts.below)
        ),
        _ => format!("{instead}remove those first: cgset --remove GROUP"),
    }))
}

fn remove_call(facts: &Facts, hierarchies: &[Hierarchy], with_inner: bool) -> Call {
    let place = |one: &Hierarchy| one.mount.join(&facts.group);
    let directories = hierarchies.iter().map(|one| (one.mount.clone(), place(one))).collect();
    Call::RemoveGroup { directories, leave_if_busy: false, with_inner }
}

/// At the end of a transient group: whatever its program made in it was its own.
pub fn remove_with_inner(facts: &Facts) -> Step<Call> {
    let why = "the group was the program's, and goes with it and with the groups that it made there";
    Step::new(why, remove_call(facts, &facts.carriers, true))
}

pub fn remove(facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    let name = quoted(&facts.group);
    if facts.present().any(|group| group.mark.is_none()) {
        return Err(Failure::new(format!("{name}: this group is not of cgset's making"))
            .hint("only what carries the mark of cgset is removed; rmdir removes any"));
    }
    refuse_in_use(facts, "")?;
    Ok(match facts.present().next() {
        Some(_) => {
            let call = remove_call(facts, &facts.everywhere, false);
            let mut steps = let_go(facts);
            steps.push(Step::new("cgset made it, and nothing is in it", call));
            steps
        }
        None => Vec::new(),
    })
}

/// In a hierarchy that cgset mounted, and will take away again, a group that is removed is to be gone.
pub fn let_go(facts: &Facts) -> Vec<Step<Call>> {
    let hierarchies = facts.carriers.iter().filter(|one| facts.own_mounts.contains(&one.mount));
    hierarchies.filter_map(|one| emptied(&one.controllers, &one.mount.join(&facts.group))).collect()
}

pub fn remove_leftover(group: &Group, facts: &Facts) -> Step<Call> {
    let mounts = facts.carriers.iter().map(|one| &one.mount);
    let mount =
        mounts.filter(|mount| group.directory.starts_with(mount)).max_by_key(|mount| mount.as_os_str().len());
    let directories = vec![(mount.cloned().unwrap_or_default(), group.directory.clone())];
    Step::new(
        "transient, empty, and nobody waits for it: a cgset that was killed has left it",
        Call::RemoveGroup { directories, leave_if_busy: true, with_inner: true },
    )
}

#[cfg(test)]
mod tests {
    use crate::mark::Mark;
    use crate::plan::tests::{one, refusal, with_group};

    const GROUPS: &str = "\"web\": there are groups in it: in\nhint: ";

    #[test]
    fn what_a_cgset_that_was_killed_has_left_with_groups_in_it_is_for_gc() {
        for (words, instead) in
            [("--transient web -- true", "choose another name, or "), ("--remove web", "")]
        {
            let given = |below: &[u32], is_left_behind| {
                let (cli, mut facts) = with_group(words, &one(), Some(Mark::Transient), &[], &["in"]);
                (facts.below, facts.is_left_behind) = (below.into(), is_left_behind);
                refusal((cli, facts))
            };
            let cure = "remove it with those, which were its program's: cgset --gc";
            assert_eq!(given(&[], true), format!("{GROUPS}{instead}{cure}"));
            let cure =
                "end who is in those, 7, 9, by cgset --kill GROUP, and remove it with them by cgset --gc";
            assert_eq!(given(&[7, 9], false), format!("{GROUPS}{instead}{cure}"));
            // Those that cgset made itself stay until they are removed by name.
            let cure = "remove those first: cgset --remove GROUP";
            assert_eq!(given(&[], false), format!("{GROUPS}{instead}{cure}"));
        }
    }
}
