//! Huge pages: how much of each size a group may keep.

use super::{Look, Write, carried, memory, refused, write};
use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::{Failure, size};

const WHY: &str =
    "its members get this much in huge pages of that size, and the one that touches more gets SIGBUS";

/// --hugetlb SIZE=LIMIT.
pub fn add(cli: &Cli, tree: &Tree, look: &Look, writes: &mut Vec<Write>) -> Result<(), Failure> {
    for word in &cli.hugetlb {
        let wanted = || refused("--hugetlb", word, "the size of a page and the limit, as in 2M=64M, or max");
        let (page, limit) = word.split_once('=').ok_or_else(wanted)?;
        let page = size::parse(page).map_err(|_| wanted())?;
        let limit = memory::bytes("--hugetlb", limit)?;
        let (controller, version) = carried(tree, "hugetlb")?;
        if !look.huge_pages.contains(&page) {
            let here: Vec<String> = look.huge_pages.iter().map(|page| size::human(*page)).collect();
            let here = if here.is_empty() { "none at all".into() } else { here.join(" and ") };
            return Err(Failure::new(format!("--hugetlb {word}: no huge pages of that size"))
                .hint(format!("this machine has {here}: see /sys/kernel/mm/hugepages")));
        }
        let limit = limit.map(|limit| limit.to_string());
        let (file, limit) = match version {
            Version::One => ("limit_in_bytes", limit.unwrap_or_else(|| "-1".into())),
            Version::Two => ("max", limit.unwrap_or_else(|| "max".into())),
        };
        writes.push(write(controller, format!("hugetlb.{}B.{file}", size::human(page)), limit, WHY));
    }
    Ok(())
}
