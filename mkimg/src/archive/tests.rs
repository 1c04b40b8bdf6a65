use super::*;
use std::fs::File;
use std::io::Write;
use tar::Builder;

/// Archives are opened by name; the file goes away with the directory entry.
fn opened(bytes: &[u8]) -> Result<Archive, Refusal> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("mkimg-archive-{}-{number}", std::process::id()));
    File::create(&path).unwrap().write_all(bytes).unwrap();
    let archive = Archive::open(&path);
    std::fs::remove_file(&path).unwrap();
    archive
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, Refusal> {
    let mut archive = opened(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_700_000_000);
    header
}

fn simple() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    tar.append_data(&mut header(EntryType::Regular, 3), "a", b"abc".as_slice()).unwrap();
    tar.append_link(&mut header(EntryType::Symlink, 0), "l", "/etc").unwrap();
    let mut null = header(EntryType::Char, 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    tar.append_data(&mut null, "null", std::io::empty()).unwrap();
    tar.append_data(&mut header(EntryType::Regular, 1), "n/".repeat(120) + "long", b"x".as_slice()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn entries_come_with_kind_owner_mode_and_time() {
    let entries = entries(&simple()).unwrap();
    let kinds: Vec<&Kind> = entries.iter().map(|entry| &entry.kind).collect();
    assert_eq!(*kinds[0], Kind::File { pieces: vec![(0, 3)], size: 3 });
    assert_eq!(*kinds[1], Kind::Symlink(b"/etc".to_vec()));
    assert_eq!(*kinds[2], Kind::Character(1, 3));
    assert_eq!(entries[3].path.len(), 244);
    let first = &entries[0].attributes;
    assert_eq!((first.uid, first.gid, first.mode, first.mtime.tv_sec()), (7, 8, 0o644, 1_700_000_000));
}

#[test]
fn bytes_are_read_to_the_end_of_their_entry_and_no_further() {
    let mut archive = opened(&simple()).unwrap();
    archive.next().unwrap();
    let mut buffer = [0; 600];
    assert_eq!(archive.read(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..4], b"abc\0");
    assert_eq!(archive.read(&mut buffer).unwrap(), 0);
}

#[test]
fn wherever_an_archive_is_cut_that_is_noticed() {
    let whole = simple();
    let end = whole.len() - 1024;
    for length in (0..end).step_by(128) {
        let refusal = entries(&whole[..length]).unwrap_err();
        assert!(refusal.said.contains("cut short"), "{length}: {}", refusal.said);
    }
}

#[test]
fn a_cut_or_damaged_gzip_is_noticed() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&simple()).unwrap();
    let whole = gz.finish().unwrap();
    assert_eq!(entries(&whole).unwrap().len(), 4);
    assert!(entries(&whole[..whole.len() - 9]).is_err());
    let mut damaged = whole.clone();
    let sum = whole.len() - 6;
    damaged[sum] ^= 1;
    assert!(entries(&damaged).unwrap_err().said.contains("damaged"));
}

#[test]
fn a_changed_byte_in_a_header_is_noticed() {
    let mut tar = simple();
    tar[1024 + 100] ^= 1;
    assert!(entries(&tar).unwrap_err().said.contains("check sum is wrong, at byte 1536"));
    assert!(entries(&[b'x'; 2048]).unwrap_err().said.contains("no tar archive"));
}

#[test]
fn what_only_other_programs_unpack_is_named() {
    assert!(opened(b"\xfd7zXZ\0").err().unwrap().said.contains("xz -dc"));
    assert!(opened(&[0x28, 0xb5, 0x2f, 0xfd]).err().unwrap().said.contains("zstd -dc"));
}

#[test]
fn an_extended_header_without_end_is_not_read_into_memory() {
    let mut tar = Builder::new(Vec::new());
    let mut long = header(EntryType::GNULongName, 1 << 40);
    long.set_cksum();
    tar.get_mut().write_all(long.as_bytes()).unwrap();
    assert!(entries(tar.get_ref()).unwrap_err().said.contains("more than 1 MiB"));
}

#[test]
fn a_size_or_time_in_base_256_is_read() {
    let archive = opened(&simple()).unwrap();
    assert_eq!(archive.number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]).unwrap(), (2 << 32) + 1);
    assert_eq!(archive.time(&[0xff; 12]), -1);
    assert!(archive.number(b"0008\0").is_err());
    assert_eq!(archive.number(b" 17 \0").unwrap(), 15);
}
