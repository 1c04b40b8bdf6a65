//! What was typed and what the machine is, to the steps that will be taken: the lesson "a file system in a file".

use crate::call::{Call, On};
use crate::cli::{Action, Cli};
use crate::content::{Content, Source};
use crate::facts::{Existing, Facts, directory_of};
use crate::holders;
use crate::mkfs::Recipe;
use crate::temporary::{self, Leftover};
use chain::size::human;
use chain::{Attached, Failure, Plan, Step, quoted};
use std::path::Path;

/// What an image is given where nothing says how large it should be.
const DEFAULT_SIZE: u64 = 1 << 30;
/// The blocks of the file system.
const BLOCK: u64 = 4096;
/// What ext4 takes for a name: EXT4_LABEL_MAX.
const LABEL_MAX: usize = 16;

/// The steps.
///
/// # Errors
/// What was asked for cannot be done, and that is known before anything is.
pub fn plan(cli: &Cli, facts: Facts) -> Result<Plan<Call>, Failure> {
    let Some(image) = &cli.image else { return Ok(list(cli)) };
    let steps = match cli.action() {
        Action::List => return Ok(list(cli)),
        Action::Detach => detach(image, &facts)?,
        Action::Attach => attach(image, &facts)?,
        Action::Create => {
            let mut steps = create(cli, image, &facts)?;
            if cli.attach {
                steps.extend(attachment(image));
            }
            steps
        }
    };
    Ok(Plan::of(steps))
}

fn list(cli: &Cli) -> Plan<Call> {
    Plan::of(vec![Step::new(
        "every loop device that shows a file, and what the kernel says about it",
        Call::List { json: cli.json },
    )])
}

fn attach(image: &Path, facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    if let Some(device) = facts.devices.first() {
        return Err(in_use(image, device, facts));
    }
    Ok(attachment(image))
}

fn attachment(image: &Path) -> Vec<Step<Call>> {
    vec![
        Step::new(
            "one user at a time: two would ruin the file system, so the loop device keeps a lock on the image",
            Call::OpenImage { image: image.into() },
        ),
        Step::new(
            "a loop device shows the image as a disk, until --detach",
            Call::AttachLoop { image: Some(image.into()) },
        )
        .undo(Call::DetachLoop { autoclear: false }),
        Step::new("say which device it is", Call::PrintDevice),
    ]
}

fn detach(image: &Path, facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    if facts.devices.is_empty() {
        return Err(Failure::new(format!("{}: no loop device shows it", quoted(image)))
            .hint("mkimg --list shows those in use"));
    }
    let detach = |device: &Attached| {
        Step::new(
            "take the loop device away once nobody uses it, and see that it is gone",
            Call::DetachDevice(device.clone()),
        )
    };
    Ok(facts.devices.iter().map(detach).collect())
}

fn create(cli: &Cli, image: &Path, facts: &Facts) -> Result<Vec<Step<Call>>, Failure> {
    check_target(cli, image, facts)?;
    let wanted = cli.size.unwrap_or_else(|| facts.content.as_ref().map_or(DEFAULT_SIZE, Content::image_size));
    let size = wanted.max(1).next_multiple_of(BLOCK);
    check_content(cli, facts, size)?;
    let mut recipe = Recipe::new(facts.mkfs.as_deref());
    recipe.label = cli.label.clone();
    recipe.uuid = cli.uuid.clone();
    recipe.inodes = match (&facts.content, &facts.source) {
        (Some(content), _) => Some(content.inodes_for(size)),
        // Nobody knows how many files come: one inode for 8 KiB is twice mke2fs's default.
        (None, Some(_)) => Some((size / 8192).max(64)),
        (None, None) => None,
    };
    let mut steps = left_behind(facts);
    steps.extend(file(cli, image, facts, size));
    match facts.is_root {
        true => steps.extend(on_a_loop_device(facts, recipe)),
        false => steps.extend(on_the_file(facts, recipe)?),
    }
    steps.extend(publish(cli, image, facts));
    Ok(steps)
}

/// First, so that there is room, and so that it does not get into the image with the tree around it.
fn left_behind(facts: &Facts) -> Vec<Step<Call>> {
    let remove = |left: &Leftover| {
        Step::new(
            "a killed mkimg left this under its other name: nobody holds a lock on it, so nobody is at work on it",
            Call::RemoveLeftover { path: left.path.clone() },
        )
        .optional()
    };
    facts.leftovers.iter().map(remove).collect()
}

fn file(cli: &Cli, image: &Path, facts: &Facts, size: u64) -> Vec<Step<Call>> {
    let directory = directory_of(image).to_path_buf();
    let create = match facts.is_nameless {
        true => Step::new(
            "a file that has no name yet: what is not finished cannot be found, and vanishes with this process",
            Call::CreateNameless { directory, image: image.into() },
        ),
        false => {
            let temporary = temporary::name(image, facts.pid);
            Step::new(
                "a file of another name beside it, for files without a name are not known here",
                Call::CreateNamed { temporary: temporary.clone(), image: image.into() },
            )
            .undo(Call::RemoveNamed { temporary })
        }
    };
    let allocate = Step::new(
        match cli.alloc {
            crate::cli::Alloc::Sparse => {
                "as long as a disk, and all of it a hole: room is taken by what is written only"
            }
            crate::cli::Alloc::Full => {
                "as long as a disk, and all of it reserved: it cannot run out of room later"
            }
            crate::cli::Alloc::Zero => "as long as a disk, and every byte of it written, a zero each",
        },
        Call::Allocate { size, how: cli.alloc },
    );
    vec![create, allocate]
}

/// As it is taught: the file, a loop device on it, a file system on that, a mount that shows it.
fn on_a_loop_device(facts: &Facts, recipe: Recipe) -> Vec<Step<Call>> {
    let mut steps = vec![
        Step::new(
            "a loop device shows the file as a disk; it goes away with its last user",
            Call::AttachLoop { image: None },
        )
        .undo(Call::DetachLoop { autoclear: true }),
        Step::new(
            "a file system on that disk: until now it is only bytes",
            Call::MakeFileSystem { recipe, on: On::Loop },
        ),
    ];
    if let Some(source) = &facts.source {
        steps.push(
            Step::new(
                "mount it on no directory at all, so that nobody but this process can see it",
                Call::Mount,
            )
            .undo(Call::Unmount),
        );
        steps.push(match source {
            Source::Tree(from) => Step::new(
                "copy the tree: bytes and holes, owners, modes, times, attributes, links, devices; on this file system only",
                Call::CopyTree { from: from.clone(), place_in_tree: facts.place_in_tree.clone(), old: old_image(facts) },
            ),
            Source::Archive(from) => Step::new(
                "make what the archive says, every name resolved inside the new root",
                Call::Unpack { from: from.clone() },
            ),
        });
        steps.push(Step::new(
            "write all of it to the disk now: an error of the disk below must be ours to report",
            Call::SyncFileSystem,
        ));
        steps.push(Step::new("unmount it: whoever uses it next must find it at rest", Call::Unmount));
    }
    steps.push(Step::new(
        "take the loop device away again, and see that it is gone",
        Call::DetachLoop { autoclear: true },
    ));
    steps
}

/// Without root there is neither loop device nor mount: mke2fs writes into the file, and fills it as well.
fn on_the_file(facts: &Facts, mut recipe: Recipe) -> Result<Vec<Step<Call>>, Failure> {
    match &facts.source {
        None => {}
        Some(Source::Tree(from)) => {
            check_tree_without_root(from, facts)?;
            recipe.tree = Some(from.clone());
        }
        Some(Source::Archive(from)) => {
            return Err(Failure::new(format!(
                "{}: an archive names owners and devices that only root can make",
                quoted(from)
            ))
            .hint(
                "run it as root; or unpack it first, and what you unpack belongs to you: mkimg --from DIR",
            ));
        }
    }
    Ok(vec![Step::new(
        "a file system in that file; without root there is no loop device, and mke2fs fills it itself",
        Call::MakeFileSystem { recipe, on: On::File },
    )])
}

fn publish(cli: &Cli, image: &Path, facts: &Facts) -> Vec<Step<Call>> {
    let to = image.to_path_buf();
    let name = match (facts.is_nameless, cli.force) {
        (true, false) => Call::Link { to },
        (true, true) => Call::LinkOver { temporary: temporary::name(image, facts.pid), to },
        (false, is_forced) => {
            Call::Rename { temporary: temporary::name(image, facts.pid), to, over: is_forced }
        }
    };
    vec![
        Step::new("have the bytes on the disk before the name", Call::SyncFile),
        Step::new("give it its name: from now on it is there, and whole", name),
        Step::new("have the name on the disk", Call::SyncDirectory { directory: directory_of(image).into() }),
    ]
}

fn check_target(cli: &Cli, image: &Path, facts: &Facts) -> Result<(), Failure> {
    let is_there = |what: &str| Failure::new(format!("{}: {what}", quoted(image)));
    match &facts.existing {
        None => {}
        Some(Existing::Other(kind)) => {
            return Err(is_there(&format!("it is {kind}")).hint("only a regular file can be replaced"));
        }
        Some(Existing::Regular(_)) if !cli.force => {
            return Err(
                is_there("it is there already").hint("--force replaces it; --attach alone attaches it")
            );
        }
        Some(Existing::Regular(_)) => {}
    }
    if let Some(device) = facts.devices.first() {
        return Err(in_use(image, device, facts));
    }
    if let Some(label) = cli.label.as_ref().filter(|label| label.len() > LABEL_MAX) {
        return Err(Failure::new(format!(
            "--label {}: longer than the 16 bytes ext4 has for it",
            quoted(label)
        )));
    }
    if facts.mkfs.is_none() {
        return Err(Failure::new("mkfs.ext4: neither in PATH nor in /usr/sbin or /sbin")
            .hint("apt install e2fsprogs"));
    }
    Ok(())
}

fn check_content(cli: &Cli, facts: &Facts, size: u64) -> Result<(), Failure> {
    let from = cli.from.as_deref().unwrap_or(Path::new(""));
    let content = facts.content.clone().unwrap_or_default();
    if content.bytes > size {
        let fitting = content.image_size();
        return Err(Failure::new(format!(
            "--size {}: {} alone takes {}",
            human(size),
            quoted(from),
            human(content.bytes)
        ))
        .hint(format!("without --size it would be {}", human(fitting))));
    }
    let taken = if cli.alloc == crate::cli::Alloc::Sparse { content.bytes } else { size };
    let free = facts.leftovers.iter().fold(facts.free, |free, left| free.saturating_add(left.room));
    if taken > free {
        let image = cli.image.as_deref().unwrap_or(Path::new(""));
        let what = format!(
            "{} needs {}, and the file system it would be on has {} free",
            quoted(image),
            human(taken),
            human(free)
        );
        return Err(Failure::new(what).hint("make room there, or choose another place"));
    }
    Ok(())
}

/// mke2fs copies whatever it finds below the directory.
fn check_tree_without_root(from: &Path, facts: &Facts) -> Result<(), Failure> {
    let content = facts.content.clone().unwrap_or_default();
    if let Some(mounted) = content.mounted_below {
        return Err(Failure::new(format!("{}: something is mounted there", quoted(&mounted)))
            .hint("without root it cannot be left out: umount it, or run mkimg as root"));
    }
    if content.holds_image.is_some() || (facts.place_in_tree.is_some() && !facts.is_nameless) {
        return Err(Failure::new(format!("the image lies in {}: it would hold itself", quoted(from)))
            .hint("write it elsewhere"));
    }
    Ok(())
}

fn in_use(image: &Path, device: &Attached, facts: &Facts) -> Failure {
    Failure::new(format!("{}: {} shows it already", quoted(image), device.device.display()))
        .hint(holders::way_to_free(&device.device, facts.users.as_deref()))
}

fn old_image(facts: &Facts) -> Option<crate::tree::Identity> {
    match facts.existing {
        Some(Existing::Regular(identity)) => Some(identity),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
