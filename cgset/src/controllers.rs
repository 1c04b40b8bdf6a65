//! The controllers of this kernel, and which hierarchy each is on: /proc/cgroups, /proc/self/cgroup, `cgroup.controllers`.

use crate::label::shown;
use crate::tree::{Hierarchy, Version};
use chain::{cgroups_in, json_string};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a controller does, in both versions: its name in version 1, that in version 2, and a line about it.
const ABOUT: [(&str, &str, &str); 17] = [
    ("blkio", "io", "reads and writes of block devices: limits, weights, counts"),
    ("cpu", "cpu", "CPU time: quotas, weights"),
    ("cpuacct", "", "CPU time used; in version 2 a part of cpu"),
    ("cpuset", "cpuset", "on which CPUs and memory nodes"),
    ("debug", "debug", "for those who work on the kernel"),
    ("devices", "", "which devices may be opened; in version 2 a BPF program of the group"),
    ("dmem", "dmem", "memory of devices, such as graphics cards"),
    ("freezer", "", "stops a group as a whole; in version 2 every group has cgroup.freeze"),
    ("hugetlb", "hugetlb", "huge pages"),
    ("memory", "memory", "memory and swap: limits, counts"),
    ("misc", "misc", "what is few, such as numbers of encrypted machines"),
    ("net_cls", "", "a number on each packet, for nft and tc; in version 2 nft knows the group itself"),
    ("net_prio", "", "the priority of packets at each interface"),
    ("ns", "", NS),
    ("perf_event", "perf_event", "events of the processor, counted for a group by perf"),
    ("pids", "pids", "how many processes and threads"),
    ("rdma", "rdma", "handles of RDMA adapters"),
];

/// The file with a line for each hierarchy: proc_pid_cgroup(5).
pub const OWN_CGROUPS: &str = "/proc/self/cgroup";

/// Lectures and old books list it.
pub const NS: &str =
    "left Linux in 3.0: it tied a group to a namespace; nsexec makes namespaces by themselves";

/// A controller of this kernel, or one that it once had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    pub name: String,
    /// The version it is used in; none while it is on no hierarchy.
    pub version: Option<Version>,
    /// The controllers of its hierarchy, itself among them, where that is of version 1.
    pub together: Vec<String>,
    pub mount: Option<PathBuf>,
    /// The kernel has it, and it was not switched off at the start of the machine.
    pub enabled: bool,
}

/// Every controller in /proc/cgroups (`name hierarchy groups enabled`), those that version 2 alone has, and ns.
pub fn all(proc_cgroups: &str, self_cgroup: &str, mounted: &[Hierarchy]) -> Vec<Controller> {
    let two = mounted.iter().find(|one| one.version == Version::Two);
    let in_two = |name: &str| two.is_some_and(|two| two.controllers.iter().any(|known| known == name));
    let mut all: Vec<Controller> = Vec::new();
    for line in proc_cgroups.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, _, _, enabled] = fields[..] else { continue };
        let together = together(self_cgroup, name).unwrap_or_default();
        let twos_name = ABOUT.iter().find(|(one, _, _)| *one == name).map_or(name, |(_, two, _)| two);
        let (version, name, mount) = match together.is_empty() {
            false => (
                Some(Version::One),
                name,
                mounted.iter().find(|one| one.controllers.iter().any(|known| known == name)),
            ),
            true if in_two(twos_name) => (Some(Version::Two), twos_name, two),
            true => (None, name, None),
        };
        let mount = mount.map(|one| one.mount.clone());
        all.push(Controller { name: name.into(), version, together, mount, enabled: enabled == "1" });
    }
    for name in two.map_or(&[][..], |two| &two.controllers) {
        if !all.iter().any(|known| known.name == *name) {
            let mount = two.map(|two| two.mount.clone());
            let version = Some(Version::Two);
            all.push(Controller { name: name.clone(), version, together: Vec::new(), mount, enabled: true });
        }
    }
    if !all.iter().any(|known| known.name == "ns") {
        all.push(Controller {
            name: "ns".into(),
            version: None,
            together: Vec::new(),
            mount: None,
            enabled: false,
        });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// The controllers on the hierarchy of version 1 that carries `controller` (`name=NAME` too), mounted or left over:
/// proc_pid_cgroup(5).
pub fn together(self_cgroup: &str, controller: &str) -> Option<Vec<String>> {
    let groups = cgroups_in(self_cgroup.as_bytes()).into_iter().map(|group| group.controllers);
    groups.into_iter().find(|names| names.iter().any(|name| name == controller))
}

/// A line for each, or JSON.
pub fn text(all: &[Controller], json: bool) -> String {
    let lines: Vec<String> = all.iter().map(|one| if json { one.json() } else { one.line() }).collect();
    if json { format!("[{}]\n", lines.join(",\n")) } else { lines.concat() }
}

impl Controller {
    fn about(&self) -> &'static str {
        ABOUT
            .iter()
            .find(|(one, two, _)| self.name == *one || self.name == *two)
            .map_or("", |(_, _, about)| about)
    }

    fn line(&self) -> String {
        let place = match (&self.mount, self.version) {
            (Some(mount), _) => shown(mount.as_os_str().as_bytes()),
            (None, Some(_)) => "not mounted here".into(),
            (None, None) if self.name == "ns" => "gone".into(),
            (None, None) if !self.enabled => "switched off".into(),
            (None, None) => "free".into(),
        };
        let version = self.version.map_or("-", |version| if version == Version::One { "1" } else { "2" });
        let together = match self.together.len() {
            0 | 1 => String::new(),
            _ => format!(" (together: {})", self.together.join(",")),
        };
        format!("{:<10} {version}  {place:<26} {}{together}\n", self.name, self.about())
    }

    fn json(&self) -> String {
        let together: Vec<String> = self.together.iter().map(json_string).collect();
        format!(
            "{{\"name\":{},\"version\":{},\"together\":[{}],\"mount\":{},\"enabled\":{},\"about\":{}}}",
            json_string(&self.name),
            self.version.map_or("null", |version| if version == Version::One { "1" } else { "2" }),
            together.join(","),
            self.mount.as_ref().map_or("null".into(), json_string),
            self.enabled,
            json_string(self.about())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nblkio\t0\t1\t1\nmemory\t0\t1\t0\nnet_cls\t9\t1\t1\npids\t0\t1\t1\n";

    #[test]
    fn each_controller_is_where_it_is_used() {
        let two = Hierarchy {
            version: Version::Two,
            mount: "/cg".into(),
            controllers: vec!["io".into(), "misc".into()],
        };
        let net = Hierarchy {
            version: Version::One,
            mount: "/net".into(),
            controllers: vec!["net_cls".into(), "net_prio".into()],
        };
        let all = all(CGROUPS, "9:net_cls,net_prio:/\n0::/\n", &[two, net]);
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["io", "memory", "misc", "net_cls", "ns", "pids"]);
        let text = text(&all, false);
        for line in [
            "io         2  /cg                        reads and writes of block devices: limits, weights, counts\n",
            "memory     -  switched off               memory and swap: limits, counts\n",
            "net_cls    1  /net                       a number on each packet, for nft and tc; in version 2 nft knows the group itself (together: net_cls,net_prio)\n",
            "ns         -  gone                       left Linux in 3.0: it tied",
            "pids       -  free                       how many processes and threads\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(all[0].json().starts_with(
            "{\"name\":\"io\",\"version\":2,\"together\":[],\"mount\":\"/cg\",\"enabled\":true,\"about\":\""
        ));
        assert!(all[4].json().starts_with(
            "{\"name\":\"ns\",\"version\":null,\"together\":[],\"mount\":null,\"enabled\":false,"
        ));
    }
}
