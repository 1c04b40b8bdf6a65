//! What the parent that waits for the program does for its report, before and after.

use super::name_of;
use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::report::ReportCall;
use crate::tree::Hierarchy;
use chain::Step;
use std::path::PathBuf;

fn groups(facts: &Facts) -> Vec<(Hierarchy, PathBuf)> {
    facts.carriers.iter().map(|one| (one.clone(), one.mount.join(&facts.group))).collect()
}

/// What a group that stays has counted already.
pub fn before(facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    (cli.report.is_some() && !cli.transient).then(|| {
        Step::new(
            "others may have used this group before: what it counted for them is taken off",
            Call::Report(ReportCall::ReadUsage { groups: groups(facts), is_over: false }),
        )
    })
}

/// The file of the report, while nobody can have put another there.
pub fn open(facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    let file = PathBuf::from(cli.report.as_ref()?.as_ref()?);
    let why = match facts.report_is_fifo {
        true => "the FIFO of the report as it is now: the program cannot put another file there",
        false => "the file of the report as it is now: the program cannot put another there",
    };
    let call = ReportCall::OpenReport { file: file.clone(), is_fifo: facts.report_is_fifo };
    Some(Step::new(why, Call::Report(call)).undo(Call::Report(ReportCall::RemoveReport { file })))
}

/// What it has counted in the end, while there is a group to ask.
pub fn after(facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    cli.report.is_some().then(|| {
        Step::new(
            "what was used is counted in the group, and is gone with it",
            Call::Report(ReportCall::ReadUsage { groups: groups(facts), is_over: true }),
        )
    })
}

/// A kill for want of memory, wherever the group's memory is accounted for.
pub fn oom(facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    let memory = facts.carriers.iter().find(|one| one.controllers.iter().any(|name| name == "memory"))?;
    Some(Step::new(
        "from outside a kill for want of memory looks like any other: say it",
        Call::Report(ReportCall::ReportOom {
            name: name_of(facts),
            directory: memory.mount.join(&facts.group),
            version: memory.version,
            typed: cli.memory.clone(),
        }),
    ))
}

/// Last of all, when nothing is left to be done: who reads it may be late.
pub fn write(facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    let file = cli.report.as_ref()?.as_ref().map(PathBuf::from);
    let why = "how it went, for a program to read; last, for whoever reads it may come late";
    let call = ReportCall::WriteReport { name: name_of(facts), file };
    Some(Step::new(why, Call::Report(call)).optional())
}

#[cfg(test)]
mod tests {
    use crate::plan::tests::{one, story, two};

    fn at(calls: &[String], text: &str) -> usize {
        calls.iter().position(|call| call.contains(text)).unwrap_or_else(|| panic!("{text}: {calls:?}"))
    }

    #[test]
    fn usage_is_read_before_the_group_goes_and_written_when_it_is_gone() {
        let calls = story("--transient --memory 1M --report=/r web -- true", &one());
        let read = at(&calls, "read({the counters in \"/cg/pids/web\"})");
        assert!(at(&calls, "open(\"/r\", O_WRONLY|O_CREAT") < at(&calls, "clone"));
        assert!(at(&calls, "SIGKILL") < read && read < at(&calls, "rmdir("));
        assert_eq!(calls.last().unwrap(), "write(\"/r\", {the report})");
        assert_eq!(
            calls.iter().filter(|call| call.contains("the counters")).count(),
            1,
            "a new group begins with none"
        );
    }

    #[test]
    fn a_group_that_stays_is_read_before_too_and_nothing_in_it_is_ended() {
        let calls = story("--report web -- true", &two());
        let fork = at(&calls, "clone");
        assert!(at(&calls, "the counters") < fork);
        assert_eq!(
            calls[fork + 1..],
            [
                "read(\"/cg/web/memory.events\")",
                "read({the counters in \"/cg/web\"})",
                "write(2, {the report})"
            ]
        );
        assert!(!story("web -- true", &two()).iter().any(|call| call.contains("clone")));
    }
}
