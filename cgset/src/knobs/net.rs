//! Tags of what a group sends: the class that tc(8) and nft(8) tell it by, and the priority on each interface. Version 1 only.

use super::{Write, refused, version_of, write};
use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::Failure;

const WHY_CLASS: &str = "what its members send carries this number, by which tc and nft tell it from others'";
const WHY_PRIORITY: &str =
    "what its members send over this interface has this priority, unless they set one themselves";

/// --net-class MAJOR:MINOR and --net-prio IF:PRIO.
pub fn add(cli: &Cli, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    if let Some(text) = &cli.net_class {
        let wanted = "MAJOR:MINOR, two hexadecimal numbers as tc writes them: 10:1";
        let class = class(text).ok_or_else(|| refused("--net-class", text, wanted))?;
        version_of(tree, "net_cls")?;
        writes.push(write("net_cls", "net_cls.classid", format!("{class:#010x}"), WHY_CLASS));
    }
    for text in &cli.net_prio {
        let pair = text.rsplit_once(':').filter(|(interface, priority)| {
            let is_name = (1..16).contains(&interface.len()) && !interface.contains(char::is_whitespace);
            is_name && priority.parse::<u32>().is_ok()
        });
        let (interface, priority) =
            pair.ok_or_else(|| refused("--net-prio", text, "an interface and a number: eth0:5"))?;
        version_of(tree, "net_prio")?;
        let line = format!("{interface} {priority}");
        writes.push(write("net_prio", "net_prio.ifpriomap", line, WHY_PRIORITY));
    }
    Ok(())
}

/// A handle of tc(8): both halves are hexadecimal, 16 bits each.
fn class(text: &str) -> Option<u32> {
    let half = |text: &str| {
        let is_plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| is_plain)
    };
    let (major, minor) = text.split_once(':')?;
    Some(half(major)? << 16 | half(minor)?)
}

/// What version 2 has in place of these controllers.
pub fn instead(controller: &str, tree: &Tree) -> &'static str {
    let has_two = tree.hierarchies.iter().any(|one| one.version == Version::Two);
    match controller {
        "net_cls" | "net_prio" if has_two => {
            "; a group of version 2 needs no number: nft matches its path, socket cgroupv2 level 1 \"GROUP\""
        }
        _ => "",
    }
}
