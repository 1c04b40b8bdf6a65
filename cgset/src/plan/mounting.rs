//! A hierarchy of version 1 comes and goes: nothing of anybody else's goes with it.

use crate::call::Call;
use crate::group::listed;
use crate::mark::Mark;
use crate::mounting::MountCall;
use crate::place::{Entries, Place, sorted};
use chain::{Failure, Step, quoted};
use std::path::Path;

fn step(why: &'static str, call: MountCall) -> Step<Call> {
    Step::new(why, Call::Mount(call))
}

/// Mounts it, on a directory that is made if it is missing.
///
/// # Errors
/// Something else is there.
pub fn mount(place: &Place) -> Result<Vec<Step<Call>>, Failure> {
    let directory = place.directory.clone();
    let refused =
        |what: &str, hint: &str| Err(Failure::new(format!("{}: {what}", quoted(&directory))).hint(hint));
    match (&place.mounted, place.entries) {
        (Some((_, controllers)), _) if sorted(controllers.clone()) == place.controllers => {
            return Ok(Vec::new());
        }
        (Some((kind, controllers)), _) if !controllers.is_empty() => {
            return refused(
                &format!("a {kind} hierarchy with {} is mounted there", controllers.join(",")),
                "choose another directory",
            );
        }
        (_, Some(Entries::NoDirectory)) => {
            return refused("not a directory", "a hierarchy is mounted on an empty directory");
        }
        (_, Some(Entries::Some)) => {
            return refused(
                "not empty",
                "what is in it would be hidden: name an empty directory, or a new one",
            );
        }
        _ => {}
    }
    let mut steps = Vec::new();
    if place.entries.is_none() {
        let make = MountCall::MakeDirectory { directory: directory.clone() };
        let remove = MountCall::RemoveDirectory { directory: directory.clone() };
        steps.push(
            step("a file system is seen where it is mounted: on a directory", make).undo(Call::Mount(remove)),
        );
    }
    let controllers = place.controllers.clone();
    let call = MountCall::MountHierarchy { controllers, directory: directory.clone(), is_new: place.is_new };
    let why = match place.is_new {
        true => {
            "a hierarchy is a file system of groups: these controllers are on it together, and every task of the machine begins in its root"
        }
        false => "that hierarchy is there already, and is seen at one more place",
    };
    steps.push(step(why, call).undo(Call::Mount(MountCall::UnmountHierarchy { directory })));
    Ok(steps)
}

/// Takes it away, with the groups cgset made in it; where it is mounted at another place too, it is only not seen here.
///
/// # Errors
/// It is another one, not of cgset's making, or in use.
pub fn unmount(place: &Place) -> Result<Vec<Step<Call>>, Failure> {
    let directory = place.directory.clone();
    let remove_directory =
        || step("the directory was made for it", MountCall::RemoveDirectory { directory: directory.clone() });
    let Some((kind, controllers)) = &place.mounted else {
        let is_ours = place.mark == Some(Mark::Hierarchy) && place.entries == Some(Entries::None);
        return Ok(is_ours.then(remove_directory).into_iter().collect());
    };
    let refused =
        |what: String, hint: &str| Err(Failure::new(format!("{}: {what}", quoted(&directory))).hint(hint));
    if controllers.is_empty() {
        return refused(
            format!("{kind} is mounted there, and no hierarchy of version 1"),
            "umount(8) unmounts anything",
        );
    }
    if sorted(controllers.clone()) != place.controllers {
        let carried = controllers.join(",");
        return refused(
            format!("the hierarchy there carries {carried}"),
            &format!("say so: cgset --hierarchy {carried} --remove DIR"),
        );
    }
    let mut steps = Vec::new();
    let is_last = place.elsewhere.is_empty();
    if is_last {
        refuse_what_is_not_ours(place)?;
    }
    if !place.is_own_mount {
        return refused("this mount of it is not of cgset's making".into(), LEAVE_IT);
    }
    if is_last {
        for group in &place.groups {
            steps.extend(emptied(&place.controllers, &group.directory));
            steps.push(remove_group(place, &group.directory));
        }
    }
    let unmount = MountCall::UnmountHierarchy { directory: directory.clone() };
    steps.push(step("nothing is seen there any more", unmount));
    if is_last {
        let call =
            MountCall::AwaitRelease { controllers: place.controllers.clone(), directory: directory.clone() };
        let why = "only when the kernel has let go of the last group are its controllers free for another hierarchy";
        steps.push(step(why, call).optional());
    }
    steps.push(remove_directory());
    Ok(steps)
}

/// Version 1 of memory: what a group that is gone brought in from files stays accounted to it.
pub fn emptied(controllers: &[String], group: &Path) -> Option<Step<Call>> {
    let has_memory = controllers.iter().any(|name| name == "memory");
    let path = group.join("memory.force_empty");
    let call = Call::WriteKnob { path, value: "0".into(), if_there: true };
    let why =
        "pages of files that it read would keep it, unseen, and with it its hierarchy: let go of them first";
    has_memory.then(|| Step::new(why, call).optional())
}

const LEAVE_IT: &str =
    "only what cgset mounted is taken away by it; umount(8) unmounts any, if its groups were removed";

fn refuse_what_is_not_ours(place: &Place) -> Result<(), Failure> {
    let refused = |what: String, hint: &str| {
        Err(Failure::new(format!("{}: {what}", quoted(&place.directory))).hint(hint))
    };
    if place.mark != Some(Mark::Hierarchy) {
        return refused("this hierarchy is not of cgset's making".into(), LEAVE_IT);
    }
    let name = |group: &crate::group::Group| {
        quoted(group.directory.strip_prefix(&place.directory).unwrap_or(&group.directory))
    };
    if let Some(busy) = place.groups.iter().find(|group| !group.members.is_empty()) {
        return refused(
            format!("in its group {} are these processes: {}", name(busy), listed(&busy.members)),
            "end them, cgset --kill GROUP, or move them out",
        );
    }
    if let Some(other) = place.groups.iter().find(|group| group.mark.is_none()) {
        return refused(
            format!("its group {} is not of cgset's making", name(other)),
            "rmdir removes any group; then the hierarchy can go",
        );
    }
    Ok(())
}

fn remove_group(place: &Place, group: &Path) -> Step<Call> {
    let directories = vec![(place.directory.clone(), group.to_path_buf())];
    Step::new(
        "cgset made it, and nothing is in it; a group that is left would keep the hierarchy for ever",
        Call::RemoveGroup { directories, leave_if_busy: false, with_inner: false },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;

    fn place(entries: Option<Entries>, mounted: Option<(&str, &[&str])>) -> Place {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Place {
            directory: "/cg".into(),
            controllers: names(&["cpu", "memory"]),
            entries,
            mounted: mounted.map(|(kind, controllers)| (kind.into(), names(controllers))),
            is_new: true,
            is_own_mount: mounted.is_some(),
            ..Place::default()
        }
    }

    fn story(steps: Result<Vec<Step<Call>>, Failure>) -> Vec<String> {
        chain::Plan::of(steps.unwrap()).story()
    }

    fn refusal(steps: Result<Vec<Step<Call>>, Failure>) -> String {
        steps.unwrap_err().to_string()
    }

    const BOTH: Option<(&str, &[&str])> = Some(("cgroup", &["memory", "cpu"]));
    const MOUNT: &str =
        "mount(\"boxutils\", \"/cg\", \"cgroup\", MS_NOSUID|MS_NODEV|MS_NOEXEC, \"cpu,memory\")";

    #[test]
    fn it_is_mounted_on_an_empty_directory_or_one_that_is_made() {
        assert_eq!(story(mount(&place(None, None))), ["mkdir(\"/cg\", 0755)", MOUNT]);
        assert_eq!(story(mount(&place(Some(Entries::None), None))), [MOUNT]);
        assert!(story(mount(&place(Some(Entries::Some), BOTH))).is_empty(), "it is there");
        assert!(refusal(mount(&place(Some(Entries::Some), None))).starts_with("\"/cg\": not empty"));
        assert!(
            refusal(mount(&place(Some(Entries::NoDirectory), None))).starts_with("\"/cg\": not a directory")
        );
        let other = Some(("cgroup", &["pids"][..]));
        assert!(
            refusal(mount(&place(Some(Entries::Some), other)))
                .starts_with("\"/cg\": a cgroup hierarchy with pids is mounted there")
        );
    }

    #[test]
    fn it_goes_with_the_groups_in_it_that_are_cgsets_and_is_waited_for() {
        let group = |name: &str, mark, members: &[u32]| Group {
            directory: format!("/cg/{name}").into(),
            mark,
            members: members.into(),
            children: Vec::new(),
        };
        let mut there = place(Some(Entries::Some), BOTH);
        there.mark = Some(Mark::Hierarchy);
        there.groups = vec![group("a/b", Some(Mark::Group), &[]), group("a", Some(Mark::Parent), &[])];
        assert_eq!(
            story(unmount(&there)),
            [
                "write(\"/cg/a/b/memory.force_empty\", \"0\")",
                "rmdir(\"/cg/a/b\")",
                "write(\"/cg/a/memory.force_empty\", \"0\")",
                "rmdir(\"/cg/a\")",
                "umount2(\"/cg\", UMOUNT_NOFOLLOW)",
                "read(\"/proc/self/cgroup\") until cpu,memory is on no hierarchy",
                "rmdir(\"/cg\")"
            ]
        );
        there.groups.push(group("c", None, &[]));
        assert!(refusal(unmount(&there)).starts_with("\"/cg\": its group \"c\" is not of cgset's making"));
        there.groups[0].members = vec![7];
        assert!(refusal(unmount(&there)).starts_with("\"/cg\": in its group \"a/b\" are these processes: 7"));
        // Seen at another place too, it stays as it is; and so does a mount that somebody else made.
        there.elsewhere.push("/other".into());
        let theirs = Place { is_own_mount: false, ..there.clone() };
        assert!(refusal(unmount(&theirs)).starts_with("\"/cg\": this mount of it is not of cgset's making"));
        assert_eq!(story(unmount(&there)), ["umount2(\"/cg\", UMOUNT_NOFOLLOW)", "rmdir(\"/cg\")"]);
    }

    #[test]
    fn what_is_another_is_left_alone_and_what_is_gone_is_fine() {
        assert!(story(unmount(&place(None, None))).is_empty());
        assert!(story(unmount(&place(Some(Entries::None), None))).is_empty());
        let mut left = place(Some(Entries::None), None);
        left.mark = Some(Mark::Hierarchy);
        assert_eq!(story(unmount(&left)), ["rmdir(\"/cg\")"]);
        assert!(
            refusal(unmount(&place(Some(Entries::Some), BOTH)))
                .starts_with("\"/cg\": this hierarchy is not of cgset's making")
        );
        assert!(refusal(unmount(&place(Some(Entries::Some), Some(("cgroup", &["pids"]))))).starts_with(
            "\"/cg\": the hierarchy there carries pids\nhint: say so: cgset --hierarchy pids --remove DIR"
        ));
        assert!(
            refusal(unmount(&place(Some(Entries::Some), Some(("proc", &[])))))
                .starts_with("\"/cg\": proc is mounted there")
        );
    }
}
