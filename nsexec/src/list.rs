//! The kept namespaces as a listing. The keys of the JSON are promised in the manual page.

use crate::kept::{Census, Kept, Life};
use chain::json_string;
use std::path::Path;

/// One line for each, below a heading; or a JSON array with one of them a line.
pub fn text(all: &[Kept], census: &Census, json: bool) -> String {
    if json { as_json(all, census) } else { as_table(all, census) }
}

fn state(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Unknown => "unknown",
    }
}

/// Who is to be asked to let go of it; the directory of ip-netns(8) is its manual's.
fn keeper(kept: &Kept) -> &'static str {
    match kept.is_ours {
        true => "nsexec",
        false if kept.at.parent() == Some(Path::new("/run/netns")) => "ip-netns",
        false => "other",
    }
}

fn as_table(all: &[Kept], census: &Census) -> String {
    let heads = ["KIND", "INODE", "STATE", "PROCESSES", "KEPT-BY", "PATH"].map(str::to_owned);
    let rows = all.iter().map(|kept| {
        [
            kept.kind.name().to_owned(),
            kept.inode.to_string(),
            state(census.life(kept)).to_owned(),
            census.processes(kept).to_string(),
            keeper(kept).to_owned(),
            kept.at.display().to_string(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>() + &row[5] + "\n"
    };
    rows.iter().map(line).collect()
}

fn as_json(all: &[Kept], census: &Census) -> String {
    let object = |kept: &Kept| {
        format!(
            "  {{\"path\": {}, \"kind\": \"{}\", \"inode\": {}, \"state\": \"{}\", \"processes\": {}, \"kept_by\": \"{}\"}}",
            json_string(&kept.at),
            kept.kind.name(),
            kept.inode,
            state(census.life(kept)),
            census.processes(kept),
            keeper(kept)
        )
    };
    match all.is_empty() {
        true => "[]\n".into(),
        false => format!("[\n{}\n]\n", all.iter().map(object).collect::<Vec<_>>().join(",\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain::Kind;

    fn kept(at: &str, is_ours: bool) -> Kept {
        Kept { kind: Kind::Mount, inode: 4_026_532_177, at: at.into(), is_ours }
    }

    #[test]
    fn the_table_lines_up() {
        let all = [kept("/run/box/mnt", true), kept("/run/netns/a", false), kept("/x", false)];
        assert_eq!(
            text(&all, &Census::default(), false),
            "KIND   INODE       STATE  PROCESSES  KEPT-BY   PATH\n\
             mount  4026532177  alive  0          nsexec    /run/box/mnt\n\
             mount  4026532177  alive  0          ip-netns  /run/netns/a\n\
             mount  4026532177  alive  0          other     /x\n"
        );
    }

    #[test]
    fn the_json_has_the_keys_of_the_manual_page() {
        assert_eq!(text(&[], &Census::default(), true), "[]\n");
        assert_eq!(
            text(&[kept("/a \"b\"/mnt", true)], &Census::default(), true),
            "[\n  {\"path\": \"/a \\\"b\\\"/mnt\", \"kind\": \"mount\", \"inode\": 4026532177, \"state\": \"alive\", \
             \"processes\": 0, \"kept_by\": \"nsexec\"}\n]\n"
        );
    }
}
