//! What the program is left with: what is given up before the pivot, what after it, and which capabilities stay.

use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::inherited::Inherited;
use crate::pipes::Fchown;
use crate::privileges::Privilege;
use crate::user::UserSpec;
use anyhow::Result;
use chain::{CapSet, Step};
use std::ffi::OsString;
use std::mem::ManuallyDrop;

/// What is given up while the host's files are still in reach: none of it needs them.
pub fn before_the_pivot(facts: &Facts, environment: Vec<(OsString, OsString)>) -> Vec<Step<Call>> {
    let step = |why, call| Step::new(why, Call::Inherited(call));
    let mut steps = Vec::new();
    if let Some(user) = &facts.user {
        steps
            .push(Step::new("names mean the new root's users, not the host's", Call::FindUser(user.clone())));
    }
    if !facts.pipes.is_empty() {
        let typed = UserSpec::typed(facts.user.as_ref());
        let fchown = Fchown { pipes: facts.pipes.clone(), range: facts.userns, typed };
        steps.push(
            Step::new(
                "only its owner can open a pipe by name, as /dev/stdout is opened: the program's pipes go to its user",
                Call::Fchown(fchown),
            )
            .optional(),
        );
    }
    steps.push(step(
        "what the caller ignores or blocks is no business of the program's",
        Inherited::ResetSignals,
    ));
    steps.push(step(
        "variables of the host may hold its secrets, and name its paths",
        Inherited::SetEnvironment(environment),
    ));
    steps.push(step(
        "keys of the host's session would be in reach: begin a session without any",
        Inherited::JoinSessionKeyring,
    ));
    steps.push(
        step("a core dump is written by the host, outside of all this: write none; with 1 the program that core_pattern may name is not started either, with 0 it is", Inherited::LimitCore)
            .optional(),
    );
    steps.push(step("files are made with the usual mode, whatever the caller's was", Inherited::SetUmask));
    steps
}

/// What is given up last, because the steps before needed it.
pub fn privilege_steps(cli: &Cli, facts: Facts, kept: CapSet) -> Vec<Step<Call>> {
    let step = |why, privilege| Step::new(why, Call::Privilege(privilege));
    let is_user = facts.user.as_ref().is_some_and(|user| !user.is_root());
    let changes_ids = facts.user.is_some() || facts.userns.is_some();
    let ambient = is_user && kept != CapSet::NONE;
    let mut steps = Vec::new();
    if let Some(range) = facts.userns {
        steps.push(step("everything around is the host's and stays so: even all capabilities of the new users reach none of it", Privilege::JoinUserns(range)));
    }
    if !cli.privileged {
        steps.push(step(
            "no program started from here on can ever have other capabilities than these",
            Privilege::DropBounding(kept),
        ));
    }
    steps.push(match facts.may_set_groups {
        true => step("groups of the caller would open the host's files to it", Privilege::ClearGroups),
        false => step(
            "groups of the caller stay: a user namespace made without privileges may not give any up",
            Privilege::KeepGroups,
        ),
    });
    if changes_ids {
        steps.push(step("be who was asked for", Privilege::SetIds { keep: ambient }));
    }
    if !cli.privileged {
        steps.push(step(
            "keep these capabilities and no others, and hand none down by inheritance",
            Privilege::SetCapabilities { set: kept, ambient },
        ));
        steps.push(step(
            "no set-user-ID program and no file capability gives any back",
            Privilege::SetNoNewPrivs,
        ));
    }
    if let Some(lifeline) = facts.lifeline.filter(|_| changes_ids) {
        steps.push(step(
            "the kernel forgets this with a change of ids: die when the waiting parent dies",
            Privilege::RenewLifeline(lifeline),
        ));
    }
    steps.push(Step::new(
        "an open directory of the host would be a way out: keep no descriptor that was not asked for",
        Call::Inherited(Inherited::CloseDescriptors(facts.keep.into_iter().map(ManuallyDrop::new).collect())),
    ));
    steps
}

/// Root keeps the default, anybody else none; with what was added and without what was dropped. A name counts
/// for more than ALL: it can be added where ALL is dropped, and dropped where ALL is added, which is all that there are.
///
/// # Errors
/// A capability that does not exist.
pub fn kept_capabilities(cli: &Cli, facts: &Facts) -> Result<CapSet> {
    let sets = |names: &[String]| names.iter().map(|name| CapSet::parse(name)).collect::<Result<Vec<_>>>();
    let union = |sets: &[CapSet]| sets.iter().fold(CapSet::NONE, |set, other| set.with(*other));
    let (added, dropped) = (sets(&cli.cap_add)?, sets(&cli.cap_drop)?);
    let by_name: Vec<CapSet> = dropped.iter().copied().filter(|set| *set != CapSet::ALL).collect();
    let is_root = facts.user.as_ref().is_none_or(|user| user.is_root());
    let base = match is_root && !dropped.contains(&CapSet::ALL) {
        true => CapSet::default_of_root(),
        false => CapSet::NONE,
    };
    let wanted = if added.contains(&CapSet::ALL) { facts.permitted } else { base.with(union(&added)) };
    Ok(wanted.without(union(&by_name)))
}
