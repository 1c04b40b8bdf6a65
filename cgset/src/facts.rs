//! A read-only look at the machine: the hierarchies, what stands at GROUP in each, what the files hold.

mod report;

use crate::cli::{Action, Cli};
use crate::controllers::{self, Controller, OWN_CGROUPS};
use crate::device_bpf;
use crate::group::{Group, members_of_all, walk};
use crate::knobs::{self, Look, Write};
use crate::label::{self, Label};
use crate::mark::Mark;
use crate::moving::Found;
use crate::place::Place;
use crate::tree::{Hierarchy, Tree, Version};
use chain::{Failure, Program};
use report::{check_report, countable, counts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the plan is made on.
#[derive(Debug, Default)]
pub struct Facts {
    /// GROUP, relative to the root of each hierarchy.
    pub group: PathBuf,
    /// What is to be written.
    pub writes: Vec<Write>,
    /// The hierarchies the group is, or is to be, in; one that counts every member first.
    pub carriers: Vec<Hierarchy>,
    /// Every hierarchy in which there is a group of that name now.
    pub everywhere: Vec<Hierarchy>,
    /// The group and what is above it, where they are there.
    pub groups: Vec<Group>,
    /// `cgroup.subtree_control` of what is above the group, where it is there: version 2.
    pub enabled: BTreeMap<PathBuf, Vec<String>>,
    /// The controllers of version 2 that are to count for a report.
    pub counted: Vec<String>,
    /// The file for the report is a FIFO.
    pub report_is_fifo: bool,
    /// What the files that are to be written hold now.
    pub values: BTreeMap<PathBuf, String>,
    /// The number of the program that judges by our device rules there now: version 2.
    pub device_program: Option<u32>,
    /// What is to be noted on the group.
    pub labels: Vec<Label>,
    /// What is noted on it now, where it is there and something is to be.
    pub labelled: BTreeMap<PathBuf, Vec<Label>>,
    /// CPUs and memory nodes of the nearest group above that is there: version 1 begins a new one without any.
    pub cpuset: Option<(String, String)>,
    /// The processes that are to be moved, each with its group in every hierarchy of `carriers`, where that can be told.
    pub found: Vec<Found>,
    /// The groups a cgset that was killed has left, for --gc.
    pub leftovers: Vec<Group>,
    /// The group, which has groups in it, is such a one in every hierarchy.
    pub is_left_behind: bool,
    /// The processes in the groups in it.
    pub below: Vec<u32>,
    /// Where memory is accounted for in a hierarchy that cgset mounted.
    pub own_mounts: Vec<PathBuf>,
    /// Where a hierarchy is to be mounted or taken away.
    pub place: Option<Place>,
    /// The controllers of this kernel, for --controllers.
    pub controllers: Vec<Controller>,
    /// root's mark can be set.
    pub is_root: bool,
    pub program: Option<Program>,
}

impl Facts {
    /// Looks; changes nothing.
    ///
    /// # Errors
    /// What was typed is no group or no value, or names what is not here.
    pub fn read(cli: &Cli) -> Result<Facts, Failure> {
        cli.refuse_without_program()?;
        if let Some(facts) = Facts::of_hierarchies(cli)? {
            return Ok(facts);
        }
        let group = cli.group()?;
        let files = cli.files()?;
        cli.leaf()?;
        if cli.json && !matches!(cli.action(), Action::Stat | Action::Tree) {
            return Err(Failure::new("--json goes with --stat, --tree and --controllers")
                .hint("cgset --stat --json GROUP"));
        }
        if cli.action() != Action::Set && cli.knobs_are_given() {
            return Err(Failure::new("a limit, a label or a file beside an option that writes none")
                .hint("set limits in a call of their own: cgset GROUP FILE=VALUE"));
        }
        let program = match cli.program.is_empty() {
            true => None,
            false => Some(Program::find(cli.program.clone())?),
        };
        let mut tree = Tree { hierarchies: mounted(cli) };
        if !matches!(cli.action(), Action::Tree | Action::Move) {
            tree.hierarchies.retain(|one| !one.is_named());
        }
        if tree.hierarchies.is_empty() {
            return Err(Failure::new("no control groups are mounted here")
                .hint("mount -t cgroup2 none /sys/fs/cgroup, or a controller of version 1: mount -t cgroup -o memory none DIR"));
        }
        let is_root = nix::unistd::geteuid().is_root() && !chain::in_user_namespace();
        let mut everywhere = tree.hierarchies.clone();
        everywhere.retain(|one| one.mount.join(&group).is_dir());
        let facts = Facts { group, everywhere, is_root, program, ..Facts::default() };
        match cli.action() {
            Action::Set => {
                let look = Look::read(cli, &tree, &facts.group)?;
                let writes = knobs::writes(cli, &files, &tree, &look)?;
                let labels = cli.labels()?;
                let mut carriers = carriers(&tree, &writes);
                // Where there is a group of that name already, its limits hold for whoever joins it now, too.
                carriers.extend(facts.everywhere.iter().filter(|_| !cli.transient).cloned());
                let (mut counted, mut report_is_fifo) = (Vec::new(), false);
                if let Some(file) = &cli.report {
                    report_is_fifo = check_report(file.as_deref().map(Path::new))?;
                    carriers.extend(tree.hierarchies.iter().filter(|one| counts(one)).cloned());
                    counted = countable(&tree, &facts.group);
                }
                dedup(&mut carriers);
                Ok(Facts { carriers, writes, labels, counted, report_is_fifo, ..facts }.with_groups())
            }
            Action::Tree => Ok(Facts { carriers: facts.everywhere.clone(), ..facts }),
            Action::Move => {
                let found = cli.processes.iter().map(|process| Found::look(*process, &facts.everywhere));
                let found = found.collect();
                Ok(Facts { carriers: facts.everywhere.clone(), found, ..facts })
            }
            Action::Gc => Ok(Facts { leftovers: leftovers(&tree), carriers: tree.hierarchies, ..facts }),
            _ => Ok(Facts { carriers: facts.everywhere.clone(), ..facts }.with_groups()),
        }
    }

    /// What --hierarchy and --controllers are planned on: no group, and perhaps no hierarchy yet.
    fn of_hierarchies(cli: &Cli) -> Result<Option<Facts>, Failure> {
        if cli.action() == Action::Controllers {
            if !cli.operands.is_empty() || cli.knobs_are_given() {
                return Err(
                    Failure::new("--controllers is about no group").hint("cgset --controllers [--json]")
                );
            }
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            let controllers = controllers::all(&read("/proc/cgroups"), &read(OWN_CGROUPS), &mounted(cli));
            return Ok(Some(Facts { controllers, ..Facts::default() }));
        }
        let Some(list) = &cli.hierarchy else { return Ok(None) };
        let [directory] = &cli.operands[..] else {
            return Err(Failure::new("--hierarchy takes one directory")
                .hint("limits are set in a call of their own: cgset --hierarchy cpu,memory DIR, then cgset GROUP FILE=VALUE"));
        };
        Ok(Some(Facts { place: Some(Place::look(list, Path::new(directory))?), ..Facts::default() }))
    }

    /// Looks at the group and at what is above it.
    fn with_groups(mut self) -> Facts {
        for carrier in &self.carriers {
            let own = carrier.mount.join(&self.group);
            for directory in on_the_way(carrier, &self.group) {
                if carrier.version == Version::Two && directory != own {
                    let text = std::fs::read_to_string(directory.join("cgroup.subtree_control"));
                    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
                    self.enabled.extend(text.ok().map(|text| (directory.clone(), words(text))));
                }
                let is_absent = directory == own && !self.everywhere.contains(carrier);
                if directory != carrier.mount && !is_absent {
                    self.groups.extend(Group::look(directory));
                }
            }
            if carrier.version == Version::One && carrier.controllers.iter().any(|name| name == "cpuset") {
                self.cpuset = inherited_cpuset(carrier, &self.group);
            }
        }
        let has_memory = |one: &&Hierarchy| {
            one.version == Version::One && one.controllers.iter().any(|name| name == "memory")
        };
        let own = self
            .carriers
            .iter()
            .filter(has_memory)
            .filter(|one| Mark::of(&one.mount) == Some(Mark::Hierarchy));
        self.own_mounts = own.map(|one| one.mount.clone()).collect();
        let elsewhere = self.everywhere.iter().filter(|one| !self.carriers.contains(one));
        self.groups.extend(elsewhere.filter_map(|one| Group::look(one.mount.join(&self.group))));
        let is_full = |group: &&Group| !group.children.is_empty();
        let full: Vec<PathBuf> =
            self.present().filter(is_full).map(|group| group.directory.clone()).collect();
        self.below = full.iter().flat_map(|directory| members_of_all(directory)).collect();
        self.is_left_behind = !full.is_empty() && self.present().all(Group::is_left_behind);
        if !self.labels.is_empty() {
            let present = self.present().map(|group| group.directory.clone());
            self.labelled = present.map(|directory| (directory.clone(), label::of(&directory))).collect();
        }
        // Where there is no group there is no file in it.
        let writes = self.writes.iter().filter(|_| !self.everywhere.is_empty());
        for one in writes {
            let path = self.path_of(one);
            if one.rules.is_some() {
                self.device_program = device_bpf::attached(&path);
                continue;
            }
            self.values
                .extend(std::fs::read_to_string(&path).ok().map(|text| (path, text.trim_end().to_owned())));
        }
        self
    }

    /// The file a value goes to.
    pub fn path_of(&self, write: &Write) -> PathBuf {
        let is_its = |one: &&Hierarchy| {
            one.controllers.contains(&write.controller)
                || (["freezer", "devices"].contains(&write.controller.as_str())
                    && one.version == Version::Two)
        };
        let mount = self.carriers.iter().find(is_its).map_or(Path::new(""), |one| &one.mount);
        let directory = mount.join(&self.group);
        if write.rules.is_some() { directory } else { directory.join(&write.file) }
    }

    /// What is at a path, if a group is.
    pub fn at(&self, directory: &Path) -> Option<&Group> {
        self.groups.iter().find(|group| group.directory == directory)
    }

    /// The group in each hierarchy where it is there.
    pub fn present(&self) -> impl Iterator<Item = &Group> {
        let is_it =
            |group: &&Group| self.everywhere.iter().any(|one| group.directory == one.mount.join(&self.group));
        self.groups.iter().filter(is_it)
    }
}

/// The hierarchies that are mounted, named ones too.
fn mounted(cli: &Cli) -> Vec<Hierarchy> {
    match &cli.root {
        Some(root) => Tree::of_directories(root).hierarchies,
        None => Tree::with_named(chain::mountinfo(), |mount| {
            std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
        }),
    }
}

/// The directories from the root of a hierarchy to a group, the root first.
pub fn on_the_way(hierarchy: &Hierarchy, group: &Path) -> Vec<PathBuf> {
    let mut directories = vec![hierarchy.mount.clone()];
    for name in group.components() {
        let next = directories[directories.len() - 1].join(name);
        directories.push(next);
    }
    directories
}

/// The hierarchies of the controllers that are written to, and those that count and stop processes.
pub fn carriers(tree: &Tree, writes: &[Write]) -> Vec<Hierarchy> {
    let wanted = tree.carrier("pids").into_iter().chain(tree.freezer());
    let written = writes.iter().filter_map(|write| tree.home(&write.controller));
    // Who limits CPU time wants to know how much was used, and in version 1 that is counted elsewhere.
    let is_cpu = writes.iter().any(|write| write.controller == "cpu");
    let counted = tree.carrier("cpuacct").filter(|_| is_cpu);
    let mut carriers = wanted.chain(written).chain(counted).cloned().collect();
    dedup(&mut carriers);
    carriers
}

/// Each once, in the order in which they are first named.
fn dedup(carriers: &mut Vec<Hierarchy>) {
    let all = std::mem::take(carriers);
    for one in all {
        if !carriers.contains(&one) {
            carriers.push(one);
        }
    }
}

fn inherited_cpuset(carrier: &Hierarchy, group: &Path) -> Option<(String, String)> {
    let read = |path: &Path, file: &str| std::fs::read_to_string(path.join(file)).ok();
    on_the_way(carrier, group).into_iter().rev().find_map(|directory| {
        let text =
            |file| read(&directory, file).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        text("cpuset.cpus").zip(text("cpuset.mems"))
    })
}

/// Every such group, in any hierarchy.
fn leftovers(tree: &Tree) -> Vec<Group> {
    let all = tree.hierarchies.iter().flat_map(|one| walk(&one.mount)).filter_map(Group::look);
    let mut found: Vec<Group> = all.filter(Group::is_left_behind).collect();
    found.sort_by(|one, other| one.directory.cmp(&other.directory));
    found
}
