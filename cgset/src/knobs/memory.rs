//! Memory: the limit, and that of swap, which version 1 counts together with it.

use super::{Write, version_of, write};
use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::{Failure, size};

const WHY_MEMORY: &str = "what its members keep in memory is counted together: at the limit old pages go, and if that does not do, a member is killed";
const WHY_SWAP: &str = "and what is pushed out to swap is limited too, or the limit would only make it slow";

/// --memory and --swap.
pub fn add(cli: &Cli, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    let memory = cli.memory.as_deref().map(|text| bytes("--memory", text)).transpose()?;
    let swap = cli.swap.as_deref().map(|text| bytes("--swap", text)).transpose()?;
    if memory.is_none() && swap.is_none() {
        return Ok(());
    }
    let version = version_of(tree, "memory")?;
    let text = |bytes: Option<u64>| match (bytes, version) {
        (Some(bytes), _) => bytes.to_string(),
        (None, Version::Two) => "max".into(),
        (None, Version::One) => "-1".into(),
    };
    let file = if version == Version::Two { "memory.max" } else { "memory.limit_in_bytes" };
    writes.extend(memory.map(|memory| write("memory", file, text(memory), WHY_MEMORY)));
    let (file, value) = match (version, memory, swap) {
        (Version::Two, _, Some(swap)) => ("memory.swap.max", text(swap)),
        (Version::Two, Some(Some(_)), None) => ("memory.swap.max", "0".into()),
        (Version::Two, _, None) => ("memory.swap.max", "max".into()),
        (Version::One, Some(memory), swap) => {
            let both = memory.zip(swap.unwrap_or(Some(0))).map(|(memory, swap)| memory.saturating_add(swap));
            ("memory.memsw.limit_in_bytes", text(both))
        }
        (Version::One, None, _) => {
            return Err(Failure::new("--swap without --memory")
                .hint("version 1 limits memory and swap together: give --memory as well"));
        }
    };
    writes.push(Write { if_there: swap.is_none(), ..write("memory", file, value, WHY_SWAP) });
    Ok(())
}

/// A size; none is max.
pub fn bytes(option: &str, text: &str) -> Result<Option<u64>, Failure> {
    match text {
        "max" => Ok(None),
        _ => size::parse(text).map(Some).map_err(|why| Failure::new(format!("{option} {text}: {why}"))),
    }
}

pub fn max_to_minus(value: &str) -> Option<String> {
    Some(if value == "max" { "-1".into() } else { value.into() })
}

pub fn minus_to_max(value: &str) -> Option<String> {
    Some(if value == "-1" { "max".into() } else { value.into() })
}
