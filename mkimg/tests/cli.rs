//! The binary as it is run, without privileges: the tests drop root where they have it.
#![allow(missing_docs, clippy::unwrap_used)]

use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const NOBODY: u32 = 65534;

/// A directory of the test's own, gone at its end, with a copy of the binary that anybody may run.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mkimg-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("here")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_mkimg"), path.join("mkimg")).unwrap();
        for (file, mode) in
            [(path.as_path(), 0o755), (&path.join("mkimg"), 0o755), (&path.join("here"), 0o777)]
        {
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        }
        Place(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join("here").join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.join("here")).stdin(Stdio::null()).env_remove("BOXUTILS_MODE");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Output {
        self.command(&self.0.join("mkimg")).args(words).output().unwrap()
    }

    /// Succeeds in silence.
    fn makes<W: AsRef<OsStr>>(&self, words: &[W]) {
        let output = self.run(words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    }

    /// Fails with 125 and these words, and leaves the directory as it was.
    fn refuses<W: AsRef<OsStr>>(&self, words: &[W], said: &str) {
        let before = self.names();
        let output = self.run(words);
        assert_eq!(text(&output.stderr), said);
        assert_eq!(output.status.code(), Some(125));
        assert_eq!(text(&output.stdout), "");
        assert_eq!(self.names(), before);
    }

    fn names(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.0.join("here")).unwrap();
        let mut names: Vec<Vec<u8>> =
            entries.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
        names.sort();
        names
    }

    /// What debugfs(8) answers about an image.
    fn debugfs(&self, request: &str, image: &str) -> String {
        let path =
            ["/usr/sbin/debugfs", "/sbin/debugfs"].map(Path::new).into_iter().find(|path| path.exists());
        let output = self.command(path.unwrap()).args(["-R", request, image]).output().unwrap();
        text(&output.stdout)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0\t"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_ext4(image: &Path) -> bool {
    // The magic number of the superblock: ext4(5), struct ext4_super_block.
    fs::read(image).unwrap()[1024 + 56..][..2] == [0x53, 0xef]
}

#[test]
fn help_fits_on_a_screen_and_ends_with_0() {
    let place = Place::new();
    for option in ["-h", "--help"] {
        let output = place.run(&[option]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        assert!(text(&output.stdout).contains("mkimg --from ./rootfs img"));
    }
    let help = text(&place.run(&["-h"]).stdout);
    assert!(help.lines().filter(|line| line.trim_start().starts_with('-')).count() <= 24, "{help}");
    assert!(help.lines().count() <= 50 && help.lines().all(|line| line.len() <= 130), "{help}");
    assert_eq!(text(&place.run(&["--version"]).stdout), concat!("mkimg ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_cannot_be_understood_ends_with_125() {
    let place = Place::new();
    let hint = "mkimg: hint: mkimg --help lists what it takes\n";
    let cases: [(&[&str], &str); 5] = [
        (&[], "the following required arguments were not provided: <IMG>"),
        (&["--bogus", "img"], "unexpected argument '--bogus' found"),
        (
            &["--size", "64X", "img"],
            "invalid value '64X' for '--size <SIZE>': \"X\" is not a unit: K M G T P E or KiB MiB ... count in 1024, KB MB ... in 1000",
        ),
        (&["--attach", "--detach", "img"], "the argument '--attach' cannot be used with '--detach'"),
        (&["a", "b"], "unexpected argument 'b' found"),
    ];
    for (words, said) in cases {
        place.refuses(words, &format!("mkimg: {said}\n{hint}"));
    }
}

#[test]
fn without_root_an_empty_image_is_made_and_its_size_is_as_said() {
    let place = Place::new();
    place.makes(&["--size", "8M", "--label", "home", "img"]);
    assert_eq!(fs::metadata(place.at("img")).unwrap().len(), 8 << 20);
    assert!(is_ext4(&place.at("img")));
    let superblock = place.debugfs("stats -h", "img");
    assert!(superblock.contains("Block size:               4096"), "{superblock}");
    assert!(superblock.contains("Filesystem volume name:   home"), "{superblock}");
    assert_eq!(place.names(), [b"img".to_vec()]);
}

#[test]
fn without_root_a_directory_is_copied_and_its_owners_stay() {
    let place = Place::new();
    fs::create_dir(place.at("tree")).unwrap();
    fs::write(place.at("tree/file"), "content\n").unwrap();
    fs::set_permissions(place.at("tree/file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(place.at("tree/file"), place.at("tree/other")).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.at("tree/link")).unwrap();
    if is_root() {
        std::os::unix::fs::chown(place.at("tree/file"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    place.makes(&["--from", "tree", "img"]);
    assert_eq!(place.debugfs("cat /file", "img"), "content\n");
    let inode = place.debugfs("stat /other", "img");
    assert!(inode.contains("Mode:  0640") && inode.contains("Links: 2"), "{inode}");
    if is_root() {
        assert!(inode.contains("User: 65534   Group: 65534"), "{inode}");
    }
    assert!(place.debugfs("stat /link", "img").contains("Fast link dest: \"/nowhere\""));
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let place = Place::new();
    fs::write(place.at("img"), "precious").unwrap();
    fs::create_dir(place.at("dir")).unwrap();
    std::os::unix::fs::symlink("img", place.at("link")).unwrap();
    let hint = "mkimg: hint: --force replaces it; --attach alone attaches it\n";
    place.refuses(&["--size", "1M", "img"], &format!("mkimg: \"img\": it is there already\n{hint}"));
    let hint = "mkimg: hint: only a regular file can be replaced\n";
    for (name, kind) in
        [("dir", "a directory"), ("link", "a symbolic link"), ("/dev/null", "a character device")]
    {
        place
            .refuses(&["--size", "1M", "--force", name], &format!("mkimg: \"{name}\": it is {kind}\n{hint}"));
    }
    assert_eq!(fs::read(place.at("img")).unwrap(), b"precious");
    place.makes(&["--size", "1M", "--force", "img"]);
    assert!(is_ext4(&place.at("img")));
    assert_eq!(place.names().len(), 3);
}

#[test]
fn a_name_may_hold_any_bytes() {
    let place = Place::new();
    let name = OsStr::from_bytes(b"\xff '$(x)\n.img");
    place.makes(&[OsStr::new("--size"), OsStr::new("1M"), name]);
    assert_eq!(place.names(), [name.as_bytes()]);
    place.makes(&["--size", "1M", "--", "-x"]);
    assert_eq!(place.names().len(), 2);
    let output = place.run(&[OsStr::new("--dry-run"), OsStr::new("--force"), name]);
    let line = b"mv -fT \"$temp\" '\xff '\\''$(x)\n.img'\n";
    assert!(output.stdout.windows(line.len()).any(|bytes| bytes == line), "{}", text(&output.stdout));
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let place = Place::new();
    place.refuses(
        &["--size", "8M", "--uuid", "nonsense", "img"],
        "mkimg: execve(\"mkfs.ext4\", [\"mkfs.ext4\", \"-q\", \"-b\", \"4096\", \"-m\", \"0\", \"-E\", \
         \"nodiscard,assume_storage_prezeroed=1\", \"-U\", \"nonsense\", \"/proc/self/fd/0\"]): exit status: 1: \
         /proc/self/fd/0: could not parse UUID: nonsense\n\
         mkimg: while: a file system in that file; without root there is no loop device, and mke2fs fills it itself\n",
    );
    place.refuses(
        &["--from", "nosuch", "img"],
        "mkimg: stat(\"nosuch\"): No such file or directory (ENOENT)\n\
         mkimg: while: see what goes into the image, and how much room it needs\n",
    );
    fs::write(place.at("text"), [b'x'; 1024]).unwrap();
    place.refuses(
        &["--from", "text", "img"],
        "mkimg: read(\"text\"): it is no tar archive, at byte 512 of the archive\n\
         mkimg: while: see what goes into the image, and how much room it needs\n",
    );
}

#[test]
fn what_a_killed_one_left_is_removed_and_nothing_else() {
    let place = Place::new();
    let make = |name: &str| {
        let file = fs::File::create(place.at(name)).unwrap();
        if is_root() {
            std::os::unix::fs::fchown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        file
    };
    // A process number above any there is, and that of another program: neither tells anything.
    let left = [".img.mkimg-7654321".to_owned(), format!(".img.mkimg-{}", std::process::id())];
    let others = [".img.mkimg-", ".img.mkimg-07", ".img.mkimg-7x", ".img.mkimg-12345678", ".other.mkimg-7"];
    let locked = Flock::lock(make(".img.mkimg-9"), FlockArg::LockExclusiveNonblock).unwrap();
    others.into_iter().chain(left.iter().map(String::as_str)).for_each(|name| drop(make(name)));
    let before = place.names();
    let without = |names: &[Vec<u8>], gone: &[String]| -> Vec<Vec<u8>> {
        names.iter().filter(|name| !gone.iter().any(|gone| gone.as_bytes() == **name)).cloned().collect()
    };

    let script = place.run(&["--dry-run", "--size", "1M", "img"]).stdout;
    for name in &left {
        assert!(text(&script).contains(&format!("\nflock -n ./{name} rm -f ./{name} || :\n")));
    }
    assert_eq!(text(&script).matches("flock").count(), 2, "{}", text(&script));
    let output = place.run(&["--size", "1M", "--label", "seventeen-letters", "img"]);
    assert_eq!((output.status.code(), place.names()), (Some(125), before.clone()));
    place.makes(&["--size", "1M", "img"]);
    let after = place.names();
    assert_eq!(without(&after, &["img".into()]), without(&before, &left));

    left.iter().for_each(|name| drop(make(name)));
    fs::remove_file(place.at("img")).unwrap();
    let output = place.command(Path::new("/bin/sh")).arg("-ec").arg(OsStr::from_bytes(&script)).output();
    assert!(output.unwrap().status.success());
    assert_eq!(place.names(), after);

    drop(locked);
    let said = text(&place.run(&["--explain", "--size", "1M", "--force", "img"]).stderr);
    assert!(said.starts_with("mkimg 1/7  a killed mkimg left this"), "{said}");
    assert!(said.contains("\n           unlink(\"./.img.mkimg-9\") = 0\n"), "{said}");
    assert_eq!(place.names(), without(&after, &[".img.mkimg-9".into()]));

    // Where it lies in the tree it neither counts nor gets into the image; a file of another name does.
    fs::write(place.at("large"), vec![1; 12 << 20]).unwrap();
    let words = ["--from", ".", "--size", "8M", "new"];
    assert!(text(&place.run(&words).stderr).contains("\".\" alone takes 12"));
    fs::rename(place.at("large"), place.at(".new.mkimg-7")).unwrap();
    std::os::unix::fs::chown(place.at(".new.mkimg-7"), is_root().then_some(NOBODY), None).unwrap();
    place.makes(&words);
}

const DRY_RUN: &str = r#"# a file that has no name yet: what is not finished cannot be found, and vanishes with this process
temp= loop= root=
leave_nothing() {
	[ -z "$root" ] || { umount "$root"; rmdir "$root"; }
	[ -z "$loop" ] || losetup -d "$loop"
	[ -z "$temp" ] || rm -f "$temp"
}
trap leave_nothing EXIT
trap 'exit 125' HUP INT TERM
PATH=$PATH:/usr/sbin:/sbin
temp=$(mktemp ./.img.XXXXXXXXXX)
chmod =rw "$temp"
# as long as a disk, and all of it a hole: room is taken by what is written only
truncate -s 67108864 "$temp"
# a file system in that file; without root there is no loop device, and mke2fs fills it itself
mkfs.ext4 -q -b 4096 -m 0 -E nodiscard,assume_storage_prezeroed=1 -L 'my home' "$temp"
# have the bytes on the disk before the name
sync "$temp"
# give it its name: from now on it is there, and whole
ln -T "$temp" img
rm "$temp"
temp=
# have the name on the disk
sync .
"#;

#[test]
fn a_dry_run_is_a_script_that_does_the_same_and_does_nothing_itself() {
    let place = Place::new();
    let words = ["--dry-run", "--size", "64M", "--label", "my home", "img"];
    let output = place.run(&words);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (DRY_RUN.into(), String::new()));
    assert!(place.names().is_empty());
    fs::write(place.at("script"), &output.stdout).unwrap();
    let script = place.command(Path::new("/bin/sh")).args(["-e", "script"]).output().unwrap();
    assert!(script.status.success(), "{}", text(&script.stderr));
    fs::rename(place.at("img"), place.at("by-script")).unwrap();
    place.makes(&words[1..]);
    // What differs between any two images: the number, the time, and what is computed from them.
    let stats = |image: &str| {
        let text = place.debugfs("stats", image);
        let differs = ["UUID", "time:", "Hash Seed", "hecksum", "created", "Last ", "Next ", "csum"];
        text.lines()
            .filter(|line| !differs.iter().any(|word| line.contains(word)))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(stats("img"), stats("by-script"));
    let about = |name: &str| fs::metadata(place.at(name)).unwrap();
    assert_eq!(about("img").permissions(), about("by-script").permissions());
    assert_eq!(about("img").len(), about("by-script").len());
}

#[test]
fn explain_tells_every_step_on_stderr() {
    let place = Place::new();
    let output = place.run(&["--explain", "--size", "1M", "img"]);
    let said = text(&output.stderr);
    assert!(said.starts_with("mkimg 1/6  a file that has no name yet: "), "{said}");
    assert!(said.contains("\n           ftruncate(image, 1048576) = 0\n"), "{said}");
    assert!(said.contains("mkimg 6/6  have the name on the disk\n"), "{said}");
    assert!(output.stdout.is_empty() && place.names() == [b"img".to_vec()]);
}
