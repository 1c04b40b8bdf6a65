//! The files of the group: in which order, and how each is taken back when a later step fails.

use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::knobs::Write;
use crate::knobs::device::Rules;
use chain::Step;

/// A step for everything that is to be written.
pub fn writing(facts: &Facts, cli: &Cli) -> Vec<Step<Call>> {
    ordered(facts).into_iter().filter_map(|one| written(one, facts, cli)).collect()
}

/// A limit, and how it is taken back where the group has had another before.
fn written(one: &Write, facts: &Facts, cli: &Cli) -> Option<Step<Call>> {
    let path = facts.path_of(one);
    let was_there = path.parent().is_some_and(|group| facts.at(group).is_some()) && !cli.transient;
    if let Some(rules) = &one.rules {
        let before = facts.device_program.filter(|_| !cli.transient);
        // Without a program of ours nothing is refused by us.
        let is_needed = before.is_some() || *rules != Rules::Everything;
        let call = Call::SetDevices { directory: path.clone(), rules: rules.clone(), before };
        return is_needed.then(|| Step::new(one.why, call).undo(Call::RestoreDevices { directory: path }));
    }
    let step = Step::new(
        one.why,
        Call::WriteKnob { path: path.clone(), value: one.value.clone(), if_there: one.if_there },
    );
    let now = facts.values.get(&path).map(String::as_str);
    Some(match one.old(now).filter(|_| was_there) {
        Some((file, value)) => {
            step.undo(Call::WriteKnob { path: path.with_file_name(file), value, if_there: true })
        }
        None => step,
    })
}

/// Memory and swap together may never be less than memory: where the limits grow, the one that bounds the other is first.
fn ordered(facts: &Facts) -> Vec<&Write> {
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
