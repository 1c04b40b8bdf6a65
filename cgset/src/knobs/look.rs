//! What of the machine the values depend on, read before so that everything else is decided without looking.

use super::device::{self, Rules};
use super::disk;
use super::io::Limit;
use crate::cli::Cli;
use crate::facts::on_the_way;
use crate::tree::{Hierarchy, Tree, Version};
use chain::Failure;
use std::fs::read_to_string;
use std::path::Path;

/// What was looked up.
#[derive(Debug, Default)]
pub struct Look {
    /// What each --io asks for, with the disks it is about.
    pub io: Vec<Limit>,
    /// What --device asks for.
    pub devices: Option<Rules>,
    /// `devices.list` of the group, or of the nearest above it, whose list a new one begins with: version 1.
    pub device_list: Option<String>,
    /// The files that a group here has for weights of I/O.
    pub weights: Vec<&'static str>,
    /// The sizes of huge pages, in bytes.
    pub huge_pages: Vec<u64>,
}

impl Look {
    /// Looks up what the options need.
    ///
    /// # Errors
    /// An option names a disk or a device that is not here.
    pub fn read(cli: &Cli, tree: &Tree, group: &Path) -> Result<Look, Failure> {
        let home = |controller| tree.carrier(controller);
        let io = cli.io.iter().map(|word| Limit::parse(word, disk::behind)).collect::<Result<_, _>>()?;
        let devices = device::parse(&cli.device)?;
        // A transient group begins anew.
        let nearest = if cli.transient { group.parent().unwrap_or(Path::new("")) } else { group };
        Ok(Look {
            io,
            device_list: devices.as_ref().and(home("devices")).and_then(|one| device_list(one, nearest)),
            devices,
            weights: home("io")
                .or_else(|| home("blkio"))
                .filter(|_| is_weight_asked_for(cli))
                .map(|one| weights(one, group))
                .unwrap_or_default(),
            huge_pages: if cli.hugetlb.is_empty() { Vec::new() } else { huge_pages() },
        })
    }
}

fn is_weight_asked_for(cli: &Cli) -> bool {
    let is_weight = |word: &std::ffi::OsString| {
        word.to_str().is_some_and(|word| word.starts_with("io.weight=") || word.starts_with("blkio.weight="))
    };
    cli.io_weight.is_some() || cli.operands.iter().any(is_weight)
}

fn device_list(carrier: &Hierarchy, group: &Path) -> Option<String> {
    let way = on_the_way(carrier, group);
    way.iter().rev().find_map(|directory| read_to_string(directory.join("devices.list")).ok())
}

/// Every group but the root has these files where the kernel has the scheduler. If none is there yet to look into, other
/// signs of it are: counters in the root, the parameters of blk-iocost, a disk that could have it.
fn weights(carrier: &Hierarchy, group: &Path) -> Vec<&'static str> {
    let way = on_the_way(carrier, group);
    let is_there = |file: &str| way.iter().any(|directory| directory.join(file).exists());
    match carrier.version {
        Version::One => [("blkio.bfq.weight", ["blkio.bfq.weight", "blkio.bfq.io_serviced"])]
            .into_iter()
            .filter(|(_, signs)| signs.iter().any(|sign| is_there(sign)))
            .map(|(file, _)| file)
            .collect(),
        Version::Two => {
            let bfq = is_there("io.bfq.weight") || a_disk_could_have_bfq();
            let iocost = is_there("io.weight") || is_there("io.cost.qos");
            let files = [("io.bfq.weight", bfq), ("io.weight", iocost)];
            files.into_iter().filter(|(_, is_there)| *is_there).map(|(file, _)| file).collect()
        }
    }
}

fn a_disk_could_have_bfq() -> bool {
    let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let has_it = |text: String| text.split_whitespace().any(|name| name.trim_matches(['[', ']']) == "bfq");
    disks.into_iter().any(|disk| read_to_string(disk.path().join("queue/scheduler")).is_ok_and(has_it))
}

fn huge_pages() -> Vec<u64> {
    let sizes = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let bytes = |name: &str| name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok();
    let mut sizes: Vec<u64> =
        sizes.filter_map(|entry| Some(bytes(entry.file_name().to_str()?)? * 1024)).collect();
    sizes.sort_unstable();
    sizes
}
