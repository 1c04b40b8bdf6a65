//! What is typed wrong, and the cure that is named for it.

use super::{cgset, refused};

#[test]
fn what_was_typed_wrong_is_named_with_its_cure() {
    refused(
        &["web", "sleep", "10"],
        125,
        "cgset: \"sleep\": not FILE=VALUE\ncgset: hint: put -- before the program\n",
    );
    refused(
        &["memory.max=1"],
        125,
        "cgset: \"memory.max=1\": no GROUP before it\ncgset: hint: the group comes first: cgset GROUP FILE=VALUE\n",
    );
    refused(
        &["../web"],
        125,
        "cgset: \"../web\": leads out of the hierarchy\ncgset: hint: a group is named from its root, without ..\n",
    );
    refused(
        &["/"],
        125,
        "cgset: \"/\": the root of the hierarchy is no group of ours\ncgset: hint: name a group below it, as in web or lab/web\n",
    );
    refused(
        &["web", "=1"],
        125,
        "cgset: \"=1\": not FILE=VALUE\ncgset: hint: name the file before the =, as in memory.max=64M\n",
    );
    refused(
        &["--procs", "web", "memory.max=1"],
        125,
        "cgset: a limit, a label or a file beside an option that writes none\ncgset: hint: set limits in a call of their own: cgset GROUP FILE=VALUE\n",
    );
    refused(
        &["--procs", "--json", "web"],
        125,
        "cgset: --json goes with --stat, --tree and --controllers\ncgset: hint: cgset --stat --json GROUP\n",
    );
    for words in [
        &["--transient", "web"][..],
        &["--freeze", "--thaw", "web"],
        &["--move", "0", "web"],
        &["--move", "x", "web"],
        &["--hierarchy", "cpu"],
        &["--hierarchy", "cpu", "a", "b"],
        &["--hierarchy", "cpu", "--procs", "a"],
        &["--report", "web"],
        &["--report=", "web", "--", "true"],
        &["--report=/nonexistent/report", "web", "--", "true"],
        &["--controllers", "web", "memory.max=1"],
        &["--leaf", "../../out", "a/web"],
        &["--leaf", "/out", "a/web"],
        &["--leaf", "b/c", "a/web"],
        &["--leaf", "", "a/web"],
        &["--procs", "web", "--", "true"],
        &[],
        &["--memroy", "1M", "web"],
    ] {
        assert_eq!(cgset(words).status.code(), Some(125), "{words:?}");
    }
}

#[test]
fn a_program_without_its_dashes_is_told_to_take_them() {
    const CURE: &str = "cgset: hint: put -- before the program\n";
    let plain = "cgset: \"sleep\": not FILE=VALUE\n";
    for words in [
        &["web", "sleep", "1"][..],
        &["--memory", "64M", "web", "sleep", "1"],
        &["web", "--memory", "64M", "memory.high=1M", "sleep", "1"],
        &["--transient", "--memory", "64M", "web", "sleep", "1"],
        &["--report", "web", "sleep", "1"],
        &["--report=used", "--transient", "web", "sleep", "A=1"],
        &["web", "sleep", "-p", "1"],
        &["web", "sleep", "--", "1"],
    ] {
        refused(words, 125, &format!("{plain}{CURE}"));
    }
    let option = "cgset: unexpected argument '-l' found\n";
    for words in [
        &["web", "ls", "-l"][..],
        &["web", "ls", "-la"],
        &["--transient", "web", "memory.max=1M", "env", "A=1", "ls", "-l"],
        &["--pids", "7", "web", "ls", "dir", "-l"],
    ] {
        refused(words, 125, &format!("{option}{CURE}"));
    }
    let value = "cgset: a value is required for '--memory <SIZE>' but none was supplied\n";
    refused(&["web", "grep", "-m"], 125, &format!("{value}{CURE}"));
    let conflict = "cgset: the argument '--kill' cannot be used with '--remove'\n";
    refused(&["web", "git", "--kill", "--remove"], 125, &format!("{conflict}{CURE}"));
}

#[test]
fn what_is_not_a_program_is_not_taken_for_one() {
    let help = "cgset: hint: cgset --help lists what it takes\n";
    for words in [&["web", "-l"][..], &["-l", "web", "memory.max=1"], &["web", "memory.max=1", "-l"]] {
        refused(words, 125, &format!("cgset: unexpected argument '-l' found\n{help}"));
    }
    for option in ["--transient", "--report"] {
        refused(
            &[option, "web", "memory.max=1"],
            125,
            &format!(
                "cgset: {option} waits for a program, and none is named\ncgset: hint: it comes after --: cgset {option} GROUP -- PROG\n"
            ),
        );
    }
    refused(
        &["--", "sleep", "1"],
        125,
        "cgset: the following required arguments were not provided: <GROUP>...\ncgset: hint: the group comes before --: cgset GROUP -- PROG\n",
    );
    for option in ["--kill", "--procs", "--remove"] {
        refused(
            &[option, "web", "other"],
            125,
            "cgset: \"other\": a second group\ncgset: hint: one at a time\n",
        );
    }
    refused(
        &["--move", "12", "13", "web"],
        125,
        "cgset: \"web\": a second group\ncgset: hint: each process takes a --move of its own: --move PID --move PID GROUP\n",
    );
}
