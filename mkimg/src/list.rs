//! The loop devices in use: taking one away, and the listing. The keys of the JSON are promised in the manual page.

use crate::holders;
use chain::{Answer, Attached, Refusal, attached, json_string, print_data};
use std::time::{Duration, Instant};

/// How long others get to let go of a device: udev looks at each that appears.
const PATIENCE: Duration = Duration::from_secs(2);

/// LOOP_CLR_FD of loop(4) answers 0 for a device in use too, and only marks it; so it is asked for when nobody uses the
/// device, and then looked at until it is free.
///
/// # Errors
/// Somebody uses it, and is named; nothing is changed then.
pub fn detach(device: &Attached) -> Result<Answer, Refusal> {
    let until = Instant::now() + PATIENCE;
    while holders::any(&device.device) {
        if Instant::now() > until {
            return Err(Refusal::said(format!("in use: {}", holders::of(&device.device))));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    chain::detach(&device.device)?;
    while attached()
        .iter()
        .any(|other| other.device == device.device && other.backing_file == device.backing_file)
    {
        if Instant::now() > until + PATIENCE {
            return Err(Refusal::said(format!("in use since: {}", holders::of(&device.device))));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(Answer::zero())
}

/// Prints every loop device in use.
///
/// # Errors
/// stdout takes no more.
pub fn print(as_json: bool) -> Result<Answer, Refusal> {
    let devices = attached();
    let text = if as_json { json(&devices) } else { table(&devices) };
    print_data(text.as_bytes())?;
    Ok(Answer::Made(format!("{} devices", devices.len())))
}

fn table(devices: &[Attached]) -> String {
    let rows = devices.iter().map(|device| {
        let flag = |is_set: bool| if is_set { "yes" } else { "no" };
        [
            device.device.display().to_string(),
            chain::size::human(device.size),
            flag(device.read_only).into(),
            flag(device.autoclear).into(),
            flag(device.direct_io).into(),
            device.backing_file.display().to_string(),
        ]
    });
    let heads = ["DEVICE", "SIZE", "READ-ONLY", "AUTOCLEAR", "DIRECT-IO", "FILE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(rows).collect();
    let widths: Vec<usize> =
        (0..5).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("{cell:width$}  ");
        }
        text += &row[5];
        text += "\n";
    }
    text
}

fn json(devices: &[Attached]) -> String {
    let objects: Vec<String> = devices
        .iter()
        .map(|device| {
            let mounts: Vec<String> =
                holders::mount_points(&device.device).iter().map(json_string).collect();
            format!(
                "  {{\"device\": {}, \"backing_file\": {}, \"size\": {}, \"read_only\": {}, \"autoclear\": {}, \"direct_io\": {}, \"mounts\": [{}]}}",
                json_string(&device.device),
                json_string(&device.backing_file),
                device.size,
                device.read_only,
                device.autoclear,
                device.direct_io,
                mounts.join(", ")
            )
        })
        .collect();
    match objects.is_empty() {
        true => "[]\n".into(),
        false => format!("[\n{}\n]\n", objects.join(",\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(file: &str) -> Attached {
        Attached {
            device: "/dev/loop900".into(),
            backing_file: file.into(),
            size: 64 << 20,
            read_only: false,
            autoclear: true,
            direct_io: false,
        }
    }

    #[test]
    fn the_json_has_the_keys_of_the_manual_page() {
        assert_eq!(json(&[]), "[]\n");
        assert_eq!(
            json(&[device("/a \"b\"\n")]),
            "[\n  {\"device\": \"/dev/loop900\", \"backing_file\": \"/a \\\"b\\\"\\u000a\", \"size\": 67108864, \
             \"read_only\": false, \"autoclear\": true, \"direct_io\": false, \"mounts\": []}\n]\n"
        );
    }

    #[test]
    fn the_table_lines_up() {
        assert_eq!(
            table(&[device("/a")]),
            "DEVICE        SIZE  READ-ONLY  AUTOCLEAR  DIRECT-IO  FILE\n\
             /dev/loop900  64M   no         yes        no         /a\n"
        );
    }
}
