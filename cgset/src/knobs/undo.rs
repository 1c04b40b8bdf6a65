//! What a file held is what takes a write back: whole, or of a file with a line for each device or interface, that line.

use super::{Write, io};

impl Write {
    /// The file and the value that take it back, where its file holds `now`.
    pub fn old(&self, now: Option<&str>) -> Option<(String, String)> {
        if let Some((file, value)) = &self.undo {
            return Some(((*file).into(), value.clone()));
        }
        let now = now?;
        let value = if is_keyed(&self.file) { line(self, now)? } else { now.to_owned() };
        Some((self.file.clone(), value))
    }
}

fn is_keyed(file: &str) -> bool {
    let names =
        ["io.max", "io.latency", "io.weight", "io.bfq.weight", "net_prio.ifpriomap", "rdma.max", "misc.max"];
    names.contains(&file) || file.starts_with("blkio.") && file.ends_with("_device")
}

/// The line of the same device; where there was none, what is as good as none.
fn line(write: &Write, now: &str) -> Option<String> {
    let mut words = write.value.split_whitespace();
    let key = words.next()?;
    // A lone number is the value of those devices that have none of their own.
    let key = if words.next().is_none() { "default" } else { key };
    let old = now.lines().find(|line| line.split_whitespace().next() == Some(key));
    old.map(str::to_owned).or_else(|| io::unlimited(&write.file, key))
}
