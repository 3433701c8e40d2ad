//! `linux.devices`, and those that every container has.

use hull_container::plan::{Device, NodeKind};

use crate::config::{self, Linux};
use crate::failure::Failure;

/// The specification's default devices: name, major, minor.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Every node of the container, the configured ones in place of defaults of the same path.
pub(super) fn devices(linux: &Linux) -> Result<Vec<Device>, Failure> {
    let mut all: Vec<Device> = Vec::new();
    for (at, wanted) in linux.devices.iter().flatten().enumerate() {
        let device = device(wanted, at)?;
        match all.iter_mut().find(|known| known.path == device.path) {
            // The later one counts, as with runc, which makes one after the other.
            Some(known) => *known = device,
            None => all.push(device),
        }
    }
    for (path, major, minor) in DEFAULTS {
        if all.iter().all(|device| device.path != path) {
            let path = path.to_owned();
            let kind = NodeKind::Character;
            all.push(Device { path, kind, major, minor, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    Ok(all)
}

fn device(wanted: &config::Device, at: usize) -> Result<Device, Failure> {
    let field = |name: &str| format!("linux.devices[{at}].{name}");
    let kind = match wanted.r#type.as_str() {
        "c" | "u" => NodeKind::Character,
        "b" => NodeKind::Block,
        "p" => NodeKind::Fifo,
        other => {
            return Err(Failure::new(format!(
                "{}: {other:?} is none of b, c, u and p",
                field("type")
            )));
        }
    };
    if !wanted.path.starts_with('/') || wanted.path.contains('\0') {
        let path = &wanted.path;
        return Err(Failure::new(format!("{}: {path:?} is not absolute", field("path"))));
    }
    let number = |value: Option<i64>, name: &str| match value {
        None if kind == NodeKind::Fifo => Ok(0),
        None => Err(Failure::new(format!("{}: missing", field(name)))),
        Some(number) => u32::try_from(number).map_err(|_out_of_range| {
            Failure::new(format!("{}: {number} is no device number", field(name)))
        }),
    };
    Ok(Device {
        path: wanted.path.clone(),
        kind,
        major: number(wanted.major, "major")?,
        minor: number(wanted.minor, "minor")?,
        // The kind is in these bits too where a Go program wrote them.
        mode: wanted.file_mode.unwrap_or(0o666) & 0o7777,
        uid: wanted.uid.unwrap_or(0),
        gid: wanted.gid.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        let linux: Linux = crate::config::from_json(json).unwrap();
        match devices(&linux) {
            Ok(found) => found
                .iter()
                .map(|d| format!("{} {:?} {}:{} {:o}", d.path, d.kind, d.major, d.minor, d.mode))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn configured_devices_replace_defaults_of_their_path() {
        let found = read(
            r#"{"devices":[{"type":"c","path":"/dev/null","major":7,"minor":8,"fileMode":8624},
                {"type":"p","path":"/pipe"},{"type":"b","path":"/dev/a","major":1,"minor":2},
                {"type":"b","path":"/dev/a","major":3,"minor":4}]}"#,
        );
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "/dev/null Character 7:8 660");
        assert_eq!(lines[1], "/pipe Fifo 0:0 666");
        assert_eq!(lines[2], "/dev/a Block 3:4 666");
        assert_eq!(lines.len(), 3 + DEFAULTS.len() - 1);
    }

    #[test]
    fn what_is_no_device_is_refused_by_its_field() {
        let rows = [
            (r#"{"type":"x","path":"/dev/a"}"#, "linux.devices[0].type: \"x\" is none of"),
            (r#"{"type":"c","path":"dev/a"}"#, "linux.devices[0].path: \"dev/a\" is not absolute"),
            (r#"{"type":"c","path":"/dev/a"}"#, "linux.devices[0].major: missing"),
            (
                r#"{"type":"c","path":"/dev/a","major":-1,"minor":0}"#,
                "linux.devices[0].major: -1 is no device number",
            ),
        ];
        for (json, expected) in rows {
            let said = read(&format!(r#"{{"devices":[{json}]}}"#));
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
