//! Joining a process, as it is typed.

use super::{nsexec, refused, run, stderr, stdout};
use std::process::Command;

#[test]
fn joining_takes_the_number_of_another_process() {
    let hint = "nsexec: hint: the PID of one of the processes to be with; --net=FILE and the like join what is bound on a file\n";
    for word in ["0", "web", "-1", ""] {
        let text = format!("nsexec: --join {word:?}: not a process number\n{hint}");
        refused(&[&format!("--join={word}"), "--", "true"], 125, &text);
    }
    let text = "nsexec: --init without a new PID namespace: process 1 is there already\n\
                nsexec: hint: add --pid: the reaper is the first process born in it\n";
    refused(&["--init", "--", "true"], 125, text);
}

#[test]
fn a_process_in_our_own_namespaces_is_joined_where_it_is() {
    let own = std::process::id().to_string();
    let words = ["--join", &own, "--", "sh", "-c", "pwd -P; echo $HOME$SECRET; cat /proc/self/comm"];
    let output = run(Command::new(env!("CARGO_BIN_EXE_nsexec"))
        .args(words)
        .current_dir("/")
        .env("SECRET", "canary")
        .env("HOME", "/nowhere"));
    let here = std::env::current_dir().unwrap();
    let said = stdout(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[2]), (here.to_str().unwrap(), "cat"), "{}", stderr(&output));
    assert!(["/", "/root"].contains(&lines[1]), "{said}");
    let script = stdout(&nsexec(&["--dry-run", "--join", &own, "--", "true"]));
    assert!(script.contains(&format!("nsenter --wd=/proc/{own}/cwd true\n")), "{script}");
}

#[test]
fn the_help_says_whose_number_is_told_where_there_is_a_reaper() {
    let help = stdout(&nsexec(&["--help"]));
    for option in ["--ready-fd <N>", "--pid-file <FILE>"] {
        let about = help.split(option).nth(1).unwrap().trim_start();
        assert!(about.starts_with("Write the program's PID (with --init the reaper's) to "), "{about}");
    }
}
