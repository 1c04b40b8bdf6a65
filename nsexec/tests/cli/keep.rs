//! Keeping, listing and forgetting namespaces, and clocks, as they are typed.

use super::{nsexec, refused, stderr, stdout};

#[test]
fn whoever_lists_or_forgets_does_nothing_else() {
    for option in ["--all", "-r", "--time", "--keep=d", "--pid-file=p", "--ready-fd=9", "--uts=7", "--no-lo"]
    {
        for errand in [["--list"].as_slice(), &["--forget", "d"]] {
            let output = nsexec(&[errand, &[option]].concat());
            let said = stderr(&output);
            assert!(said.contains("cannot be used with"), "{errand:?} {option}: {said}");
            assert_eq!(output.status.code(), Some(125));
        }
    }
    let output = nsexec(&["--forget", "/nosuch"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_is_made() {
    refused(
        &["--keep", "/nosuch/box", "--net", "true"],
        125,
        "nsexec: --keep \"/nosuch/box\": No such file or directory (ENOENT)\n\
         nsexec: hint: it takes a directory, or the name of one to be in a directory that exists\n",
    );
    refused(
        &["--keep", "/dev/null", "--net", "true"],
        125,
        "nsexec: --keep \"/dev/null\": Not a directory (ENOTDIR)\n\
         nsexec: hint: the namespaces become files of a directory, one for each kind\n",
    );
    let joining = stderr(&nsexec(&["--keep", "/tmp/nsexec-nosuch", "--join", "1", "true"]));
    assert!(joining.contains("cannot be used with"), "{joining}");
    refused(
        &["--keep", "/tmp/nsexec-nosuch", "true"],
        125,
        "nsexec: --keep \"/tmp/nsexec-nosuch\": there is no new namespace to keep\n\
         nsexec: hint: add --net, --uts, ...: a bare option makes one\n",
    );
}

#[test]
fn the_dry_run_of_keeping_binds_from_outside() {
    let output = nsexec(&["--dry-run", "--keep", "/tmp/nsexec-nosuch", "--uts", "--", "true"]);
    assert_eq!(
        stdout(&output),
        "\
# a place for the names
mkdir -m 755 /tmp/nsexec-nosuch
# a mount of its own for what is to be mounted in it, with a propagation of its own
mount --bind /tmp/nsexec-nosuch /tmp/nsexec-nosuch
# what others get copies of is no place for a mount namespace, and copies would keep the rest
mount --make-private /tmp/nsexec-nosuch
# a namespace is mounted on a file
install -m 0 /dev/null /tmp/nsexec-nosuch/uts
# what is to be kept is mounted from outside, by a process that does not go in
# mounted it outlives its processes, and has a name
# a host name of its own: a copy to begin with
exec unshare --uts=/tmp/nsexec-nosuch/uts sh -e /dev/fd/3 3<<'END_nsexec'
# become the program: same process, same number, another life
exec true 3<&-
END_nsexec
"
    );
}

#[test]
fn the_dry_run_of_clocks_is_in_whole_seconds_or_ends() {
    let script = |words: &[&str]| stdout(&nsexec(&[&["--dry-run", "--time"], words, &["true"]].concat()));
    assert!(script(&["--boottime", "-5"]).contains("exec unshare --time --boottime=-5 sh "));
    assert!(script(&["--monotonic=1.5"]).contains("exit 125\n"));
}
