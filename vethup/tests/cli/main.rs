//! The vethup binary as it is typed: help, refusals, the dry run as text. It looks at the network and changes nothing, and
//! needs no root for that. What would act if it were not refused is typed with --dry-run.

#[path = "../../../tests/cli.rs"]
mod cli;
mod dry_run;

use cli::{is_one_screen, is_refused, names_as_much, run, stderr, stdout};
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn vethup(words: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_vethup")).args(words))
}

/// Runs `words` and expects a refusal with this text, nothing on stdout, and this status.
fn refused(words: &[&str], status: i32, wanted: &str) {
    is_refused(&vethup(words), words, status, wanted);
}

/// Runs `words` with --dry-run and expects a refusal with this text: the script is one that fails.
fn unwritten(words: &[&str], wanted: &str) {
    let output = vethup(&[&["--dry-run"], words].concat());
    assert_eq!(stderr(&output), wanted, "{words:?}");
    assert_eq!((output.status.code(), stdout(&output)), (Some(125), "exit 125\n".into()), "{words:?}");
}

/// Runs `words` and expects them refused by the parser with this text.
fn mistyped(words: &[&str], what: &str) {
    refused(words, 125, &format!("vethup: {what}\nvethup: hint: vethup --help lists what it takes\n"));
}

#[test]
fn the_short_help_is_one_screen_and_names_at_most_24_options() {
    is_one_screen(&vethup(&["-h"]));
}

#[test]
fn the_long_help_explains_what_the_short_one_names() {
    let long = vethup(&["--help"]);
    names_as_much(&vethup(&["-h"]), &long);
    assert!(stdout(&long).contains("the PID of a process in it"));
}

#[test]
fn the_version_is_the_package_s() {
    assert_eq!(stdout(&vethup(&["--version"])), concat!("vethup ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_is_typed_wrong_is_refused_in_two_lines() {
    let shape = "give an address and the length of its network, as in 10.98.0.2/16";
    let cases: [(&[&str], &str); 16] = [
        (
            &["--dry-run", "--no-bridge", "--bridge", "x", "--", "true"],
            "the argument '--no-bridge' cannot be used with '--bridge <NAME>'",
        ),
        (
            &["--dry-run", "--no-bridge", "--uplink", "x", "--", "true"],
            "the argument '--no-bridge' cannot be used with '--uplink <DEV>'",
        ),
        (
            &["--dry-run", "--down", "--peer-name", "x"],
            "the argument '--down' cannot be used with '--peer-name <NAME>'",
        ),
        (&["--dry-run", "--down", "--nat"], "the argument '--down' cannot be used with '--nat'"),
        (&["--dry-run", "--list", "--down"], "the argument '--list' cannot be used with '--down'"),
        (
            &["--dry-run", "--netns", "x", "--", "true"],
            "the argument '--netns <NAME|PATH|PID>' cannot be used with '[PROGRAM]...'",
        ),
        (&["--dry-run", "--json"], "the following required arguments were not provided: --list"),
        (&["--dry-run", "--nta", "--", "true"], "unexpected argument '--nta' found"),
        (&["--dry-run", "-x", "--", "true"], "unexpected argument '-x' found"),
        (&["--netns"], "a value is required for '--netns <NAME|PATH|PID>' but none was supplied"),
        (
            &["--explain", "--dry-run", "--", "true"],
            "the argument '--explain' cannot be used with '--dry-run'",
        ),
        (
            &["--dry-run", "--mtu", "67", "--", "true"],
            "invalid value '67' for '--mtu <BYTES>': 67 is not in 68..=65535",
        ),
        (
            &["--dry-run", "--mac", "03:00:00:00:00:01", "--", "true"],
            "invalid value '03:00:00:00:00:01' for '--mac <MAC>': not the address of one interface, as in 02:62:6f:78:00:01",
        ),
        (
            &["--dry-run", "--address", "10.98.0.7", "--", "true"],
            &format!("invalid value '10.98.0.7' for '--address <auto|ADDR/LEN>': {shape}"),
        ),
        (
            &["--dry-run", "--gateway", "auto", "--", "true"],
            &format!("invalid value 'auto' for '--gateway <ADDR/LEN>': {shape}"),
        ),
        (
            &["--dry-run", "--gateway", "10.98.0.1/33", "--", "true"],
            "invalid value '10.98.0.1/33' for '--gateway <ADDR/LEN>': such an address has 32 bits",
        ),
    ];
    for (words, what) in cases {
        mistyped(words, what);
    }
}

#[test]
fn nothing_to_do_and_two_things_at_once_are_refused() {
    let nothing = "vethup: nothing to wire\nvethup: hint: vethup -- PROG makes a namespace for PROG; vethup --netns NAME wires one that is there\n";
    for words in [&[][..], &["--"]] {
        refused(words, 125, nothing);
    }
    unwritten(&["--nat"], nothing);
    for words in [&["--netns", ""][..], &["--netns="]] {
        refused(
            words,
            125,
            "vethup: --netns has an empty value\nvethup: hint: is the variable after it unset?\n",
        );
    }
    unwritten(
        &["--address", "auto", "--address", "auto", "--", "true"],
        "vethup: --address auto more than once\nvethup: hint: one address is found for it; name the others\n",
    );
    for (one, other) in [("10.1.0.1/16", "10.2.0.1/16"), ("fd00::1/64", "fd01::1/64")] {
        unwritten(
            &["--gateway", one, "--gateway", other, "--", "true"],
            &format!(
                "vethup: --gateway {one} and --gateway {other}\nvethup: hint: one of version 4 and one of version 6 at most\n"
            ),
        );
    }
}

#[test]
fn a_program_without_dashes_before_it_is_told_so() {
    for (words, program) in [
        (&["--nat", "sleep", "1"][..], "sleep"),
        (&["--nat", "ls", "-l"], "ls"),
        (&["ls", "--", "-l"], "ls"),
        (&["true", "--nat"], "true"),
    ] {
        unwritten(
            words,
            &format!("vethup: \"{program}\": not an option\nvethup: hint: put -- before the program\n"),
        );
    }
    // With them it is none of this, whatever the program is called and takes.
    let bridge = own("h");
    for program in [&["echo"][..], &["echo", "-l", "--nat"], &["echo", "--", "x"], &["--", "x"]] {
        let words = ["--dry-run", "--bridge", &bridge, "--gateway", "198.18.7.1/24", "--"];
        let output = vethup(&[&words[..], program].concat());
        assert!(!stderr(&output).contains("put --"), "{program:?}: {output:?}");
    }
    // Where no program is taken, dashes would not help.
    for (option, hint) in [
        ("--down", "one bridge alone is removed by vethup --down --bridge NAME"),
        ("--list", "it prints every bridge: vethup --list"),
    ] {
        let wanted = format!("vethup: \"boxbr0\": {option} runs no program\nvethup: hint: {hint}\n");
        for words in [&[option, "boxbr0"][..], &[option, "--", "boxbr0"]] {
            unwritten(words, &wanted);
        }
    }
}

#[test]
fn names_that_no_interface_can_have_are_refused() {
    let odd = "the name of an interface holds no / : % and no blank";
    for (name, why) in [
        ("../x", odd),
        ("eth%d", odd),
        ("a:b", odd),
        ("a b", odd),
        ("0123456789abcdef", "an interface has at most 15 bytes of name"),
        ("ääääääää", "an interface has at most 15 bytes of name"),
        ("..", "no name of an interface"),
        ("", "no name of an interface"),
    ] {
        for (option, value) in
            [("--bridge", "NAME"), ("--ifname", "NAME"), ("--peer-name", "NAME"), ("--uplink", "DEV")]
        {
            mistyped(
                &["--dry-run", &format!("{option}={name}"), "--", "true"],
                &format!("invalid value '{name}' for '{option} <{value}>': {why}"),
            );
        }
    }
    // With one byte less it is a name.
    let output = vethup(&[
        "--dry-run",
        "--ifname",
        "0123456789abcde",
        "--gateway",
        "198.18.1.1/24",
        "-b",
        &own("n"),
        "--",
        "true",
    ]);
    assert!(stdout(&output).contains("\nip link set 0123456789abcde up\n"), "{output:?}");
}

#[test]
fn links_that_cannot_be_meant_are_named() {
    unwritten(
        &["--bridge", "lo", "--", "true"],
        "vethup: \"lo\": not a bridge: an interface of hardware, or lo\nvethup: hint: --bridge names a bridge, or one that is not there yet; --uplink makes an interface a port of it\n",
    );
    let absent = own("a");
    unwritten(
        &["--bridge", &own("b"), "--gateway", "198.18.2.1/24", "--uplink", &absent, "--", "true"],
        &format!("vethup: \"{absent}\": there is no such interface\nvethup: hint: ip link lists them\n"),
    );
    unwritten(
        &["--bridge", &own("b"), "--gateway", "198.18.2.1/24", "--uplink", "lo", "--", "true"],
        "vethup: \"lo\": it leads back to this machine and nowhere else\nvethup: hint: --uplink names an interface that leads outside: hardware, a vlan, one end of a veth\n",
    );
    unwritten(
        &["--no-bridge", "--gateway", "198.18.2.1/24", "--address", "198.18.3.2/24", "--", "true"],
        "vethup: --address 198.18.3.2/24: the gateway is in 198.18.2.0/24\nvethup: hint: give an address of that network, or a --gateway in this one\n",
    );
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
    let why = "vethup: while: become the program: same process, same number, another life\n";
    let absent = "No such file or directory (ENOENT)";
    let path = "/usr/bin:/bin:/usr/sbin:/sbin";
    for (program, status, errno, hint) in [
        ("/nonexistent", 127, absent, "there is no such file"),
        ("nosuch", 127, absent, &*format!("not in any directory of PATH={path}")),
        ("/etc", 126, "Permission denied (EACCES)", "\"/etc\" is a directory"),
        ("/etc/passwd", 126, "Permission denied (EACCES)", "it may not be executed: chmod +x /etc/passwd"),
    ] {
        refused(
            &["--bridge", &own("p"), "--", program],
            status,
            &format!("vethup: execve(\"{program}\"): {errno}\n{why}vethup: hint: {hint}\n"),
        );
    }
    assert!(!is_there(&own("p")));
}

/// The name of a link that nobody has.
fn own(letter: &str) -> String {
    format!("bx{letter}{}", std::process::id())
}

fn is_there(link: &str) -> bool {
    std::path::Path::new("/proc/sys/net/ipv4/conf").join(link).exists()
}

#[test]
fn a_name_or_an_option_that_is_no_text_is_refused() {
    for option in ["--bridge", "--ifname", "--gateway"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vethup"));
        command.args(["--dry-run", option]).arg(OsStr::from_bytes(b"\xff")).args(["--", "true"]);
        let output = run(&mut command);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{option}: {output:?}");
        assert!(output.stderr.starts_with(b"vethup: "), "{option}: {output:?}");
    }
}

#[test]
fn the_listing_is_data_on_stdout_and_nobody_may_read_it() {
    const NOBODY: u32 = 65534;
    // Through the descriptor, because the build may lie where nobody cannot reach it by name.
    let binary = std::fs::File::open(env!("CARGO_BIN_EXE_vethup")).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = run(command.args(["--list", "--json"]));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    // Every bridge that the lines name is an object, and nothing else is.
    let lines = vethup(&["--list"]);
    assert_eq!((lines.status.code(), lines.stderr.len()), (Some(0), 0));
    let bridges = stdout(&lines).lines().filter(|line| !line.starts_with(' ')).count();
    let json = stdout(&output);
    assert!(json.starts_with('[') && json.ends_with("]\n"), "{json}");
    assert_eq!(json.matches("{\"bridge\": ").count(), bridges, "{json}");
    for key in ["\"addresses\": [", "\"nat\": ", "\"uplinks\": [", "\"ports\": ["] {
        assert_eq!(json.matches(key).count(), bridges, "{json}");
    }
}
