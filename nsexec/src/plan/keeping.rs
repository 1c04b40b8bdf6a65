//! The story of namespaces that outlive their processes: keeping them, and letting go.

use crate::call::Call;
use crate::facts::{Errand, Target};
use crate::keep::KeepCall;
use crate::kept::Directory;
use chain::{Failure, Kind, Plan, Step, quoted};

/// The plan of a command line that runs no program.
pub fn errand(errand: Errand) -> Plan<Call> {
    match errand {
        Errand::Forget(directory) => Plan::of(forget(&directory)),
        Errand::List { within, json } => {
            let why = "every namespace that is mounted on a file outlives its processes";
            Plan::of(vec![step(why, KeepCall::List { within, json })])
        }
    }
}

fn step(why: &'static str, call: KeepCall) -> Step<Call> {
    Step::new(why, Call::Keep(call))
}

/// The directory and a file in it for each kind, before there is anything to keep.
///
/// # Errors
/// There is nothing to keep, or the place is taken, or would be somewhere else.
pub fn prepare(directory: &Directory, new: &[Kind], joins: &[Target]) -> Result<Vec<Step<Call>>, Failure> {
    let path = &directory.path;
    if let Some(target) = joins.iter().find(|target| matches!(target.kind, Kind::Mount | Kind::User)) {
        let kind = target.kind.name();
        return Err(Failure::new(format!(
            "--keep {}: it would be in the {kind} namespace that is joined",
            quoted(path)
        ))
        .hint(format!("leave out --{kind}=…, and keep them there: nsexec --{kind}=… -- nsexec … --keep …")));
    }
    if new.is_empty() {
        return Err(Failure::new(format!("--keep {}: there is no new namespace to keep", quoted(path)))
            .hint("add --net, --uts, ...: a bare option makes one"));
    }
    if !directory.namespaces.is_empty() {
        return Err(Failure::new(format!("--keep {}: it holds namespaces already", quoted(path))).hint(
            format!("nsexec --forget {} lets go of them", chain::quote(path.as_os_str()).to_string_lossy()),
        ));
    }
    let leave =
        |binds, remove| Call::Keep(KeepCall::LeaveDirectory { directory: path.clone(), binds, remove });
    let mut steps = Vec::new();
    if !directory.exists {
        let make = KeepCall::MakeDirectory(path.clone());
        steps.push(step("a place for the names", make).undo(leave(0, true)));
    }
    if directory.binds == 0 {
        let why = "a mount of its own for what is to be mounted in it, with a propagation of its own";
        steps.push(step(why, KeepCall::BindDirectory(path.clone())).undo(leave(1, false)));
        let why =
            "what others get copies of is no place for a mount namespace, and copies would keep the rest";
        steps.push(step(why, KeepCall::MakePrivate(path.clone())));
    }
    for kind in new {
        let file = path.join(kind.file());
        steps.push(
            step("a namespace is mounted on a file", KeepCall::MakeFile(file.clone()))
                .undo(Call::Keep(KeepCall::RemoveFile(file))),
        );
    }
    Ok(steps)
}

/// What the parent does while the child waits in its new namespaces.
pub fn bind(directory: &Directory, new: &[Kind]) -> Vec<Step<Call>> {
    let bind = |kind: &Kind| {
        let at = directory.path.join(kind.file());
        step(why_bind(*kind), KeepCall::Bind { kind: *kind, at: at.clone() })
            .undo(Call::Keep(KeepCall::Unbind(at)))
    };
    new.iter().map(bind).collect()
}

fn why_bind(kind: Kind) -> &'static str {
    match kind {
        Kind::Pid => "mounted it has a name; it takes processes in as long as its process 1 lives",
        Kind::Mount => {
            "mounted, from outside, it outlives its processes, and so does all that is mounted in it"
        }
        _ => "mounted it outlives its processes, and has a name",
    }
}

/// Lets go of what nsexec keeps in a directory, and of the directory if nothing else is in it. Any number of times.
fn forget(directory: &Directory) -> Vec<Step<Call>> {
    let Directory { path, binds, namespaces, files, others, has_mounts, .. } = directory;
    let mut kinds: Vec<Kind> = namespaces.iter().map(|kept| kept.kind).chain(files.iter().copied()).collect();
    kinds.sort_by_key(|kind| kind.file());
    kinds.dedup();
    let is_ours = *binds > 0 || !kinds.is_empty();
    let let_go = |kind: &Kind| {
        let at = path.join(kind.file());
        let mounts = namespaces.iter().filter(|kept| kept.at == at).count();
        step(
            "nothing holds it any more but the processes in it, if there are any",
            KeepCall::LetGo { at, mounts },
        )
    };
    let mut steps: Vec<Step<Call>> = kinds.iter().map(let_go).collect();
    let binds = if *has_mounts { 0 } else { *binds };
    let remove = is_ours && !has_mounts && others.is_empty();
    if binds > 0 || remove {
        let call = KeepCall::LeaveDirectory { directory: path.clone(), binds, remove };
        steps.push(step("an ordinary directory again, and no use for it if it is empty", call).optional());
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Kept;

    fn kept(kind: Kind) -> Kept {
        Kept { kind, inode: 7, at: format!("/run/box/{}", kind.file()).into(), is_ours: true }
    }

    fn empty() -> Directory {
        Directory { path: "/run/box".into(), ..Directory::default() }
    }

    fn full() -> Directory {
        Directory { exists: true, binds: 1, namespaces: vec![kept(Kind::Net), kept(Kind::Mount)], ..empty() }
    }

    fn story(steps: Vec<Step<Call>>) -> Vec<String> {
        Plan::of(steps).story()
    }

    fn refusal(directory: &Directory, new: &[Kind]) -> String {
        prepare(directory, new, &[]).unwrap_err().to_string()
    }

    const BIND: &str = "mount(\"/run/box\", \"/run/box\", NULL, MS_BIND, NULL)";
    const PRIVATE: &str = "mount(NULL, \"/run/box\", NULL, MS_PRIVATE, NULL)";

    #[test]
    fn the_directory_is_made_and_is_a_private_mount_before_there_is_anything_to_keep() {
        let file = "open(\"/run/box/net\", O_CREAT|O_EXCL, 0)";
        let steps = |directory| story(prepare(&directory, &[Kind::Net], &[]).unwrap());
        assert_eq!(steps(empty()), ["mkdir(\"/run/box\", 0755)", BIND, PRIVATE, file]);
        assert_eq!(steps(Directory { exists: true, ..empty() }), [BIND, PRIVATE, file]);
        assert_eq!(steps(Directory { exists: true, binds: 1, ..empty() }), [file]);
    }

    #[test]
    fn each_new_namespace_is_mounted_on_the_file_that_has_its_name_in_proc() {
        assert_eq!(
            story(bind(&empty(), &[Kind::Mount, Kind::Net])),
            [
                "mount(\"/proc/PID/ns/mnt\", \"/run/box/mnt\", NULL, MS_BIND, NULL)",
                "mount(\"/proc/PID/ns/net\", \"/run/box/net\", NULL, MS_BIND, NULL)"
            ]
        );
    }

    #[test]
    fn nothing_to_keep_and_a_place_that_is_taken_are_refused() {
        assert!(refusal(&empty(), &[]).contains("no new namespace to keep\nhint: add --net"));
        let taken = refusal(&full(), &[Kind::Uts]);
        assert!(
            taken.ends_with("it holds namespaces already\nhint: nsexec --forget /run/box lets go of them"),
            "{taken}"
        );
    }

    #[test]
    fn forgetting_takes_the_names_away_and_then_the_directory() {
        assert_eq!(
            story(forget(&full())),
            [
                "umount2(\"/run/box/mnt\", MNT_DETACH)\nunlink(\"/run/box/mnt\")",
                "umount2(\"/run/box/net\", MNT_DETACH)\nunlink(\"/run/box/net\")",
                "umount2(\"/run/box\", 0)\nrmdir(\"/run/box\")"
            ]
        );
    }

    #[test]
    fn what_a_restart_left_is_forgotten_too() {
        let left = Directory { exists: true, files: vec![Kind::Net], ..empty() };
        assert_eq!(story(forget(&left)), ["unlink(\"/run/box/net\")", "rmdir(\"/run/box\")"]);
    }

    #[test]
    fn forgetting_leaves_alone_what_others_have_there() {
        let files = Directory { others: vec!["notes".into()], ..full() };
        assert_eq!(story(forget(&files)).last().unwrap(), "umount2(\"/run/box\", 0)");
        let mounts = Directory { has_mounts: true, ..files };
        assert_eq!(story(forget(&mounts)).len(), 2);
        let foreign = Directory { exists: true, others: vec!["net".into()], ..empty() };
        assert!(story(forget(&foreign)).is_empty());
        // An empty directory that nsexec never kept anything in is none of its business.
        assert!(story(forget(&Directory { exists: true, ..empty() })).is_empty());
    }

    #[test]
    fn what_is_left_alone_is_said_in_a_line_and_is_no_step() {
        let foreign = Directory { exists: true, others: vec!["notes".into()], ..full() };
        assert_eq!(
            Errand::Forget(foreign).notice().unwrap(),
            "nsexec: \"/run/box\" stays: what is not of nsexec's keeping is in it: \"notes\"\n"
        );
        assert_eq!(Errand::Forget(full()).notice(), None);
        assert_eq!(errand(Errand::List { within: Vec::new(), json: false }).story().len(), 1);
    }

    #[test]
    fn forgetting_twice_is_forgetting_once() {
        assert!(story(forget(&empty())).is_empty());
    }
}
