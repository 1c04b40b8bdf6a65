//! The records of pax(1) extended headers: what they say about the entry after them, or about all entries.

use crate::inode::Xattrs;
use nix::sys::time::TimeSpec;
use std::ffi::CString;

/// What was said.
#[derive(Clone, Default)]
pub struct Records {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub atime: Option<TimeSpec>,
    pub mtime: Option<TimeSpec>,
    pub xattrs: Xattrs,
    pub sparse: Option<Sparse>,
}

/// GNU tar's sparse files in a pax archive, versions 0.1 and 1.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    pub size: u64,
    /// Version 0.1 lists the pieces here, offset and length; 1.0 puts the list before the bytes.
    pub map: Option<Vec<(u64, u64)>>,
}

impl Records {
    /// Takes all records of a header: `LENGTH KEY=VALUE` and a newline each, where a value may hold any byte. None where
    /// the header is malformed; what came before is taken then.
    pub fn parse(&mut self, text: &[u8]) -> Option<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ')?;
            let length: usize = text_of(&rest[..blank])?.parse().ok()?;
            let record = rest.get(blank + 1..length)?.strip_suffix(b"\n")?;
            rest = &rest[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.take(&record[..equals], &record[equals + 1..])?;
        }
        Some(())
    }

    /// Takes one record; keys nobody needs are left aside.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let number = || text_of(value)?.parse::<u64>().ok();
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"atime" => self.atime = Some(time_in(text_of(value)?)?),
            b"mtime" => self.mtime = Some(time_in(text_of(value)?)?),
            b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse.get_or_insert_default().size = number()?;
            }
            b"GNU.sparse.map" => {
                let numbers: Option<Vec<u64>> =
                    text_of(value)?.split(',').map(|number| number.parse().ok()).collect();
                let pairs = numbers?.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                self.sparse.get_or_insert_default().map = Some(pairs);
            }
            // Version 0.0 repeats these for every piece; no tar of this century writes it.
            b"GNU.sparse.offset" => return None,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((CString::new(name).ok()?, value.to_vec()));
                }
            }
        }
        Some(())
    }
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Seconds with a fraction: `1700000000.123456789`; before 1970 with a sign in front of the whole.
fn time_in(text: &str) -> Option<TimeSpec> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match whole.starts_with('-') && nanoseconds > 0 {
        true => TimeSpec::new(seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds),
        false => TimeSpec::new(seconds, nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_newlines_and_any_other_byte() {
        let mut records = Records::default();
        assert_eq!(records.parse(b"31 SCHILY.xattr.user.k=a\nb=\xff\x00c\n17 path=etc/\xffxyz\n"), Some(()));
        assert_eq!(records.xattrs, [(c"user.k".to_owned(), b"a\nb=\xff\x00c".to_vec())]);
        assert_eq!(records.path.as_deref(), Some(b"etc/\xffxyz".as_slice()));
    }

    #[test]
    fn a_length_that_is_not_true_is_malformed() {
        for text in [
            "9 path=a",
            "11 path=a\n",
            "8 path=a\n",
            "99999999999999999999 path=a\n",
            "x path=a\n",
            "5 a\n\n",
            "12 size=big\n",
        ] {
            assert_eq!(Records::default().parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Records::default().parse(b"9 path=a\n"), Some(()));
    }

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_1970() {
        assert_eq!(time_in("1.5"), Some(TimeSpec::new(1, 500_000_000)));
        assert_eq!(time_in("1700000000.1234567891"), Some(TimeSpec::new(1_700_000_000, 123_456_789)));
        assert_eq!(time_in("-50400.5"), Some(TimeSpec::new(-50401, 500_000_000)));
        assert_eq!(time_in("7"), Some(TimeSpec::new(7, 0)));
        for text in ["", ".5", "1.x", "1e3", "1.-5"] {
            assert_eq!(time_in(text), None, "{text}");
        }
    }
}
