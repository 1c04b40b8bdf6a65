//! Limits that are more than a file with a value.

use super::*;

/// With the words of --device split at no blank.
fn with_devices(rules: &[&str], tree: &Tree) -> (Cli, Facts) {
    let (_, mut facts) = with_group("web", tree, Some(Mark::Group), &[], &[]);
    let cli = Cli { device: rules.iter().map(Into::into).collect(), ..Cli::default() };
    let look = Look { devices: device::parse(&cli.device).unwrap(), ..Look::default() };
    facts.writes = writes(&cli, &[], tree, &look).unwrap();
    (cli, facts)
}

#[test]
fn device_rules_of_version_2_take_the_place_of_those_before() {
    let told = |rules: &[&str], before: Option<u32>| {
        let (cli, mut facts) = with_devices(rules, &two());
        facts.device_program = before;
        let plan = plan(&cli, facts).unwrap();
        (
            plan.story().last().unwrap().clone(),
            format!("{:?}", plan.steps.last()).contains("undo: Some(RestoreDevices"),
        )
    };
    let load = "bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt=13, insns={c 1:3 rwm}, prog_name=\"boxutils_device\"})\n";
    let attach = "bpf(BPF_PROG_ATTACH, {target_fd=\"/cg/web\", attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI";
    assert_eq!(told(&["c 1:3"], None), (format!("{load}{attach}}})"), true));
    assert_eq!(
        told(&["c 1:3"], Some(7)),
        (format!("{load}{attach}|BPF_F_REPLACE, replace_bpf_fd={{id 7}}}})"), true)
    );
    let detach = "bpf(BPF_PROG_DETACH, {target_fd=\"/cg/web\", attach_type=BPF_CGROUP_DEVICE})";
    assert_eq!(told(&["a"], Some(7)), (detach.into(), true));
    assert_eq!(told(&["a"], None).0, made("/cg/web", "group"), "nothing of ours is there");
}

#[test]
fn a_device_that_is_allowed_now_is_denied_again_when_a_later_step_fails() {
    let mut tree = one();
    tree.hierarchies.push(hierarchy(Version::One, "/cg/devices", &["devices"]));
    let undone = |is_new: bool| {
        let (cli, mut facts) = with_devices(&["c 1:3 r"], &tree);
        facts.carriers = crate::facts::carriers(&tree, &facts.writes);
        if !is_new {
            let directory = "/cg/devices/web".into();
            facts.groups.push(Group { directory, mark: None, members: Vec::new(), children: Vec::new() });
        }
        format!("{:?}", plan(&cli, facts).unwrap().steps.last().unwrap())
    };
    let undo = "undo: Some(WriteKnob { path: \"/cg/devices/web/devices.deny\", value: \"c 1:3 r\", if_there: true })";
    assert!(undone(false).contains(undo), "{}", undone(false));
    assert!(undone(true).contains("undo: None"), "a new group goes itself");
}

#[test]
fn where_disks_are_limited_in_version_2_written_pages_are_counted_too() {
    let tree = Tree { hierarchies: vec![hierarchy(Version::Two, "/cg", &["io", "memory", "pids"])] };
    let calls = story("web io.max=8:0.wbps", &tree);
    assert_eq!(calls[0], "write(\"/cg/cgroup.subtree_control\", \"+io +memory +pids\")");
}

#[test]
fn a_limit_for_a_group_that_goes_with_its_program_goes_with_it() {
    let transient = |words: &str, mark| {
        let (cli, mut there) = with_group(words, &one(), Some(mark), &[7], &[]);
        there.carriers.clone_from(&one().hierarchies);
        plan(&cli, there).unwrap().story().iter().any(|call| call.contains("\"transient\""))
    };
    assert!(transient("--memory 1M web", Mark::Transient));
    assert!(!transient("--memory 1M web", Mark::Group) && !transient("--memory 1M web", Mark::Parent));
}
