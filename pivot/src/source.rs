//! What is mounted: the root, and what --bind, --image and --tmpfs name. Looks at each source; mounts nothing.

use crate::hint;
use crate::image;
use crate::mountfd::Attributes;
use anyhow::Result;
use chain::{Failure, be_root, quoted};
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// Where the files of a mount come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Directory(PathBuf),
    /// A file or a socket, bound by itself.
    File(PathBuf),
    /// A file with a file system in it.
    Image {
        path: PathBuf,
        file_system: &'static str,
    },
    /// A block device with a file system on it.
    Device {
        path: PathBuf,
        file_system: &'static str,
    },
    /// Nowhere: an empty tmpfs with these options.
    Memory(Vec<(&'static str, Option<String>)>),
}

/// One of --bind, --image and --tmpfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    pub source: Source,
    /// Absolute, without `..`.
    pub at: PathBuf,
    pub attributes: Attributes,
    pub idmap: bool,
}

/// Why the root is looked at, and why the others are.
pub const WHY_ROOT: &str = "look at what shall become the root";
const WHY_EXTRA: &str = "look at what shall be mounted";
impl Source {
    /// Looks at `path` and says what it is.
    pub fn look(path: &Path, why: &'static str) -> Result<Source> {
        let about = stat(path, why)?;
        let path = path.to_owned();
        if about.is_dir() {
            return Ok(Source::Directory(path));
        }
        if !about.is_file() && !about.file_type().is_block_device() {
            return Ok(Source::File(path));
        }
        let file = File::open(&path).map_err(|error| {
            let failure = refused(format!("open({})", quoted(&path)), &error).why(why);
            match error.raw_os_error().map(Errno::from_raw) {
                // Who may not because of the mode of the file is told EACCES.
                Some(Errno::EPERM) => failure.hint(hint::FORBIDDEN),
                _ => failure.hint(format!("it must be readable: {}", be_root("CAP_DAC_OVERRIDE"))),
            }
        })?;
        Ok(match image::file_system_of(&file, &path)? {
            Some(file_system) if about.is_file() => Source::Image { path, file_system },
            Some(file_system) => Source::Device { path, file_system },
            None => Source::File(path),
        })
    }
}

fn stat(path: &Path, why: &'static str) -> Result<Metadata, Failure> {
    std::fs::metadata(path).map_err(|error| {
        let failure = refused(format!("stat({})", quoted(path)), &error).why(why);
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) if why == WHY_ROOT => failure
                .hint("ROOT is a directory, an image or a block device: mkimg --from DIR IMG makes an image"),
            _ => failure,
        }
    })
}

fn refused(call: String, error: &std::io::Error) -> Failure {
    Failure::refused(call, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// A file that is no image: what it is instead.
pub fn no_file_system(path: &Path, wanted: &str) -> Failure {
    let what = match std::fs::metadata(path) {
        Ok(about) if about.is_file() && about.len() == 0 => "the file is empty",
        Ok(about) if about.is_file() || about.file_type().is_block_device() => "no file system in it",
        _ => "neither a directory, nor a file, nor a block device",
    };
    Failure::new(format!("{}: {what}", quoted(path)))
        .hint(format!("{wanted} one of {}: mkimg --from DIR IMG makes an image", image::known()))
}

/// A source as an absolute path without `..`: it is taken when this process stands in the new root already, over the
/// host's `/`, which alone cannot be named any more by then.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let call = |errno| Failure::refused(format!("stat({})", quoted(path)), errno).why(WHY_EXTRA);
    let failed = |error: std::io::Error| {
        call(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            .hint("the source is a path of the host: mkimg --size 64M IMG makes an empty image")
    };
    path.metadata().map_err(failed)?;
    let whole = std::path::absolute(path).map_err(failed)?;
    // A descriptor in /proc/self/fd may have no path at all; that is no way to name / either.
    let found = whole.canonicalize().unwrap_or_else(|_| whole.clone());
    match found == Path::new("/") {
        true => {
            Err(call(Errno::EBUSY).hint("the host's / as a whole cannot be shown: name directories below it"))
        }
        false if whole.components().any(|part| part == Component::ParentDir) => Ok(found),
        false => Ok(whole),
    }
}

impl Extra {
    pub fn parse(option: &str, value: &OsStr, in_userns: bool) -> Result<Extra> {
        let usage = |what: &str| {
            let shape = if option == "--tmpfs" { "DST[:OPTION,…]" } else { "SOURCE:DST[:OPTION,…]" };
            Failure::new(format!("{option} {}: {what}", quoted(value)))
                .hint(format!("write {option} {shape}, DST from the new root's /"))
        };
        let mut fields = value.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes);
        let source = if option == "--tmpfs" { None } else { fields.next() };
        let at = PathBuf::from(fields.next().ok_or_else(|| usage("no DST"))?);
        let options =
            fields.next().unwrap_or_default().to_str().ok_or_else(|| usage("an option is not text"))?;
        if fields.next().is_some() {
            return Err(usage("more than three fields").into());
        }
        if !at.is_absolute()
            || at == Path::new("/")
            || at.components().any(|part| part == Component::ParentDir)
        {
            return Err(usage("DST is not an absolute path below /, or holds ..").into());
        }
        let source = match source {
            None => Source::Memory(Vec::new()),
            Some(path) if path.is_empty() => return Err(usage("the source is empty").into()),
            Some(path) => Source::look(&absolute(Path::new(path))?, WHY_EXTRA)?,
        };
        let source = match (option, source) {
            ("--bind", Source::Image { path, .. } | Source::Device { path, .. }) => Source::File(path),
            ("--image", Source::Directory(_)) => return Err(usage("a directory: --bind shows one").into()),
            ("--image", Source::File(path)) => {
                return Err(no_file_system(&path, "--image takes").why(WHY_EXTRA).into());
            }
            (_, source) => source,
        };
        let mut extra = Extra {
            idmap: in_userns && !matches!(source, Source::Memory(_)),
            source,
            at,
            attributes: Attributes::NO_SUID.and(Attributes::NO_DEV),
        };
        for word in options.split(',').filter(|word| !word.is_empty()) {
            extra.set(word, in_userns).ok_or_else(|| usage(&format!("{word:?} is no option of it")))?;
        }
        Ok(extra)
    }

    fn set(&mut self, word: &str, in_userns: bool) -> Option<()> {
        let attribute = match word {
            "ro" => Attributes::READ_ONLY,
            "noexec" => Attributes::NO_EXEC,
            "rw" | "exec" | "nosuid" | "nodev" => Attributes::NONE,
            "idmap" if in_userns => Attributes::NONE,
            "noidmap" => {
                self.idmap = false;
                Attributes::NONE
            }
            _ => {
                let Source::Memory(options) = &mut self.source else { return None };
                let (key, value) = word.split_once('=')?;
                let key = ["size", "mode", "nr_inodes"].into_iter().find(|known| *known == key)?;
                options.push((key, Some(value.into())));
                Attributes::NONE
            }
        };
        self.attributes = self.attributes.and(attribute);
        Some(())
    }
}

/// Directories every Linux has for mounts.
const PARKING: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];
/// Where nothing is mounted by a script, any will do.
pub const UNLOOKED_PARKING: [&str; 2] = [PARKING[0], PARKING[1]];

/// Two directories of the host that no source lies in.
pub fn parking(root: &Source, extras: &[Extra]) -> [&'static str; 2] {
    let sources = extras.iter().map(|extra| &extra.source).chain([root]);
    let paths: Vec<PathBuf> = sources
        .filter_map(|source| match source {
            Source::Directory(path) | Source::File(path) => std::path::absolute(path).ok(),
            Source::Image { path, .. } | Source::Device { path, .. } => std::path::absolute(path).ok(),
            Source::Memory(_) => None,
        })
        .collect();
    let is_free =
        |place: &&str| paths.iter().all(|path| !path.starts_with(place)) && Path::new(place).is_dir();
    let mut free = PARKING.into_iter().filter(is_free);
    UNLOOKED_PARKING.map(|otherwise| free.next().unwrap_or(otherwise))
}
