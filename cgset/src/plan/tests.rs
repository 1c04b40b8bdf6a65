//! What cgset does for what was typed, as text, on machines that are literals.

use super::*;
use crate::group::Group;
use crate::knobs::{Look, device, writes};
use crate::tree::Tree;
use clap::Parser;

fn hierarchy(version: Version, mount: &str, controllers: &[&str]) -> Hierarchy {
    Hierarchy {
        version,
        mount: mount.into(),
        controllers: controllers.iter().map(|name| (*name).into()).collect(),
    }
}

/// A controller a hierarchy.
pub fn one() -> Tree {
    let line = |name: &&str| hierarchy(Version::One, &format!("/cg/{name}"), &[name]);
    Tree { hierarchies: ["cpu", "cpuset", "freezer", "memory", "pids"].iter().map(line).collect() }
}

/// One hierarchy for all.
pub fn two() -> Tree {
    Tree { hierarchies: vec![hierarchy(Version::Two, "/cg", &["cpu", "memory", "pids"])] }
}

/// The facts of a machine on which nothing of the name is there.
fn facts(words: &str, tree: &Tree) -> (Cli, Facts) {
    let cli = Cli::try_parse_from(["cgset"].into_iter().chain(words.split_whitespace())).unwrap();
    let look = Look { devices: device::parse(&cli.device).unwrap(), ..Look::default() };
    let writes = writes(&cli, &cli.files().unwrap(), tree, &look).unwrap();
    let program = (!cli.program.is_empty()).then(|| chain::Program::later(cli.program.clone()));
    let carriers = crate::facts::carriers(tree, &writes);
    let group = cli.group().unwrap();
    let labels = cli.labels().unwrap();
    (cli, Facts { group, writes, carriers, labels, is_root: true, program, ..Facts::default() })
}

pub fn story(words: &str, tree: &Tree) -> Vec<String> {
    let (cli, facts) = facts(words, tree);
    plan(&cli, facts).unwrap().story()
}

/// With a group of that name in every hierarchy that is used.
pub fn with_group(
    words: &str,
    tree: &Tree,
    mark: Option<Mark>,
    members: &[u32],
    children: &[&str],
) -> (Cli, Facts) {
    let (cli, mut facts) = facts(words, tree);
    if cli.action() != Action::Set {
        facts.carriers.clone_from(&tree.hierarchies);
    }
    facts.everywhere.clone_from(&facts.carriers);
    facts.groups = facts
        .carriers
        .iter()
        .map(|one| Group {
            directory: one.mount.join(&facts.group),
            mark,
            members: members.into(),
            children: children.iter().map(|name| (*name).into()).collect(),
        })
        .collect();
    (cli, facts)
}

pub fn refusal(given: (Cli, Facts)) -> String {
    plan(&given.0, given.1).unwrap_err().to_string()
}

fn made(directory: &str, mark: &str) -> String {
    format!("mkdir(\"{directory}\", 0755)\nsetxattr(\"{directory}\", \"trusted.boxutils\", \"{mark}\")")
}

#[test]
fn version_1_makes_the_group_where_it_is_limited_counted_and_stopped() {
    assert_eq!(
        story("--memory 1M web -- true", &one()),
        [
            made("/cg/pids/web", "group"),
            made("/cg/freezer/web", "group"),
            made("/cg/memory/web", "group"),
            "write(\"/cg/memory/web/memory.limit_in_bytes\", \"1048576\")".into(),
            "write(\"/cg/memory/web/memory.memsw.limit_in_bytes\", \"1048576\")".into(),
            "write(\"/cg/pids/web/tasks\", \"0\")\nwrite(\"/cg/freezer/web/tasks\", \"0\")\nwrite(\"/cg/memory/web/tasks\", \"0\")".into(),
        ]
    );
}

#[test]
fn version_2_makes_it_once_and_enables_what_is_missing_from_the_top_down() {
    assert_eq!(
        story("--memory 1M lab/web -- true", &two()),
        [
            "write(\"/cg/cgroup.subtree_control\", \"+memory +pids\")".into(),
            made("/cg/lab", "parent"),
            "write(\"/cg/lab/cgroup.subtree_control\", \"+memory +pids\")".into(),
            made("/cg/lab/web", "group"),
            "write(\"/cg/lab/web/memory.max\", \"1048576\")".into(),
            "write(\"/cg/lab/web/memory.swap.max\", \"0\")".into(),
            "write(\"/cg/lab/web/cgroup.procs\", \"0\")".into(),
        ]
    );
    let (cli, mut some) = facts("--memory 1M web", &two());
    some.enabled.insert("/cg".into(), vec!["memory".into(), "cpu".into()]);
    assert_eq!(plan(&cli, some).unwrap().story()[0], "write(\"/cg/cgroup.subtree_control\", \"+pids\")");
    let (cli, mut all) = facts("--memory 1M web", &two());
    all.enabled.insert("/cg".into(), vec!["memory".into(), "pids".into()]);
    assert_eq!(plan(&cli, all).unwrap().story()[0], made("/cg/web", "group"));
}

#[test]
fn a_machine_with_both_is_used_as_it_is() {
    let mut tree = one();
    tree.hierarchies.push(hierarchy(Version::Two, "/cg/unified", &["hugetlb"]));
    assert!(!story("--pids 5 web -- true", &tree).iter().any(|call| call.contains("unified")));
    let both = story("web hugetlb.2MB.max=0 -- true", &tree);
    assert!(both.contains(&made("/cg/unified/web", "group")));
    assert!(both.last().unwrap().ends_with("write(\"/cg/unified/web/cgroup.procs\", \"0\")"));
}

#[test]
fn without_a_program_nobody_joins() {
    assert_eq!(story("--pids 5 web", &one()).last().unwrap(), "write(\"/cg/pids/web/pids.max\", \"5\")");
}

#[test]
fn transient_waits_says_how_it_went_and_removes() {
    let calls = story("--transient --memory 1M web -- true", &one());
    let fork = calls.iter().position(|call| call == "clone(SIGCHLD)").unwrap();
    assert_eq!(
        calls[fork + 1..],
        [
            "write(\"/cg/pids/web/tasks\", \"0\")\nwrite(\"/cg/freezer/web/tasks\", \"0\")\nwrite(\"/cg/memory/web/tasks\", \"0\")",
            "read(\"/cg/memory/web/memory.oom_control\")",
            "kill({each of \"/cg/pids/web/cgroup.procs\" and below}, SIGKILL)",
            "rmdir(\"/cg/pids/web\")\nrmdir(\"/cg/freezer/web\")\nrmdir(\"/cg/memory/web\")",
        ]
    );
    // In every hierarchy, and before the mark is there to be seen.
    for (at, name) in ["pids", "freezer", "memory"].iter().enumerate() {
        let made = made(&format!("/cg/{name}/web"), "transient");
        let (mkdir, mark) = made.split_once('\n').unwrap();
        assert_eq!(calls[at], format!("{mkdir}\nflock(\"/cg/{name}/web\", LOCK_EX|LOCK_NB)\n{mark}"));
    }
    // Where memory has no limit, none can have been reached.
    assert!(!story("--transient web -- true", &one()).iter().any(|call| call.contains("oom")));
}

#[test]
fn in_version_2_the_child_is_born_in_the_group() {
    let calls = story("--transient web -- true", &two());
    assert!(
        calls.contains(&"clone3({CLONE_INTO_CGROUP, SIGCHLD, cgroup=\"/cg/web\"})".to_string()),
        "{calls:?}"
    );
    assert!(!calls.iter().any(|call| call.contains("cgroup.procs\", \"0\"")));
}

#[test]
fn what_was_left_behind_is_removed_first_and_what_is_in_use_or_anothers_is_not() {
    let (cli, left) = with_group("--transient web -- true", &one(), Some(Mark::Transient), &[], &[]);
    assert_eq!(plan(&cli, left).unwrap().story()[0], "rmdir(\"/cg/pids/web\")\nrmdir(\"/cg/freezer/web\")");
    let words = "--transient web -- true";
    assert!(refusal(with_group(words, &one(), None, &[], &[])).starts_with(
        "\"web\": this group is there already, and not of cgset's making\nhint: --transient would remove it"
    ));
    assert!(
        refusal(with_group(words, &one(), Some(Mark::Transient), &[7, 8], &[]))
            .starts_with("\"web\": these processes are in it: 7, 8\nhint: choose another name")
    );
    assert!(
        refusal(with_group(words, &one(), Some(Mark::Group), &[], &["inner"]))
            .starts_with("\"web\": there are groups in it: inner")
    );
    // Without --transient it is joined, whoever made it.
    let (cli, theirs) = with_group("web -- true", &one(), None, &[7], &[]);
    assert!(plan(&cli, theirs).is_ok());
}

#[test]
fn a_new_cpuset_begins_with_what_is_around_it() {
    let (cli, mut facts) = facts("--cpuset 1 web", &one());
    facts.cpuset = Some(("0-3".into(), "0".into()));
    let calls = plan(&cli, facts).unwrap().story();
    let at = |text: &str| calls.iter().position(|call| call == text).unwrap();
    assert!(
        at("write(\"/cg/cpuset/web/cpuset.mems\", \"0\")")
            < at("write(\"/cg/cpuset/web/cpuset.cpus\", \"1\")")
    );
    assert!(
        at("write(\"/cg/cpuset/web/cpuset.cpus\", \"0-3\")")
            < at("write(\"/cg/cpuset/web/cpuset.cpus\", \"1\")")
    );
    assert!(!story("--pids 1 web", &one()).iter().any(|call| call.contains("cpuset")));
}

#[test]
fn values_of_a_group_that_is_there_are_put_back_when_a_later_one_is_refused() {
    let (cli, mut facts) = with_group("--pids 5 web", &one(), Some(Mark::Group), &[], &[]);
    facts.values.insert("/cg/pids/web/pids.max".into(), "7".into());
    let plan = plan(&cli, facts).unwrap();
    assert!(
        format!("{:?}", plan.steps.last().unwrap())
            .contains("undo: Some(WriteKnob { path: \"/cg/pids/web/pids.max\", value: \"7\"")
    );
}

#[test]
fn memory_and_swap_are_written_in_an_order_the_kernel_takes() {
    let order = |words: &str, now: &str| {
        let (cli, mut facts) = facts(words, &one());
        facts.values.insert("/cg/memory/web/memory.memsw.limit_in_bytes".into(), now.into());
        let calls = plan(&cli, facts).unwrap().story();
        let place = |file: &str| calls.iter().position(|call| call.contains(file)).unwrap();
        place("memory.memsw") < place("memory.limit")
    };
    assert!(order("--memory 2M web", "1048576"), "larger: the sum first");
    assert!(!order("--memory 1M web", "2097152"), "smaller: the sum last");
    assert!(order("--memory max web", "1048576"));
}

#[test]
fn leaf_moves_who_is_in_the_way() {
    let crowded = |words: &str| {
        let (cli, mut facts) = facts(words, &two());
        facts.groups.push(Group {
            directory: "/cg/lab".into(),
            mark: None,
            members: vec![7],
            children: Vec::new(),
        });
        plan(&cli, facts).unwrap().story()
    };
    let moved = crowded("--leaf rest lab/web");
    assert_eq!(moved[1], made("/cg/lab/rest", "group"));
    assert_eq!(moved[2], "write(\"/cg/lab/rest/cgroup.procs\", {each of \"/cg/lab/cgroup.procs\"})");
    assert!(moved[3].starts_with("write(\"/cg/lab/cgroup.subtree_control\""));
    assert!(!crowded("lab/web").iter().any(|call| call.contains("{each of")));
}

#[test]
fn only_what_cgset_made_and_nobody_uses_is_removed() {
    let (cli, ours) = with_group("--remove web", &two(), Some(Mark::Group), &[], &[]);
    assert_eq!(plan(&cli, ours).unwrap().story(), ["rmdir(\"/cg/web\")"]);
    assert!(
        refusal(with_group("--remove web", &two(), None, &[], &[]))
            .starts_with("\"web\": this group is not of cgset's making")
    );
    assert!(
        refusal(with_group("--remove web", &two(), Some(Mark::Group), &[9], &[]))
            .starts_with("\"web\": these processes are in it: 9")
    );
    assert!(
        refusal(with_group("--remove web", &two(), Some(Mark::Group), &[], &["a"]))
            .starts_with("\"web\": there are groups in it: a")
    );
    assert!(story("--remove web", &two()).is_empty());
}

#[test]
fn looking_takes_a_group_that_is_there() {
    let (cli, mut nowhere) = facts("--procs web", &two());
    nowhere.carriers.clear();
    assert!(refusal((cli, nowhere)).starts_with("\"web\": there is no such group"));
    let (cli, there) = with_group("--freeze web", &two(), None, &[], &[]);
    assert_eq!(plan(&cli, there).unwrap().story(), ["write(\"/cg/web/cgroup.freeze\", \"1\")"]);
    let (cli, there) = with_group("--thaw web", &one(), None, &[], &[]);
    assert_eq!(plan(&cli, there).unwrap().story(), ["write(\"/cg/freezer/web/freezer.state\", \"THAWED\")"]);
}

#[test]
fn gc_removes_what_was_found_and_nothing_else() {
    let (cli, mut facts) = (Cli::try_parse_from(["cgset", "--gc"]).unwrap(), Facts::default());
    assert!(plan(&cli, Facts::default()).unwrap().story().is_empty());
    facts.carriers = two().hierarchies;
    facts.leftovers.push(Group {
        directory: "/cg/x".into(),
        mark: Some(Mark::Transient),
        members: Vec::new(),
        children: Vec::new(),
    });
    assert_eq!(plan(&cli, facts).unwrap().story(), ["rmdir(\"/cg/x\")"]);
}

#[test]
fn labels_are_set_wherever_the_group_is_before_its_program_runs() {
    let calls = story("--transient --label image=/a --label b= web -- true", &one());
    let set = |key: &str, value: &str| {
        let line = |name| format!("setxattr(\"/cg/{name}/web\", \"trusted.boxutils.{key}\", \"{value}\")");
        [line("pids"), line("freezer")].join("\n")
    };
    let at = |text: &str| calls.iter().position(|call| call == text);
    let (image, b) = (at(&set("image", "/a")).unwrap(), at(&set("b", "")).unwrap());
    assert!(image < b && b < at("clone(SIGCHLD)").unwrap(), "{calls:?}");
}

#[test]
fn labels_of_a_group_that_is_there_are_put_back_and_it_has_to_be_cgsets() {
    let (cli, mut there) = with_group("--label a=2 --label b=2 web", &two(), Some(Mark::Group), &[], &[]);
    let old = vec![crate::label::Label { key: "a".into(), value: b"1".into() }];
    there.labelled.insert("/cg/web".into(), old);
    let plan = format!("{:?}", plan(&cli, there).unwrap().steps);
    assert!(
        plan.contains("undo: Some(SetLabel { key: \"a\", values: [(\"/cg/web\", Some([49]))] })"),
        "{plan}"
    );
    assert!(plan.contains("undo: Some(SetLabel { key: \"b\", values: [(\"/cg/web\", None)] })"), "{plan}");
    assert!(refusal(with_group("--label a=2 web", &two(), None, &[], &[])).starts_with(
        "\"web\": this group is there already, and not of cgset's making\nhint: labels are for"
    ));
    let (cli, facts) = facts("--label a=2 web", &two());
    assert!(
        refusal((cli, Facts { is_root: false, ..facts })).starts_with("--label: only root may label a group")
    );
}

#[test]
fn the_tree_is_read_in_every_hierarchy_the_group_is_in() {
    let (cli, there) = with_group("--tree web", &two(), None, &[], &[]);
    assert_eq!(plan(&cli, there).unwrap().story(), ["read({cgroup.procs of every group in \"/cg/web\"})"]);
    let (cli, mut nowhere) = facts("--tree web", &two());
    nowhere.carriers.clear();
    assert!(refusal((cli, nowhere)).starts_with("\"web\": there is no such group"));
}

#[test]
fn each_process_is_moved_by_itself_into_every_hierarchy_of_the_group_and_back_on_failure() {
    let (cli, mut there) = with_group("--move 7 --move 8 web", &two(), None, &[], &[]);
    let found = |process, home| Found { process, handle: None, homes: vec![home] };
    there.found = vec![found(7, Some("/cg/old".into())), found(8, None)];
    let plan = plan(&cli, there).unwrap();
    assert_eq!(
        plan.story(),
        ["write(\"/cg/web/cgroup.procs\", \"7\")", "write(\"/cg/web/cgroup.procs\", \"8\")"]
    );
    assert!(
        format!("{:?}", plan.steps[0])
            .contains("undo: Some(MoveProcess { found: Found { process: 7, handle: None, homes: [] }, groups: [\"/cg/old\"] })")
    );
}

mod limits;
