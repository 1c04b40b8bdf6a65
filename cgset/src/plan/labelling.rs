//! What is noted on a group, and taken back where a later step is refused.

use crate::call::Call;
use crate::facts::Facts;
use chain::{Failure, Step, quoted};
use std::path::PathBuf;

const WHY: &str = "noted on the group itself, in each hierarchy: it is known from there, and gone with it";

/// A step for each label, on the group in every hierarchy it is in or will be in.
///
/// # Errors
/// Who asks for it is not root, or the group is not of cgset's making.
pub fn labelling(facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    if facts.labels.is_empty() {
        return Ok(Vec::new());
    }
    if !facts.is_root {
        return Err(Failure::new("--label: only root may label a group").hint(
            "a label is an attribute that nobody else can forge: run it as root, outside any user namespace",
        ));
    }
    if facts.present().any(|group| group.mark.is_none()) {
        let name = quoted(&facts.group);
        return Err(Failure::new(format!("{name}: this group is there already, and not of cgset's making"))
            .hint("labels are for groups of cgset's: choose another name, or leave out --label"));
    }
    let mut directories: Vec<PathBuf> = Vec::new();
    for one in facts.carriers.iter().chain(&facts.everywhere) {
        let directory = one.mount.join(&facts.group);
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    let step = |label: &crate::label::Label| {
        let old = |directory: &PathBuf| {
            let known = facts.labelled.get(directory)?.iter().find(|known| known.key == label.key)?;
            Some(known.value.clone())
        };
        let set = directories.iter().map(|directory| (directory.clone(), Some(label.value.clone())));
        let back = directories.iter().map(|directory| (directory.clone(), old(directory)));
        let key = label.key.clone();
        Step::new(WHY, Call::SetLabel { key: key.clone(), values: set.collect() })
            .undo(Call::SetLabel { key, values: back.collect() })
    };
    Ok(facts.labels.iter().map(step).collect())
}
