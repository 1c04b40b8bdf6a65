//! The pivot binary as it is typed: help, refusals, and the dry run as text. Nothing here needs root.

#[path = "../../../tests/cli.rs"]
mod cli;
mod dry_run;

use cli::{is_one_screen, is_refused, names_as_much, run, stderr, stdout};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An empty directory of one test, removed when it ends.
struct Directory(PathBuf);

impl Directory {
    /// `name` is the test's own.
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("boxutils-pivot-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("root/bin")).expect("a directory is made");
        Directory(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Runs pivot in it, with an environment of PATH alone.
    fn pivot<W: AsRef<OsStr>>(&self, words: &[W]) -> Output {
        run(Command::new(env!("CARGO_BIN_EXE_pivot")).args(words).current_dir(self.path()).env_clear())
    }

    /// Runs `words` and expects a refusal with this text, nothing on stdout, and 125.
    fn refused(&self, words: &[&str], text: &str) {
        is_refused(&self.pivot(words), words, 125, text);
    }

    /// The script of a dry run, which must say nothing else.
    fn script<W: AsRef<OsStr> + std::fmt::Debug>(&self, words: &[W]) -> Vec<u8> {
        let output = self.pivot(words);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{words:?}");
        output.stdout
    }

    /// How the script of a dry run of `words` starts the program: what follows `--shell=`.
    fn program(&self, words: &[&str]) -> String {
        let script = String::from_utf8(self.script(words)).expect("UTF-8");
        let (_, program) = script.split_once(" --shell=").expect("capsh starts the program");
        program.split_once(" 3<&-\n").expect("the line ends").0.to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_short_help_is_one_screen_and_names_at_most_24_options() {
    is_one_screen(&Directory::new("short").pivot(&["-h"]));
}

#[test]
fn the_long_help_names_every_option_of_the_short_one_and_the_version_is_the_packages() {
    let here = Directory::new("long");
    names_as_much(&here.pivot(&["-h"]), &here.pivot(&["--help"]));
    assert_eq!(stdout(&here.pivot(&["--version"])), format!("pivot {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_typed_wrong_is_said_in_two_lines() {
    let here = Directory::new("usage");
    let hint = "pivot: hint: pivot --help lists what it takes\n";
    let cases: [(&[&str], &str); 7] = [
        (&[], "the following required arguments were not provided: <ROOT>..."),
        (&["--nope", "root"], "unexpected argument '--nope' found"),
        (&["-x", "root"], "unexpected argument '-x' found"),
        (&["--bind"], "a value is required for '--bind <SRC:DST[:OPT,…]>' but none was supplied"),
        (&["--keep-fd", "x", "root"], "invalid value 'x' for '--keep-fd <N>': invalid digit found in string"),
        (
            &["--read-only=yes", "root"],
            "unexpected value 'yes' for '--read-only' found; no more were expected",
        ),
        (&["--dry-run", "--explain", "root"], "the argument '--dry-run' cannot be used with '--explain'"),
    ];
    for (words, what) in cases {
        here.refused(words, &format!("pivot: {what}\n{hint}"));
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let here = Directory::new("conflicts");
    let bare: [&[&str]; 7] = [
        &["--privileged"],
        &["--userns", "auto"],
        &["--user", "0"],
        &["--cap-add", "KILL"],
        &["--cap-drop", "KILL"],
        &["--env", "A=b"],
        &["--keep-fd", "3"],
    ];
    let privileged: [&[&str]; 3] = [&["--userns", "auto"], &["--cap-add", "KILL"], &["--cap-drop", "KILL"]];
    let all = bare
        .map(|words| ("--bare", words))
        .into_iter()
        .chain(privileged.map(|words| ("--privileged", words)));
    for (option, others) in all {
        let words = [&[option], others, &["--dry-run", "root"]].concat();
        let output = here.pivot(&words);
        assert_eq!(output.status.code(), Some(125), "{words:?}");
        assert!(stderr(&output).contains("cannot be used with"), "{words:?}: {}", stderr(&output));
    }
    assert_eq!(here.pivot(&["--bare", "--read-only", "--dry-run", "root"]).status.code(), Some(0));
    assert_eq!(here.pivot(&["--privileged", "--read-only", "--dry-run", "root"]).status.code(), Some(0));
}

#[test]
fn values_are_checked_before_anything_is_done() {
    let here = Directory::new("values");
    let bind = "pivot: hint: write --bind SOURCE:DST[:OPTION,…], DST from the new root's /\n";
    let tmpfs = "pivot: hint: write --tmpfs DST[:OPTION,…], DST from the new root's /\n";
    for (value, what) in [
        ("root", "no DST"),
        (":/x", "the source is empty"),
        ("root:x", "DST is not an absolute path below /, or holds .."),
        ("root:/", "DST is not an absolute path below /, or holds .."),
        ("root:", "DST is not an absolute path below /, or holds .."),
        ("root:/a/../b", "DST is not an absolute path below /, or holds .."),
        ("root:/x:foo", "\"foo\" is no option of it"),
        ("root:/x:size=1M", "\"size=1M\" is no option of it"),
        ("root:/x:idmap", "\"idmap\" is no option of it"),
        ("root:/x:ro:y", "more than three fields"),
    ] {
        here.refused(&["--bind", value, "root"], &format!("pivot: --bind \"{value}\": {what}\n{bind}"));
    }
    for (value, what) in [
        ("x", "DST is not an absolute path below /, or holds .."),
        ("/x:foo=1", "\"foo=1\" is no option of it"),
        ("/x:ro:y", "more than three fields"),
    ] {
        here.refused(&["--tmpfs", value, "root"], &format!("pivot: --tmpfs \"{value}\": {what}\n{tmpfs}"));
    }
    for value in ["=x", ""] {
        here.refused(
            &["--env", value, "root"],
            &format!("pivot: --env \"{value}\": no name\npivot: hint: write --env NAME=VALUE, or --env NAME to keep the caller's\n"),
        );
    }
    here.refused(&["--cap-add", "FLY", "root"], "pivot: FLY is no capability: see capabilities(7)\n");
    here.refused(
        &["--userns", "0:9", "root"],
        "pivot: --userns 0:9: the map would hold the host's root\npivot: hint: begin above 0, as in --userns 100000:65536\n",
    );
    here.refused(
        &["--user", "1x", "root"],
        "pivot: --user 1x: \"1x\" is neither a name nor a number below 4294967295\npivot: hint: a number is taken as it is, and a name begins with a letter and stands in the new root's /etc/passwd\n",
    );
    here.refused(
        &["--keep-fd", "77", "root"],
        "pivot: --keep-fd 77: Bad file descriptor (EBADF)\npivot: hint: open it for pivot, as the shell does with 77<FILE or 77>FILE\n",
    );
    here.refused(
        &["none"],
        "pivot: stat(\"none\"): No such file or directory (ENOENT)\npivot: while: look at what shall become the root\npivot: hint: ROOT is a directory, an image or a block device: mkimg --from DIR IMG makes an image\n",
    );
}

#[test]
fn a_mode_none_of_our_tools_writes_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pivot"));
    let output = command.args(["/", "true"]).env("BOXUTILS_MODE", "moon").output().expect("it starts");
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(
        stderr(&output),
        "pivot: BOXUTILS_MODE=moon: not a mode\npivot: hint: BOXUTILS_MODE is how the tools of a chain tell each other their mode: unset it\n"
    );
}

#[test]
fn options_stop_at_root_and_the_rest_is_the_programs() {
    let here = Directory::new("stop");
    let same: [&[&str]; 4] = [
        &["--dry-run", "root", "/bin/ls", "-l"],
        &["--dry-run", "root", "--", "/bin/ls", "-l"],
        &["--dry-run", "--", "root", "/bin/ls", "-l"],
        &["--dry-run", "--", "root", "--", "/bin/ls", "-l"],
    ];
    for words in same {
        assert_eq!(here.program(words), "/bin/ls -- -l", "{words:?}");
    }
    assert_eq!(
        here.program(&["--dry-run", "root", "/bin/ls", "--", "--read-only"]),
        "/bin/ls -- -- --read-only"
    );
    assert_eq!(here.program(&["--dry-run", "root"]), "/bin/sh --");
    assert_eq!(
        here.program(&["--dry-run", "--workdir", "/tmp", "root", "ls"]),
        "/bin/sh -- -c 'cd \"$1\" && shift && exec \"$@\"' sh /tmp ls"
    );
    // An option after ROOT is the program's affair, the dry run too.
    assert_eq!(here.pivot(&["root", "/bin/ls", "--dry-run"]).stdout, b"");
}

#[test]
fn words_that_are_not_utf_8_go_through_as_they_are() {
    let here = Directory::new("bytes");
    let bytes = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    std::fs::create_dir(here.path().join(bytes(b"r\xff"))).expect("a directory is made");
    let script = here.script(&[
        bytes(b"--dry-run"),
        bytes(b"--env"),
        bytes(b"A=\xfe"),
        bytes(b"r\xff"),
        bytes(b"/bin/\xfd"),
        bytes(b"\xfc\n'"),
    ]);
    for part in
        [&b"mount --rbind 'r\xff' 'r\xff'\n"[..], b"'A=\xfe'", b"--shell='/bin/\xfd' -- '\xfc\n'\\'''"]
    {
        assert!(script.windows(part.len()).any(|window| window == part), "{}", part.escape_ascii());
    }
    let refused = here.pivot(&[bytes(b"n\xff")]);
    assert!(stderr(&refused).starts_with("pivot: stat(\"n\\xff\"): No such file or directory (ENOENT)\n"));
    // The name of an option is text.
    assert_eq!(here.pivot(&[bytes(b"--\xff"), bytes(b"root")]).status.code(), Some(125));
}
