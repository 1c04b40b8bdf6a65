//! What the tests of the tools as they are typed share: how a tool is run, and what every tool keeps. Each crate's tests/cli
//! has it as a module of its own.

use std::process::{Command, Output};

/// Runs a tool that is the first of its chain, with the PATH of any machine, and waits for its end.
pub fn run(command: &mut Command) -> Output {
    command
        .env_remove("BOXUTILS_MODE")
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .output()
        .expect("it starts")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Asserts that `words` were refused with this text, nothing on stdout, and this status.
pub fn is_refused(output: &Output, words: &[&str], status: i32, wanted: &str) {
    assert_eq!(stderr(output), wanted, "{words:?}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{words:?}");
}

/// Asserts that a short help is one screen, and names at most 24 options.
pub fn is_one_screen(output: &Output) {
    assert_eq!((output.status.code(), stderr(output).as_str()), (Some(0), ""));
    let text = stdout(output);
    let options = text.lines().filter(|line| line.trim_start().starts_with('-')).count();
    assert!((12..=24).contains(&options), "{options} options");
    assert!(text.lines().count() <= 48, "{} lines", text.lines().count());
}

/// Asserts that a long help names every option of the short one, says more, and ends with examples.
pub fn names_as_much(short: &Output, long: &Output) {
    assert_eq!((long.status.code(), stderr(long).as_str()), (Some(0), ""));
    let (short, long) = (stdout(short), stdout(long));
    let options = |text: &str| {
        let words = text.split_whitespace().filter(|word| word.starts_with("--"));
        words.map(|word| word.split(['[', '=']).next().unwrap_or(word).to_owned()).collect::<Vec<_>>()
    };
    assert!(!options(&short).is_empty(), "{short}");
    for option in options(&short) {
        assert!(options(&long).contains(&option), "{option}");
    }
    assert!(long.len() > short.len() && long.contains("Examples:\n"), "{long}");
}
