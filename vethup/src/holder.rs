//! Who is in a network namespace: the name ip-netns(8) has for it, and the process that was there first. It looks into /proc
//! and /run/netns, and joins nothing.

use crate::rtnl;
use chain::netlink::Netlink;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who holds the other end of a cable, as far as this process may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// What ip-netns(8) calls the namespace.
    pub netns: Option<String>,
    /// The lowest number of a process in it, and the name of its program.
    pub process: Option<(i32, String)>,
}

/// The device and inode of a namespace's file, which are the namespace's own.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Everybody in a network namespace that has a number in this one, by that number.
pub fn holders(socket: &Netlink) -> HashMap<i32, Holder> {
    let mut found: HashMap<Identity, (PathBuf, Holder)> = HashMap::new();
    let own = identity(Path::new("/proc/self/ns/net"));
    let mut note = |path: PathBuf, fill: &dyn Fn(&mut Holder)| {
        if let Some(one) = identity(&path).filter(|one| Some(*one) != own) {
            fill(&mut found.entry(one).or_insert_with(|| (path, Holder::default())).1);
        }
    };
    for (name, path) in entries("/run/netns") {
        note(path, &|holder| holder.netns = Some(name.clone()));
    }
    let mut processes: Vec<(i32, PathBuf)> =
        entries("/proc").filter_map(|(name, path)| Some((name.parse().ok()?, path))).collect();
    processes.sort();
    for (pid, path) in processes {
        note(path.join("ns/net"), &|holder| {
            // It calls itself what it likes; what goes to a terminal holds nothing that moves the cursor.
            let name = || fs::read_to_string(path.join("comm")).unwrap_or_default();
            let program = || name().trim_end().replace(char::is_control, "?");
            holder.process.get_or_insert_with(|| (pid, program()));
        });
    }
    let number = |path: &Path| {
        let file = File::open(path).ok()?;
        rtnl::number_of_namespace(socket, file.as_fd()).ok().flatten()
    };
    found.into_values().filter_map(|(path, holder)| Some((number(&path)?, holder))).collect()
}

fn entries(directory: &str) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
}
