//! Where the hierarchies of control groups are mounted, and which controller each carries: cgroups(7). Read from mountinfo,
//! never guessed.

use std::path::{Path, PathBuf};

/// The interface of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One controller, or some, each with files of its own.
    One,
    /// One for all.
    Two,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub version: Version,
    /// Its root, as a path from here.
    pub mount: PathBuf,
    /// Of version 2 those that are left for it.
    pub controllers: Vec<String>,
}

impl Hierarchy {
    /// What is mounted there, if that is a hierarchy; `controllers_at` names those of version 2.
    pub fn of_mount(mounted: chain::Mount, controllers_at: &impl Fn(&Path) -> String) -> Option<Hierarchy> {
        let mount = mounted.point;
        match mounted.kind.as_str() {
            "cgroup2" => {
                let controllers = controllers_at(&mount).split_whitespace().map(str::to_owned).collect();
                Some(Hierarchy { version: Version::Two, mount, controllers })
            }
            "cgroup" => {
                let (mut controllers, valued): (Vec<String>, Vec<String>) =
                    mounted.super_options.into_iter().partition(|word| !word.contains('='));
                controllers.retain(|word| !NO_CONTROLLERS.contains(&word.as_str()));
                if controllers.is_empty() {
                    controllers.extend(valued.into_iter().find(|word| word.starts_with("name=")));
                }
                (!controllers.is_empty()).then_some(Hierarchy { version: Version::One, mount, controllers })
            }
            _ => None,
        }
    }

    /// It carries a name in place of controllers, as systemd's own.
    pub fn is_named(&self) -> bool {
        self.version == Version::One && self.controllers.iter().any(|name| name.starts_with("name="))
    }
}

/// Words among the options of a hierarchy of version 1 that are no controllers: cgroup1_show_options() of the kernel, and
/// what a security module adds.
const NO_CONTROLLERS: [&str; 11] = [
    "rw",
    "ro",
    "noprefix",
    "xattr",
    "clone_children",
    "cpuset_v2_mode",
    "favordynmods",
    "nofavordynmods",
    "all",
    "none",
    "seclabel",
];

/// Every hierarchy with a controller that is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub hierarchies: Vec<Hierarchy>,
}

impl Tree {
    /// The hierarchies among these mounts, those too that carry a name and no controller: whatever a
    /// process can be in a group of. `controllers_at` reads the `cgroup.controllers` of version 2.
    pub fn with_named(mounts: Vec<chain::Mount>, controllers_at: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in mounts {
            let Some(hierarchy) = Hierarchy::of_mount(mount, &controllers_at) else { continue };
            // One that is mounted twice is the same twice.
            let is_known = |known: &Hierarchy| {
                (known.version, &known.controllers) == (hierarchy.version, &hierarchy.controllers)
            };
            if !hierarchies.iter().any(is_known) {
                hierarchies.push(hierarchy);
            }
        }
        hierarchies
    }

    /// A tree of plain directories, for tests without privileges: version 2 if `root` holds `cgroup.controllers`, else
    /// version 1 in a directory for each controller.
    pub fn of_directories(root: &Path) -> Tree {
        let read = |path: &Path| std::fs::read_to_string(path.join("cgroup.controllers"));
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        if let Ok(text) = read(root) {
            let whole = Hierarchy { version: Version::Two, mount: root.into(), controllers: words(text) };
            return Tree { hierarchies: vec![whole] };
        }
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        names.sort();
        let hierarchies = names.into_iter().filter(|path| path.is_dir()).map(|mount| match read(&mount) {
            Ok(text) => Hierarchy { version: Version::Two, controllers: words(text), mount },
            Err(_) => {
                let name = mount.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let controllers = name.split(',').map(str::to_owned).collect();
                Hierarchy { version: Version::One, controllers, mount }
            }
        });
        Tree { hierarchies: hierarchies.collect() }
    }

    /// The hierarchy that carries a controller.
    pub fn carrier(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|one| one.controllers.iter().any(|name| name == controller))
    }

    /// The hierarchy in whose groups a controller does its work. Two have no controller of version 2 and work there all the
    /// same: freezing, which is the core's, and device rules, which are a program.
    pub fn home(&self, controller: &str) -> Option<&Hierarchy> {
        let is_of_the_core = matches!(controller, "freezer" | "devices");
        let two = self.hierarchies.iter().find(|one| one.version == Version::Two);
        self.carrier(controller).or_else(|| two.filter(|_| is_of_the_core))
    }

    /// The hierarchy whose groups can be frozen: the one of the freezer, or version 2, whose core does that.
    pub fn freezer(&self) -> Option<&Hierarchy> {
        self.home("freezer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/mem\\040ory rw,relatime - cgroup cgroup rw,memory
27 24 0:25 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
28 24 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
29 24 0:23 / /mnt/again rw,relatime - cgroup cgroup rw,cpu,cpuacct
";

    #[test]
    fn each_controller_is_found_where_it_is_mounted() {
        let mut tree = Tree {
            hierarchies: Tree::with_named(chain::mounts_in(HYBRID.as_bytes()), |_| "hugetlb\n".into()),
        };
        assert_eq!((tree.hierarchies.len(), tree.hierarchies[2].is_named()), (4, true));
        tree.hierarchies.retain(|one| !one.is_named());
        let at = |controller| tree.carrier(controller).map(|one| (one.version, one.mount.clone()));
        assert_eq!(at("cpuacct"), Some((Version::One, "/sys/fs/cgroup/cpu".into())));
        assert_eq!(at("memory"), Some((Version::One, "/sys/fs/cgroup/mem ory".into())));
        assert_eq!(at("hugetlb"), Some((Version::Two, "/sys/fs/cgroup/unified".into())));
        assert_eq!(at("pids"), None);
        assert_eq!(at("name=systemd"), None);
        assert_eq!(tree.hierarchies.len(), 3);
        assert_eq!(tree.freezer().unwrap().version, Version::Two);
    }

    #[test]
    fn options_of_the_mount_are_no_controllers() {
        let line = "25 24 0:23 / /cg rw,nosuid - cgroup cgroup rw,seclabel,net_cls,net_prio,noprefix,xattr,clone_children,cpuset_v2_mode,favordynmods,release_agent=/bin/agent,name=net\n";
        let hierarchies = Tree::with_named(chain::mounts_in(line.as_bytes()), |_| String::new());
        assert_eq!(hierarchies[0].controllers, ["net_cls", "net_prio"]);
        assert_eq!(hierarchies.len(), 1);
    }
}
