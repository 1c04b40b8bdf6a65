//! The vethup binary as it is typed: help, refusals, the dry run as text. It looks at the network and changes nothing, and
//! needs no root for that.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

fn vethup(words: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_vethup")).args(words))
}

fn run(command: &mut Command) -> Output {
    command
        .env_remove("BOXUTILS_MODE")
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Runs `words` and expects a refusal with this text, nothing on stdout, and this status.
fn refused(words: &[&str], status: i32, wanted: &str) {
    let output = vethup(words);
    assert_eq!(text(&output.stderr), wanted, "{words:?}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{words:?}");
}

#[test]
fn the_short_help_is_one_screen_and_names_at_most_24_options() {
    let output = vethup(&["-h"]);
    let options = text(&output.stdout).lines().filter(|line| line.trim_start().starts_with('-')).count();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!((12..=24).contains(&options), "{options} options");
}

#[test]
fn nothing_to_do_and_two_things_at_once_are_refused() {
    refused(
        &[],
        125,
        "vethup: nothing to wire\nvethup: hint: vethup -- PROG makes a namespace for PROG; vethup --netns NAME wires one that is there\n",
    );
    refused(
        &["--netns", ""],
        125,
        "vethup: --netns has an empty value\nvethup: hint: is the variable after it unset?\n",
    );
    refused(
        &["--address", "auto", "--address", "auto", "--", "true"],
        125,
        "vethup: --address auto more than once\nvethup: hint: one address is found for it; name the others\n",
    );
    refused(
        &["--gateway", "10.1.0.1/16", "--gateway", "10.2.0.1/16", "--", "true"],
        125,
        "vethup: --gateway 10.1.0.1/16 and --gateway 10.2.0.1/16\nvethup: hint: one of version 4 and one of version 6 at most\n",
    );
    for words in [
        &["--down", "--nat"][..],
        &["--list", "--down"],
        &["--netns", "x", "--", "true"],
        &["--json"],
        &["true"],
        &["--nta", "--", "true"],
    ] {
        assert_eq!(vethup(words).status.code(), Some(125), "{words:?}");
    }
}

#[test]
fn names_that_no_interface_can_have_are_refused() {
    for (name, why) in [
        ("../x", "the name of an interface holds no / : % and no blank"),
        ("0123456789abcdef", "an interface has at most 15 bytes of name"),
        ("eth%d", "the name of an interface holds no / : % and no blank"),
        ("", "no name of an interface"),
    ] {
        for option in ["--bridge", "--ifname", "--uplink"] {
            let output = vethup(&[&format!("{option}={name}"), "--", "true"]);
            assert_eq!(output.status.code(), Some(125), "{option} {name}");
            let said = text(&output.stderr);
            assert!(
                said.contains(why) || (name.is_empty() && said.contains("a value is required")),
                "{said}"
            );
        }
    }
}

#[test]
fn a_namespace_that_is_not_there_is_named_as_it_was_meant() {
    let why = "vethup: while: a namespace is joined through its file\n";
    refused(
        &["--netns", "no-such-name"],
        125,
        &format!(
            "vethup: open(\"/run/netns/no-such-name\"): No such file or directory (ENOENT)\n{why}vethup: hint: ip netns has no \"no-such-name\": ip netns list shows them, ip netns add makes one\n"
        ),
    );
    refused(
        &["--netns", "999999999"],
        125,
        &format!(
            "vethup: open(\"/proc/999999999/ns/net\"): No such file or directory (ENOENT)\n{why}vethup: hint: there is no process 999999999 here\n"
        ),
    );
    refused(
        &["--netns", "./none"],
        125,
        &format!(
            "vethup: open(\"./none\"): No such file or directory (ENOENT)\n{why}vethup: hint: a path names the file a namespace is bound on, or /proc/PID/ns/net\n"
        ),
    );
    refused(
        &["--netns", "/etc/passwd"],
        125,
        &format!(
            "vethup: \"/etc/passwd\": not a namespace\n{why}vethup: hint: its PID 1 may be gone, or nothing was ever bound there: ip netns list\n"
        ),
    );
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    assert_eq!(vethup(&["--", "/nonexistent"]).status.code(), Some(127));
    assert_eq!(vethup(&["--", "/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn the_dry_run_is_a_script_and_does_nothing() {
    let bridge = format!("bxt{}", std::process::id());
    let words = [
        "--dry-run",
        "--bridge",
        &bridge,
        "--gateway",
        "198.18.0.1/24",
        "--nat",
        "--mac",
        "02:00:00:00:00:07",
        "--",
        "echo",
        "a b",
    ];
    let output = vethup(&words);
    let script = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    for line in [
        "exec 4</proc/self/ns/net".to_string(),
        format!("ip link add {bridge} address 02:62:c6:12:00:01 type bridge forward_delay 0"),
        format!("ip address add 198.18.0.1/24 dev {bridge}"),
        "exec unshare --net sh -e /dev/fd/3 3<<'END_vethup'".into(),
        "nsenter --net=/proc/self/fd/4 ip link add bxc6120002 type veth peer name eth0 address 02:00:00:00:00:07 netns $$".into(),
        "ip address add 198.18.0.2/24 dev eth0".into(),
        "ip route add default via 198.18.0.1 dev eth0 proto static".into(),
        "exec echo 'a b' 3<&-".into(),
    ] {
        assert!(script.lines().any(|known| known == line), "{line} in {script}");
    }
    assert!(script.contains("ip saddr 198.18.0.0/24 ip daddr != 198.18.0.0/24 masquerade"));
    assert!(!text(&vethup(&["--list"]).stdout).contains(&bridge));
}

#[test]
fn an_argument_of_the_program_may_hold_any_bytes() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vethup"));
    let bridge = format!("bxu{}", std::process::id());
    command
        .args(["--dry-run", "--bridge", &bridge, "--gateway", "198.19.0.1/24", "--", "echo"])
        .arg(OsStr::from_bytes(b"\xff"));
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.windows(3).any(|three| three == b"'\xff'"));
}

#[test]
fn the_listing_is_data_on_stdout() {
    let output = vethup(&["--list", "--json"]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!(text(&output.stdout).starts_with('[') && text(&output.stdout).ends_with("]\n"));
}
