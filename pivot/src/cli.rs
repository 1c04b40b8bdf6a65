//! What can be typed. The doc comments are the help.

use chain::Narration;
use clap::Parser;
use std::ffi::OsString;

/// Make a directory or an image the root, give up privileges, become the program
///
/// ROOT is a directory, an image file or a block device. Without PROG it runs /bin/sh. PROG is looked up in the new root.
/// What is not asked for is confined: few capabilities, no new privileges, no environment, no descriptors, masked
/// kernel files. It is a boundary only together with the namespaces of nsexec, --pid first.
///
/// With --userns or --user, the pipes among descriptors 0 to 2 are given to the program's user, who could not open them as
/// /dev/stdout otherwise, and can open both ends. Files and terminals stay the caller's: … | cat >FILE takes their place.
#[derive(Parser, Debug, Default)]
#[command(version, args_override_self = true, after_help = EXAMPLES, override_usage = "pivot [OPTION]... ROOT [--] [PROG [ARG]...]")]
pub struct Cli {
    /// Change the root and nothing else: the primitive by itself
    #[arg(long, help_heading = "Root", conflicts_with_all = ["privileged", "userns", "user", "cap_add", "cap_drop", "env", "keep_env", "keep_fd"])]
    pub bare: bool,
    /// Nothing in ROOT can be written
    #[arg(long, help_heading = "Root")]
    pub read_only: bool,
    /// Show the host's SRC at DST; options are ro, noexec, and noidmap with --userns
    #[arg(long, value_name = "SRC:DST[:OPT,…]", help_heading = "Root")]
    pub bind: Vec<OsString>,
    /// Mount the file system in IMG at DST; options as with --bind
    #[arg(long, value_name = "IMG:DST[:OPT,…]", help_heading = "Root")]
    pub image: Vec<OsString>,
    /// Mount an empty tmpfs at DST; options as with --bind, and size=64M, mode=1777
    #[arg(long, value_name = "DST[:OPT,…]", help_heading = "Root")]
    pub tmpfs: Vec<OsString>,
    /// Name servers: the host's that answer in here, an address (may be repeated), or ROOT's own resolv.conf [default: none]
    #[arg(long, value_name = "auto|ADDR|none", help_heading = "Root")]
    pub dns: Vec<String>,

    /// Start in DIR of the new root
    #[arg(long, value_name = "DIR", help_heading = "Program")]
    pub workdir: Option<OsString>,
    /// Set a variable, or with NAME alone keep the caller's
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Program")]
    pub env: Vec<OsString>,
    /// Keep the whole environment
    #[arg(long, help_heading = "Program")]
    pub keep_env: bool,
    /// Keep descriptor N open; all others above 2 are closed
    #[arg(long, value_name = "N", help_heading = "Program")]
    pub keep_fd: Vec<i32>,
    /// Run as this user of the new root; numbers need not be in its /etc/passwd
    #[arg(long, value_name = "NAME|UID[:GID]", help_heading = "Program")]
    pub user: Option<String>,

    /// Enter a user namespace last, so that no id in here is root outside; ids in images keep their numbers
    #[arg(long, value_name = "auto|OUTER:COUNT", help_heading = "Privileges", conflicts_with = "privileged")]
    pub userns: Option<String>,
    /// Keep all capabilities, and show the host's /dev, /sys and control groups
    #[arg(long, help_heading = "Privileges")]
    pub privileged: bool,
    /// Keep this capability as well; ALL keeps every one
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Privileges",
        conflicts_with = "privileged"
    )]
    pub cap_add: Vec<String>,
    /// Drop this capability as well; ALL drops every one
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Privileges",
        conflicts_with = "privileged"
    )]
    pub cap_drop: Vec<String>,

    #[command(flatten)]
    pub narration: Narration,

    /// The new root, the program to become, and its arguments
    #[arg(value_name = "ROOT", trailing_var_arg = true, required = true, hide = true)]
    pub words: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  nsexec --pid --net -- pivot img /bin/sh        a container: own processes, network, files
  pivot --bare ./rootfs /bin/sh                  pivot_root(2) by itself
  pivot --read-only --bind /src:/mnt:ro img make -C /mnt";
