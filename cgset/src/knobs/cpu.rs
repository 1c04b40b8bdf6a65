//! CPU time: the quota, and the share where others want it too.

use super::{Write, refused, version_of, write};
use crate::cli::Cli;
use crate::tree::{Tree, Version};
use chain::Failure;

/// The period of the CPU quota in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

const WHY_CPU: &str = "of every tenth of a second its members run this many microseconds, all CPUs together, and wait for the next";
const WHY_WEIGHT: &str = "where others want the CPU too, it gets a share in proportion to this";

/// --cpus and --cpu-weight.
pub fn add(cli: &Cli, tree: &Tree, writes: &mut Vec<Write>) -> Result<(), Failure> {
    if let Some(text) = &cli.cpus {
        let quota =
            quota(text).ok_or_else(|| refused("--cpus", text, "how many CPUs, as in 1.5 or 50%, or max"))?;
        match version_of(tree, "cpu")? {
            Version::Two => {
                let quota = quota.map_or("max".into(), |quota| quota.to_string());
                writes.push(write("cpu", "cpu.max", format!("{quota} {PERIOD}"), WHY_CPU));
            }
            Version::One => {
                let quota = quota.map_or("-1".into(), |quota| quota.to_string());
                writes.push(write(
                    "cpu",
                    "cpu.cfs_period_us",
                    PERIOD.to_string(),
                    "a quota is counted anew in each period of this many microseconds",
                ));
                writes.push(write("cpu", "cpu.cfs_quota_us", quota, WHY_CPU));
            }
        }
    }
    if let Some(text) = &cli.cpu_weight {
        let is_weight = text.parse::<u64>().is_ok_and(|weight| (1..=10_000).contains(&weight));
        let wanted = || refused("--cpu-weight", text, "a number from 1 to 10000; 100 is what others have");
        let shares = weight_to_shares(text).filter(|_| is_weight).ok_or_else(wanted)?;
        writes.push(match version_of(tree, "cpu")? {
            Version::Two => write("cpu", "cpu.weight", text.clone(), WHY_WEIGHT),
            Version::One => write("cpu", "cpu.shares", shares, WHY_WEIGHT),
        });
    }
    Ok(())
}

/// Microseconds a period; the kernel takes no less than 1000. `Some(None)` is max.
fn quota(text: &str) -> Option<Option<u64>> {
    if text == "max" {
        return Some(None);
    }
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let cpus = number.parse::<f64>().ok().filter(|_| is_plain)? / whole;
    let quota = (cpus * PERIOD as f64).round();
    (1_000.0..1e15).contains(&quota).then_some(Some(quota as u64))
}

/// 100 and 1024 are what a group has by default; the proportion is kept.
pub fn weight_to_shares(value: &str) -> Option<String> {
    let weight: u64 = value.parse().ok()?;
    Some((weight.checked_mul(1024)? / 100).clamp(2, 262_144).to_string())
}

pub fn shares_to_weight(value: &str) -> Option<String> {
    let shares: u64 = value.parse().ok()?;
    Some((shares.checked_mul(100)? / 1024).clamp(1, 10_000).to_string())
}
