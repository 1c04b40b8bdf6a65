//! Sizes as util-linux writes them: `64M` and `64MiB` count in 1024, `64MB` in 1000.

/// The bytes of a size such as `1.5G`.
///
/// # Errors
/// It is no number, has a unit nobody knows, or is more than a file can hold.
pub fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let unit = unit(suffix).ok_or_else(|| {
        format!("{suffix:?} is not a unit: K M G T P E or KiB MiB ... count in 1024, KB MB ... in 1000")
    })?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 18 {
        return Err("not a number, as in 64M or 1.5G".into());
    }
    let digits: u128 = format!("0{whole}{fraction}").parse().map_err(|_| "too large".to_string())?;
    let bytes = digits.checked_mul(unit).ok_or("too large")? / 10_u128.pow(fraction.len() as u32);
    u64::try_from(bytes).ok().filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(|| "too large".into())
}

fn unit(suffix: &str) -> Option<u128> {
    let Some(letter) = suffix.chars().next() else { return Some(1) };
    let power = "KMGTPE".find(letter.to_ascii_uppercase())? as u32 + 1;
    match &suffix[letter.len_utf8()..] {
        "" | "iB" => Some(1024_u128.pow(power)),
        "B" => Some(1000_u128.pow(power)),
        _ => None,
    }
}

/// A size for people: `512`, `64K`, `1.5G`; one digit after the point where it is not whole.
pub fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["", "K", "M", "G", "T", "P", "E"].into_iter();
    let mut unit = units.next();
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        unit = Some(next);
        value /= 1024.0;
    }
    let text = format!("{value:.1}");
    format!("{}{}", text.strip_suffix(".0").unwrap_or(&text), unit.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_counts_in_1024_and_a_b_after_it_in_1000() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("512k", 512 << 10),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("64MB", 64_000_000),
            ("1.5G", 3 << 29),
            (".5K", 512),
            ("1.K", 1024),
            ("2T", 2 << 40),
            ("7.999E", 9_222_219_115_350_168_961),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            ".",
            "M",
            "-1",
            "1.2.3M",
            "64X",
            "64Mi",
            "64 M",
            "1e9",
            "8E",
            "99999999999999999999999E",
            "0x10",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn people_read_at_most_one_digit_after_the_point() {
        for (bytes, text) in
            [(0, "0"), (1023, "1023"), (1024, "1K"), (3 << 29, "1.5G"), (186_646_528, "178M")]
        {
            assert_eq!(human(bytes), text);
        }
    }
}
