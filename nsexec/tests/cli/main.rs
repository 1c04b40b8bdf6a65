//! The nsexec binary as it is typed: help, refusals, the dry run and the explanation as text. Nothing here needs root.

#[path = "../../../tests/cli.rs"]
mod cli;
mod join;
mod keep;

use cli::{is_one_screen, is_refused, names_as_much, run, stderr, stdout};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

fn nsexec(words: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_nsexec")).args(words))
}

/// Runs `words` and expects a refusal with this text, nothing on stdout, and this status.
fn refused(words: &[&str], status: i32, text: &str) {
    is_refused(&nsexec(words), words, status, text);
}

#[test]
fn the_short_help_is_one_screen_and_names_at_most_24_options() {
    is_one_screen(&nsexec(&["-h"]));
}

#[test]
fn the_long_help_explains_what_the_short_one_names() {
    let long = nsexec(&["--help"]);
    names_as_much(&nsexec(&["-h"]), &long);
    assert!(stdout(&long).contains("all digits are a PID"));
}

#[test]
fn the_version_is_the_package_s() {
    assert_eq!(stdout(&nsexec(&["--version"])), concat!("nsexec ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_is_typed_wrong_is_refused_in_two_lines() {
    let hint = "nsexec: hint: nsexec --help lists what it takes\n";
    let cases: [(&[&str], &str); 10] = [
        (&["--bogus", "true"], "unexpected argument '--bogus' found"),
        (&["-x"], "unexpected argument '-x' found"),
        (&["--hostname"], "a value is required for '--hostname <NAME>' but none was supplied"),
        (&["--ready-fd", "x"], "invalid value 'x' for '--ready-fd <N>': invalid digit found in string"),
        (
            &["--propagation", "both"],
            "invalid value 'both' for '--propagation <HOW>' [possible values: private, slave, shared, unchanged]",
        ),
        (
            &["--boottime", "1s"],
            "invalid value '1s' for '--boottime <SECONDS>': a number of seconds, such as 3600, -5 or 0.25",
        ),
        (&["--list", "--net"], "the argument '--list' cannot be used with '--net[=<FILE|PID>]'"),
        (&["--forget", "d", "--", "true"], "the argument '--forget <DIR>' cannot be used with '[PROG]...'"),
        (&["--json"], "the following required arguments were not provided: --list"),
        (&["--explain", "--dry-run"], "the argument '--explain' cannot be used with '--dry-run'"),
    ];
    for (words, what) in cases {
        refused(words, 125, &format!("nsexec: {what}\n{hint}"));
    }
}

#[test]
fn an_empty_value_is_refused() {
    refused(
        &["--net=", "--", "true"],
        125,
        "nsexec: --net= has an empty value\n\
         nsexec: hint: is the variable after it unset? --net alone makes a new namespace, --net=FILE or --net=PID joins one\n",
    );
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    refused(
        &["--hostname", "box", "true"],
        125,
        "nsexec: --hostname would rename this host\n\
         nsexec: hint: add --uts for a host name of its own, or --uts=PID to rename that namespace\n",
    );
    refused(
        &["-r", "--user=/proc/self/ns/user", "true"],
        125,
        "nsexec: -r maps the ids of a new user namespace, and --user=… joins one\n\
         nsexec: hint: leave out one of the two\n",
    );
    refused(
        &["--mount-proc", "--mount=/proc/self/ns/mnt", "true"],
        125,
        "nsexec: --mount-proc would mount into a namespace that is joined\n\
         nsexec: hint: leave out --mount=…, or mount /proc there first\n",
    );
}

#[test]
fn a_value_that_is_no_namespace_is_refused() {
    refused(
        &["--net=/dev/null", "true"],
        125,
        "nsexec: \"/dev/null\": not a namespace\n\
         nsexec: while: a namespace is joined through its file\n\
         nsexec: hint: a value joins, as in nsenter(1): /proc/PID/ns/net, or a file it is bound on, until a restart; \
         --net --keep DIR makes one and binds it on DIR/net\n",
    );
    refused(
        &["--uts=99999999", "true"],
        125,
        "nsexec: open(\"/proc/99999999/ns/uts\"): No such file or directory (ENOENT)\n\
         nsexec: while: a namespace is joined through its file\n\
         nsexec: hint: there is no process 99999999 here\n",
    );
}

#[test]
fn a_program_that_is_not_there_is_127() {
    refused(
        &["--", "nosuch"],
        127,
        "nsexec: execve(\"nosuch\"): No such file or directory (ENOENT)\n\
         nsexec: while: become the program: same process, same number, another life\n\
         nsexec: hint: not in any directory of PATH=/usr/bin:/bin:/usr/sbin:/sbin\n",
    );
    refused(
        &["--pid", "./nosuch"],
        127,
        "nsexec: execve(\"./nosuch\"): No such file or directory (ENOENT)\n\
         nsexec: while: become the program: same process, same number, another life\n\
         nsexec: hint: there is no such file\n",
    );
    assert_eq!(nsexec(&["--", ""]).status.code(), Some(127));
}

#[test]
fn a_program_that_cannot_run_is_126() {
    refused(
        &["--", "/etc"],
        126,
        "nsexec: execve(\"/etc\"): Permission denied (EACCES)\n\
         nsexec: while: become the program: same process, same number, another life\n\
         nsexec: hint: \"/etc\" is a directory\n",
    );
    refused(
        &["/etc/passwd"],
        126,
        "nsexec: execve(\"/etc/passwd\"): Permission denied (EACCES)\n\
         nsexec: while: become the program: same process, same number, another life\n\
         nsexec: hint: it may not be executed: chmod +x /etc/passwd\n",
    );
}

#[test]
fn a_program_that_runs_gives_its_own_status_or_dies_its_own_death() {
    for status in [0, 1, 7, 125, 126, 127] {
        assert_eq!(nsexec(&["sh", "-c", &format!("exit {status}")]).status.code(), Some(status));
    }
    assert_eq!(nsexec(&["sh", "-c", "kill -TERM $$"]).status.signal(), Some(15));
}

#[test]
fn options_stop_at_the_first_operand() {
    assert_eq!(stdout(&nsexec(&["echo", "-n", "--net", "--", "x"])), "--net -- x");
    assert_eq!(stdout(&nsexec(&["--", "echo", "--pid"])), "--pid\n");
    refused(
        &["--", "--pid"],
        127,
        "nsexec: execve(\"--pid\"): No such file or directory (ENOENT)\n\
         nsexec: while: become the program: same process, same number, another life\n\
         nsexec: hint: options stop at the first operand: put it before that\n",
    );
}

#[test]
fn arguments_need_not_be_text() {
    let word = OsStr::from_bytes(b"\xff\x80 'a'\n");
    let output = run(Command::new(env!("CARGO_BIN_EXE_nsexec")).args(["--", "printf", "%s"]).arg(word));
    assert_eq!(output.stdout, word.as_bytes());
    let script =
        run(Command::new(env!("CARGO_BIN_EXE_nsexec")).args(["--dry-run", "--", "printf", "%s"]).arg(word));
    let again = run(Command::new("sh").arg("-ec").arg(OsStr::from_bytes(&script.stdout)));
    assert_eq!(again.stdout, word.as_bytes());
    let absent = run(Command::new(env!("CARGO_BIN_EXE_nsexec")).arg("--").arg(OsStr::from_bytes(b"\xff")));
    assert_eq!(absent.status.code(), Some(127));
    assert!(stderr(&absent).starts_with("nsexec: execve(\"\\xff\"): No such file"), "{}", stderr(&absent));
}

#[test]
fn without_a_program_it_is_the_shell() {
    let output = run(Command::new(env!("CARGO_BIN_EXE_nsexec")).env("SHELL", "/bin/echo"));
    assert_eq!(stdout(&output), "\n");
    let output = run(Command::new(env!("CARGO_BIN_EXE_nsexec")).env_remove("SHELL").arg("--dry-run"));
    assert!(stdout(&output).ends_with("\nexec /bin/sh\n"), "{}", stdout(&output));
}

#[test]
fn the_dry_run_is_a_script_with_the_whys_as_comments() {
    let output = nsexec(&["--dry-run", "--pid", "--net", "--mount-proc", "--", "ps", "a x"]);
    assert_eq!(
        stdout(&output),
        "\
# a process keeps the number it was born with: the first one born in a new PID namespace is its PID 1
# mount points of its own: a copy to begin with, and what changes in it changes here only
# a network of its own: no interface but lo, no route, no rule, none of the host's sockets
# systemd makes mounts shared: cut that, or what is mounted in here would be mounted on the host
exec unshare --fork --kill-child --pid --mount --net --propagation private sh -e /dev/fd/3 3<<'END_nsexec'
# lo is born down, and programs expect 127.0.0.1 to answer
ip link set lo up
# this network is its own affair: let every group in here ping without a raw socket
echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range
# and let every user in here listen on ports below 1024
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
# ps reads /proc: it needs one that shows this PID namespace
mount -t proc -o nosuid,nodev,noexec proc /proc
# become the program: same process, same number, another life
exec ps 'a x' 3<&-
END_nsexec
"
    );
    assert!(output.stderr.is_empty());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_dry_run_goes_through_the_chain() {
    let nsexec_itself = env!("CARGO_BIN_EXE_nsexec");
    let output = nsexec(&["--dry-run", "--uts", "--hostname", "box", "--", nsexec_itself, "--ipc", "true"]);
    assert_eq!(
        stdout(&output),
        "\
# a host name of its own: a copy to begin with
exec unshare --uts sh -e /dev/fd/3 3<<'END_nsexec'
# the name it answers to in here
hostname box
# shared memory, semaphores and message queues of its own: none to begin with
exec unshare --ipc sh -e /dev/fd/3 3<<'END_nsexec_1'
# become the program: same process, same number, another life
exec true 3<&-
END_nsexec_1
END_nsexec
"
    );
}

#[test]
fn the_explanation_is_each_step_with_its_why_then_the_call_and_its_result() {
    let words = ["--explain", "-r", "--pid", "--uts", "--hostname", "box", "--", "sh", "-c", "exit 3"];
    let output = nsexec(&words);
    let said = stderr(&output);
    // Of the child's number nothing is known but that it is one.
    let child =
        said.split_once("|SIGCHLD) = ").and_then(|(_, rest)| rest.split_once(',')).map(|(child, _)| child);
    let child: u32 = child.and_then(|child| child.parse().ok()).expect("a number");
    let ids = Command::new("sh").args(["-c", "id -u; id -g"]).output().unwrap();
    let ids = stdout(&ids);
    let (uid, gid) = ids.trim().split_once('\n').unwrap();
    let (uid_map, gid_map) = (format!("0 {uid} 1"), format!("0 {gid} 1"));
    let expected = format!(
        "\
nsexec 1/7  born into a user namespace it has all capabilities in, and into a PID namespace that this one owns, as PID 1
            clone(CLONE_NEWUSER|CLONE_NEWPID|SIGCHLD) = {child}, which goes on below; this parent waits for it
nsexec 2/7  without privileges a group map is allowed only to who cannot drop groups: a group may be there to keep people out
            write(\"/proc/self/setgroups\", \"deny\") = 4
nsexec 3/7  the caller's user is root in here
            write(\"/proc/self/uid_map\", \"{uid_map}\") = {}
nsexec 4/7  the caller's group is root's in here
            write(\"/proc/self/gid_map\", \"{gid_map}\") = {}
nsexec 5/7  a host name of its own: a copy to begin with
            unshare(CLONE_NEWUTS) = 0
nsexec 6/7  the name it answers to in here
            sethostname(\"box\") = 0
nsexec 7/7  become the program: same process, same number, another life
            execve(\"/usr/bin/sh\", [\"sh\", \"-c\", \"exit 3\"])
",
        uid_map.len(),
        gid_map.len()
    );
    assert_eq!(said, expected);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
}

#[test]
fn a_mode_from_elsewhere_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nsexec"));
    let output = command.args(["--", "true"]).env("BOXUTILS_MODE", "verbose").output().unwrap();
    assert_eq!(
        stderr(&output),
        "nsexec: BOXUTILS_MODE=verbose: not a mode\n\
         nsexec: hint: BOXUTILS_MODE is how the tools of a chain tell each other their mode: unset it\n"
    );
    assert_eq!(output.status.code(), Some(125));
}
