//! What can be typed. The doc comments are the help.

use chain::{Narration, size};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Make a file system in a file
///
/// IMG becomes an ext4 file system, empty or filled from a directory or an archive. It appears complete or not at all.
#[derive(Parser, Debug, Default)]
#[command(version, args_override_self = true, after_help = EXAMPLES, override_usage =
    "mkimg [OPTION]... IMG\n       mkimg --attach IMG | --detach IMG|DEV | --list [--json]")]
pub struct Cli {
    /// How large, as in 64M or 1.5G [default: what the content needs and room to grow, else 1G]
    #[arg(short, long, value_name = "SIZE", value_parser = size::parse, help_heading = "What it becomes")]
    pub size: Option<u64>,
    /// Fill it from a directory, a tar archive (plain or gz), or - for an archive on stdin
    #[arg(long, value_name = "DIR|FILE|-", help_heading = "What it becomes")]
    pub from: Option<PathBuf>,
    /// Where the bytes of the file come from
    #[arg(long, value_name = "HOW", default_value = "sparse", help_heading = "What it becomes")]
    pub alloc: Alloc,
    /// The name of the file system, at most 16 bytes
    #[arg(short = 'L', long, value_name = "NAME", help_heading = "What it becomes")]
    pub label: Option<String>,
    /// The number of the file system [default: a random one]
    #[arg(short = 'U', long, value_name = "UUID", help_heading = "What it becomes")]
    pub uuid: Option<String>,
    /// Replace IMG where it is a file already
    #[arg(short, long, help_heading = "What it becomes")]
    pub force: bool,

    /// Leave IMG attached to a loop device, and print which
    #[arg(long, help_heading = "Loop devices", conflicts_with_all = ["detach", "list"])]
    pub attach: bool,
    /// Take the loop device away again; IMG or the device itself
    #[arg(long, help_heading = "Loop devices", conflicts_with_all = ["list", "size", "from", "force", "label", "uuid"])]
    pub detach: bool,
    /// Print the loop devices in use
    #[arg(long, help_heading = "Loop devices", conflicts_with_all = ["image", "size", "from", "force", "label", "uuid"])]
    pub list: bool,
    /// As JSON, whose keys stay
    #[arg(long, help_heading = "Loop devices", requires = "list", conflicts_with = "image")]
    pub json: bool,

    #[command(flatten)]
    pub narration: Narration,

    /// The image
    #[arg(value_name = "IMG", hide = true, required_unless_present = "list")]
    pub image: Option<PathBuf>,
}

/// Where the bytes of an image come from.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alloc {
    /// Holes: only what is written takes room
    #[default]
    Sparse,
    /// Reserved now, so that it cannot run out later
    Full,
    /// Zeros, each of them written, as dd does it
    Zero,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make an image, and perhaps attach it.
    Create,
    /// Attach an image that is there.
    Attach,
    /// Take a loop device away.
    Detach,
    /// Print the loop devices.
    List,
}

impl Cli {
    /// `--attach` makes an image only together with a size or a content.
    pub fn action(&self) -> Action {
        match self {
            Cli { list: true, .. } => Action::List,
            Cli { detach: true, .. } => Action::Detach,
            Cli { attach: true, size: None, from: None, .. } => Action::Attach,
            _ => Action::Create,
        }
    }
}

const EXAMPLES: &str = "Examples:
  mkimg --size 64M home.img              an empty file system of 64 MiB
  mkimg --from ./rootfs img              a root file system for pivot
  docker export box | mkimg --from - img
  mkimg --attach img                     prints the loop device; mkimg --detach img";
