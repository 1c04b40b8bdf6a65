//! The names in an archive, taken apart before anything is made of them: none may lead out of the root.

use crate::archive::quoted_bytes;
use chain::Refusal;
use std::ffi::CString;

/// The longest path the kernel resolves: PATH_MAX without its NUL.
const PATH_MAX: usize = 4095;

/// A name inside the root, without `.`, empty parts, and the leading slash.
pub struct Inside {
    pub directory: Vec<u8>,
    pub name: CString,
}

/// Takes a name of the archive apart. None is the root itself.
///
/// # Errors
/// It leads out of the root, or is no name at all.
pub fn inside(path: &[u8]) -> Result<Option<Inside>, Refusal> {
    if path.len() > PATH_MAX {
        return Err(hostile(&path[..64], "a name longer than the kernel's 4095 bytes"));
    }
    let mut parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(hostile(path, "a name with .. in it would lead out of the image"));
    }
    let Some(name) = parts.pop() else { return Ok(None) };
    let name = CString::new(name).map_err(|_| hostile(path, "a name with a NUL byte in it"))?;
    Ok(Some(Inside { directory: parts.join(&b'/'), name }))
}

/// The refusal of an entry for what it says.
pub fn hostile(path: &[u8], what: &str) -> Refusal {
    let mut refusal = Refusal::said(what);
    refusal.call = Some(format!("the entry {}", quoted_bytes(path)));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &[u8]) -> Option<(String, String)> {
        let place = inside(path).ok().flatten()?;
        Some((String::from_utf8(place.directory).unwrap(), place.name.into_string().unwrap()))
    }

    #[test]
    fn names_lose_what_leads_nowhere_and_stay_below_the_root() {
        for path in ["/etc/passwd", "./etc/passwd", "etc//passwd/", "//./etc/./passwd"] {
            assert_eq!(place(path.as_bytes()), Some(("etc".into(), "passwd".into())), "{path}");
        }
        assert!(inside(b"./").unwrap().is_none() && inside(b"/").unwrap().is_none());
    }

    #[test]
    fn names_that_lead_out_or_are_none_are_refused() {
        for path in [b"..".as_slice(), b"../x", b"a/../../x", b"/..", b"a\0b", &[b'x'; 5000]] {
            assert!(inside(path).is_err(), "{path:?}");
        }
        // Two dots in a name are only a name.
        assert_eq!(place(b"a/..b"), Some(("a".into(), "..b".into())));
    }
}
