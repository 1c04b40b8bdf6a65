//! What file system an image or a block device holds, read from its superblock. Nothing is guessed and nothing is tried.

use anyhow::Context;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Offset and magic number of each file system that can be a root.
const MAGICS: [(&str, u64, &[u8]); 5] = [
    ("ext4", 1080, &[0x53, 0xef]),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
];

/// The name of the file system, as mount(2) takes it; none when it is of none of these kinds.
///
/// # Errors
/// The file cannot be read.
pub fn file_system_of(file: &File, path: &Path) -> anyhow::Result<Option<&'static str>> {
    let mut magic = [0; 8];
    for (name, offset, expected) in MAGICS {
        let length =
            file.read_at(&mut magic, offset).with_context(|| format!("read({})", chain::quoted(path)))?;
        if magic[..length].starts_with(expected) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Their names, for a message.
pub fn known() -> String {
    MAGICS.map(|(name, _, _)| name).join(", ")
}

/// Those that cannot be written, whatever is asked.
pub fn is_always_read_only(file_system: &str) -> bool {
    matches!(file_system, "squashfs" | "erofs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_magic_is_found_where_it_stands_and_zeros_are_nothing() {
        let path = std::env::temp_dir().join(format!("pivot-magic-{}", std::process::id()));
        for (name, offset, magic) in MAGICS {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_len(70000).unwrap();
            assert_eq!(file_system_of(&file, &path).unwrap(), None);
            file.write_at(magic, offset).unwrap();
            assert_eq!(file_system_of(&file, &path).unwrap(), Some(name));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
