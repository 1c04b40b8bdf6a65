//! The story: how a directory or an image becomes the root, and what the program is left with.

mod inside;
mod privileges;

use self::inside::kernel_mounts;
use self::privileges::{before_the_pivot, kept_capabilities, privilege_steps};
use crate::call::Call;
use crate::cli::Cli;
use crate::facts::Facts;
use crate::idmap::IdRange;
use crate::image;
use crate::mountfd::{Attributes, FileSystem};
use crate::program::{environment, program};
use crate::source::{Extra, Source};
use crate::tree::{At, TreeCall};
use anyhow::Result;
use chain::{Made, Plan, Step};
use std::path::PathBuf;

const CLOSED: Attributes = Attributes::NO_SUID.and(Attributes::NO_DEV).and(Attributes::NO_EXEC);

/// Decides everything; does nothing.
///
/// # Errors
/// A capability that does not exist.
pub fn plan(cli: Cli, facts: Facts) -> Result<Plan<Call>> {
    let program = program(&cli, &facts);
    let environment = environment(&cli, &facts);
    let kept = kept_capabilities(&cli, &facts)?;

    let is_image = |source: &Source| matches!(source, Source::Image { .. } | Source::Device { .. });
    let for_image = is_image(&facts.root) || facts.extras.iter().any(|extra| is_image(&extra.source));
    let mut steps = vec![
        Step::new(
            "a copy of the mount table, so that no mount made in here is made on the host",
            Call::UnshareMounts { for_image },
        ),
        Step::new(
            "the copy is still tied to the original wherever that is shared: cut it, both ways",
            Call::MakePrivate,
        ),
    ];
    if let Some(range) = facts.userns {
        steps.push(Step::new(
            "users of its own, made now because mounts take their map: root in here is nobody outside",
            Call::MakeUserns(range),
        ));
    }
    steps.extend(root_steps(&cli, &facts));
    if !cli.bare {
        steps.extend(kernel_mounts(&cli, &facts));
    }
    for extra in &facts.extras {
        steps.extend(extra_steps(extra, &facts));
    }
    steps.extend(facts.resolver.as_ref().map(|text| resolver_step(text, &facts)));
    if !cli.bare {
        steps.extend(before_the_pivot(&facts, environment));
    }
    steps.push(Step::new("the new root becomes /, and the old one ends up stacked on it", Call::PivotRoot));
    steps.push(Step::new(
        "let go of the old root, lazily because it is in use: from here on no path leads to the host",
        Call::DetachOldRoot,
    ));
    if let Some(directory) = &cli.workdir {
        steps.push(Step::new(
            "begin where it was asked for, found in the new root",
            Call::ChangeDirectory(PathBuf::from(directory)),
        ));
    }
    if !cli.bare {
        steps.extend(privilege_steps(&cli, facts, kept));
    }
    Ok(Plan { steps, fork: None, program: Some(program), made: Made::default() })
}

/// The root as a mount by itself, and this process standing in it.
fn root_steps(cli: &Cli, facts: &Facts) -> Vec<Step<Call>> {
    let dead = if cli.bare || cli.privileged {
        Attributes::NONE
    } else {
        Attributes::NO_SUID.and(Attributes::NO_DEV)
    };
    let attributes = if cli.read_only { dead.and(Attributes::READ_ONLY) } else { dead };
    let mut steps = tree_steps(&facts.root, At::Root, attributes, facts.userns, facts.parking[0]);
    steps.push(tree_step(
        "attach it over / of our own mount table, the only place it is ever attached, and stand in it",
        TreeCall::AttachRoot,
    ));
    steps
}

fn tree_step(why: &'static str, call: TreeCall) -> Step<Call> {
    Step::new(why, Call::Tree(call))
}

/// A detached mount of `source`, with its attributes.
fn tree_steps(
    source: &Source,
    at: At,
    attributes: Attributes,
    idmap: Option<IdRange>,
    parking: &'static str,
) -> Vec<Step<Call>> {
    let mut steps = Vec::new();
    match source {
        Source::Directory(path) | Source::File(path) => {
            steps.push(tree_step(
                "take the files as a mount by itself, attached nowhere yet",
                TreeCall::CopyTree { from: path.clone(), at: at.clone() },
            ));
            if attributes != Attributes::NONE {
                steps.push(tree_step(why_attributes(attributes), TreeCall::SetAttributes { attributes, at }));
            }
        }
        Source::Image { path, file_system } => {
            let read_only = attributes.and(Attributes::READ_ONLY) == attributes
                || image::is_always_read_only(file_system);
            steps.push(tree_step("a file becomes a block device, locked against a second writer; the kernel takes it away with its last user", TreeCall::AttachLoop { image: path.clone(), read_only }));
            steps.push(mount_step(source, at, device_fs(file_system, attributes, read_only), parking));
        }
        Source::Device { file_system, .. } => {
            let read_only = attributes.and(Attributes::READ_ONLY) == attributes
                || image::is_always_read_only(file_system);
            steps.push(mount_step(source, at, device_fs(file_system, attributes, read_only), parking));
        }
        Source::Memory(options) => {
            let mut fs = FileSystem::new("tmpfs", attributes);
            fs.options.clone_from(options);
            if let Some(range) = idmap {
                fs = fs.with("uid", range.outer.to_string()).with("gid", range.outer.to_string());
            }
            steps.push(tree_step(
                "an empty file system in memory, attached nowhere yet",
                TreeCall::MountSource { fs, source: source.clone(), at, parking },
            ));
            return steps;
        }
    }
    if let Some(range) = idmap {
        steps.push(tree_step(
            "files keep the owners they have on the disk, and those become ids of the new users",
            TreeCall::IdmapMount(range),
        ));
    }
    steps
}

fn why_attributes(attributes: Attributes) -> &'static str {
    let is_read_only = attributes.and(Attributes::READ_ONLY) == attributes;
    let is_dead = attributes.and(Attributes::NO_SUID) == attributes;
    match (is_read_only, is_dead) {
        (true, true) => {
            "nothing in it nor below it can be written, and set-user-ID bits and device nodes are dead"
        }
        (true, false) => "nothing in it nor below it can be written",
        _ => "what lies in it may not raise privileges: set-user-ID bits and device nodes are dead",
    }
}

fn device_fs(kind: &'static str, attributes: Attributes, read_only: bool) -> FileSystem {
    let mut fs = FileSystem::new(kind, attributes);
    if read_only {
        fs.options.push(("ro", None));
    }
    fs
}

fn mount_step(source: &Source, at: At, fs: FileSystem, parking: &'static str) -> Step<Call> {
    tree_step(
        "the file system on it becomes a mount by itself, attached nowhere yet",
        TreeCall::MountSource { fs, source: source.clone(), at, parking },
    )
}

fn extra_steps(extra: &Extra, facts: &Facts) -> Vec<Step<Call>> {
    let idmap = facts.userns.filter(|_| extra.idmap || matches!(extra.source, Source::Memory(_)));
    let mut steps =
        tree_steps(&extra.source, At::Below(extra.at.clone()), extra.attributes, idmap, facts.parking[0]);
    let is_directory = !matches!(extra.source, Source::File(_));
    steps.push(tree_step(
        "attach it where it was asked for, a path that cannot lead out of the new root",
        TreeCall::Attach { at: extra.at.clone(), is_directory },
    ));
    steps
}

fn resolver_step(text: &str, facts: &Facts) -> Step<Call> {
    let fs = owned(FileSystem::new("tmpfs", CLOSED), facts).with("mode", "0755").with("size", "16k");
    Step::new(
        "names are asked of servers that answer in here; a file in memory, so the root's own stays as it is",
        Call::ShowResolver { text: text.to_owned(), fs, parking: facts.parking[1] },
    )
}

/// A tmpfs whose root directory belongs to the new users, where there are any.
fn owned(fs: FileSystem, facts: &Facts) -> FileSystem {
    match facts.userns {
        Some(range) => fs.with("uid", range.outer.to_string()).with("gid", range.outer.to_string()),
        None => fs,
    }
}

#[cfg(test)]
mod tests;
