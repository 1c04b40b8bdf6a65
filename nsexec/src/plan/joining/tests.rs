//! How processes that are literals are joined, as text.

use super::*;
use crate::status::Status;
use chain::Capabilities;
use clap::Parser;
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::OwnedFd;

const ALL: CapSet = CapSet::ALL;
/// What a confined process of these tests has: CAP_CHOWN.
const SOME: CapSet = CapSet(1);

fn status(uid: u32, permitted: CapSet, bounding: CapSet) -> Status {
    let nothing = CapSet::NONE;
    Status {
        name: "sh".into(),
        state: 'S',
        process: 7,
        numbers: vec![7],
        uid,
        gid: uid,
        capabilities: Capabilities {
            effective: permitted,
            permitted,
            inheritable: nothing,
            ambient: nothing,
        },
        bounding,
        no_new_privs: false,
        is_kernel_thread: false,
    }
}

fn fd() -> OwnedFd {
    File::open("/").unwrap().into()
}

/// Process 7, root's, as root sees it; it differs in these.
fn process(differs: &[Kind]) -> Process {
    Process {
        number: Pid::from_raw(7),
        pidfds: [fd(), fd()],
        differs: differs.to_vec(),
        root: fd(),
        working_directory: fd(),
        has_another_root: differs.contains(&Kind::Mount),
        groups: Vec::new(),
        frozen: None,
        ids: Some((0, 0)),
        has_our_ids: true,
        keeps_groups: false,
        status: status(0, ALL, ALL),
        own: status(0, ALL, ALL),
        terminal: None,
    }
}

fn cli(words: &str) -> Cli {
    Cli::parse_from("nsexec --join 7".split(' ').chain(words.split_whitespace()))
}

/// The calls after the environment's, the fork as a word.
fn story_of(uid: u32, process: Process) -> Vec<String> {
    let joining = joining(&cli("--keep-env"), uid, process).unwrap();
    let text = |steps: &[Step<Call>]| steps.iter().map(Step::text).collect::<Vec<_>>();
    let fork = joining.forks.then(|| "fork".into());
    text(&joining.before[3..]).into_iter().chain(fork).chain(text(&joining.inside)).collect()
}

const DIRECTORY: &str = "fchdir(open(\"/proc/7/cwd\"))";
const ROOT: &str = "fchdir(open(\"/proc/7/root\"))\nchroot(\".\")\nfchdir(open(\"/proc/7/cwd\"))";

#[test]
fn what_is_ours_already_is_not_joined() {
    assert_eq!(story_of(0, process(&[])), ["setgroups(0, [])", DIRECTORY]);
    assert_eq!(story_of(1000, process(&[])), [DIRECTORY]);
    let chrooted = Process { has_another_root: true, ..process(&[]) };
    assert_eq!(story_of(0, chrooted), ["setgroups(0, [])", ROOT]);
}

#[test]
fn a_pid_namespace_is_joined_before_the_fork_and_all_else_after_it() {
    let its = process(&[Kind::Mount, Kind::Net, Kind::Pid]);
    assert_eq!(
        story_of(0, Process { groups: vec!["/g".into()], ..its }),
        [
            "setgroups(0, [])",
            "setns(pidfd_open(7, 0), CLONE_NEWPID)",
            "fork",
            "write(\"/g/cgroup.procs\", \"0\")",
            "setns(pidfd_open(7, 0), CLONE_NEWNS|CLONE_NEWNET)",
            ROOT
        ]
    );
}

#[test]
fn who_is_not_root_joins_the_users_that_own_the_processes_with_them() {
    let its = process(&[Kind::Pid, Kind::User, Kind::Net]);
    let own = status(1000, CapSet::NONE, ALL);
    let story = story_of(1000, Process { own, has_our_ids: true, ..its });
    assert_eq!(
        story[..6],
        [
            "setns(pidfd_open(7, 0), CLONE_NEWPID|CLONE_NEWUSER)",
            "fork",
            "prctl(PR_GET_PDEATHSIG)",
            "setns(pidfd_open(7, 0), CLONE_NEWNET)",
            DIRECTORY,
            "setgroups(0, [])\nsetresgid(0, 0, 0)\nsetresuid(0, 0, 0)"
        ]
    );
}

#[test]
fn the_program_has_no_more_rights_than_the_process_it_joins() {
    let its = Process { status: Status { no_new_privs: true, ..status(0, SOME, SOME) }, ..process(&[]) };
    assert_eq!(
        story_of(0, its)[1..],
        [
            "prctl(PR_GET_PDEATHSIG)",
            DIRECTORY,
            "prctl(PR_CAPBSET_DROP, {all but cap_chown})",
            "capset({effective=cap_chown, permitted=cap_chown, inheritable=none})\nprctl(PR_CAP_AMBIENT, {none})",
            "prctl(PR_SET_NO_NEW_PRIVS, 1)",
            "prctl(PR_SET_PDEATHSIG)"
        ]
    );
}

#[test]
fn whose_death_ends_it_is_noted_by_the_one_that_changes_its_ids_and_before_it_leaves_this_side() {
    let other_ids = |differs: &[Kind]| Process {
        status: status(33, CapSet::NONE, ALL),
        ids: Some((33, 33)),
        has_our_ids: false,
        ..process(differs)
    };
    for differs in [&[Kind::Pid][..], &[Kind::Pid, Kind::Mount], &[Kind::Mount], &[]] {
        let story = story_of(0, other_ids(differs));
        let at = |call: &str| story.iter().position(|other| other.starts_with(call));
        let noted = at("prctl(PR_GET_PDEATHSIG)");
        assert!(noted.is_some() && noted < at("setresgid") && noted < at("fchdir"), "{story:?}");
        assert!(noted > at("fork"), "{story:?}");
        assert!(
            !differs.contains(&Kind::Mount) || noted < at("setns(pidfd_open(7, 0), CLONE_NEWNS"),
            "{story:?}"
        );
    }
    assert!(!story_of(0, process(&[Kind::Mount])).contains(&"prctl(PR_GET_PDEATHSIG)".into()));
}

#[test]
fn what_root_would_get_back_by_an_exec_leaves_the_bounding_set() {
    let its = Process { status: status(0, SOME, ALL), ..process(&[]) };
    assert_eq!(story_of(0, its)[3], "prctl(PR_CAPBSET_DROP, {all but cap_chown})");
    let others = Process {
        status: status(33, CapSet::NONE, ALL),
        ids: Some((33, 33)),
        has_our_ids: false,
        ..process(&[])
    };
    assert_eq!(story_of(0, others)[3], "setresgid(33, 33, 33)\nsetresuid(33, 33, 33)");
}

#[test]
fn of_what_we_have_not_nothing_is_handed_on() {
    let its = Process { own: status(0, SOME, SOME), ..process(&[]) };
    assert_eq!(its.allowed().permitted, SOME);
    let elsewhere = Process { own: status(0, SOME, SOME), ..process(&[Kind::User]) };
    assert_eq!(elsewhere.allowed().permitted, ALL);
}

#[test]
fn the_environment_is_cleared_unless_it_is_to_be_kept() {
    let before = joining(&cli(""), 0, process(&[])).unwrap().before;
    let path = format!("clearenv()\nsetenv(\"PATH\", \"{DEFAULT_PATH}\")\nsetenv(\"HOME\", \"/root\")");
    assert_eq!(before[3].text(), path);
    assert!(!joining(&cli("--keep-env"), 0, process(&[])).unwrap().before[3].text().contains("clearenv"));
}

#[test]
fn what_cannot_be_joined_is_refused_with_the_cure() {
    let frozen = Process { frozen: Some("web".into()), ..process(&[]) };
    let refusal = joining(&cli(""), 0, frozen).err().unwrap().to_string();
    assert!(refusal.starts_with("--join 7: its control group web is frozen"), "{refusal}");
    assert!(refusal.ends_with("cgset --thaw web"), "{refusal}");
    let unmapped = || Process { ids: None, ..process(&[Kind::User]) };
    assert!(joining(&cli(""), 0, Process { has_our_ids: false, ..unmapped() }).is_err());
    assert!(joining(&cli(""), 0, unmapped()).is_ok());
}

#[test]
fn a_second_way_to_a_namespace_is_refused() {
    for words in ["--net", "--net=7", "--all", "-r", "--hostname box", "--mount-proc"] {
        assert!(refuse_contradictions(&cli(words), &process(&[])).is_err(), "{words}");
    }
    assert!(refuse_contradictions(&cli("--ready-fd 5 --pid-file p"), &process(&[])).is_ok());
    assert!(refuse_contradictions(&cli("--pid-file p"), &process(&[Kind::Mount])).is_err());
    assert!(refuse_contradictions(&cli("--pid-file p"), &process(&[Kind::Mount, Kind::Pid])).is_ok());
}

#[test]
fn in_shell_it_is_nsenter_and_setpriv() {
    let its = Process { status: status(0, SOME, SOME), ..process(&[Kind::Mount, Kind::Pid]) };
    let joining = joining(&cli("--keep-env"), 0, its).unwrap();
    let steps = joining.before.iter().chain(&joining.inside);
    let words: Vec<String> = steps
        .filter_map(|step| match step.shell() {
            chain::Shell::Through(words) => {
                Some(words.join(std::ffi::OsStr::new(" ")).into_string().unwrap())
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        words,
        [
            "setpriv --clear-groups",
            "nsenter --target=7 --pid",
            "nsenter --mount",
            "nsenter --root=/proc/7/root --wd=/proc/7/cwd",
            "setpriv --bounding-set=-all,+chown",
            "setpriv --inh-caps=-all --ambient-caps=-all"
        ]
    );
}
