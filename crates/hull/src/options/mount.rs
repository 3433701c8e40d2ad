//! `--mount type=bind,source=...,target=...`. Pure.

use super::parse::{boolean, bytes, fields, key_value};
use crate::wire::create::{BindOptions, Mount, TmpfsOptions, VolumeOptions};

/// Reads one `--mount`.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount { r#type: "volume".to_owned(), ..Mount::default() };
    for field in fields(text)? {
        // A flag without a value is true.
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), value),
            None => (field.to_ascii_lowercase(), ""),
        };
        let bare = !field.contains('=');
        if bare
            && !matches!(key.as_str(), "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive")
        {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        let switch = || match if bare { Some(true) } else { boolean(value) } {
            Some(on) => Ok(on),
            None => Err(format!("invalid value for {key}: {value}")),
        };
        match key.as_str() {
            "type" => mount.r#type = value.to_ascii_lowercase(),
            "source" | "src" => mount.source = value.to_owned(),
            "target" | "dst" | "destination" => mount.target = value.to_owned(),
            "readonly" | "ro" => mount.read_only = switch()?,
            "consistency" => mount.consistency = value.to_ascii_lowercase(),
            "bind-nonrecursive" => bind(&mut mount).non_recursive = switch()?,
            "volume-nocopy" => volume(&mut mount).no_copy = switch()?,
            _ => option(&mut mount, &key, value)?,
        }
    }
    check(&mount)?;
    Ok(mount)
}

/// The keys that belong to one type of mount.
fn option(mount: &mut Mount, key: &str, value: &str) -> Result<(), String> {
    match key {
        "bind-propagation" => bind(mount).propagation = value.to_ascii_lowercase(),
        "bind-create-src" => {
            bind(mount).create_mountpoint =
                boolean(value).ok_or(format!("invalid value for {key}: {value}"))?;
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => bind(mount).non_recursive = true,
            "writable" => bind(mount).read_only_non_recursive = true,
            "readonly" => bind(mount).read_only_force_recursive = true,
            _ => {
                return Err(format!(
                    "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \
                     \"writable\", or \"readonly\")"
                ));
            }
        },
        "volume-subpath" => volume(mount).subpath = value.to_owned(),
        "volume-driver" => volume(mount).driver_config.name = value.to_owned(),
        "volume-label" => {
            volume(mount).labels.extend([key_value(value)]);
        }
        "volume-opt" => {
            volume(mount).driver_config.options.extend([key_value(value)]);
        }
        "image-subpath" => {
            mount.image_options.get_or_insert_default().subpath = value.to_owned();
        }
        "tmpfs-size" => {
            tmpfs(mount).size_bytes =
                bytes(value).map_err(|_invalid| format!("invalid value for {key}: {value}"))?;
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8);
            tmpfs(mount).mode =
                Some(mode.map_err(|_invalid| format!("invalid value for {key}: {value}"))?);
        }
        _ => return Err(format!("unexpected key '{key}' in '{key}={value}'")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

/// What only the whole mount can tell.
fn check(mount: &Mount) -> Result<(), String> {
    let kind = mount.r#type.as_str();
    if kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    for (options, wanted, given) in [
        ("bind", "bind", mount.bind_options.is_some()),
        ("volume", "volume", mount.volume_options.is_some()),
        ("image", "image", mount.image_options.is_some()),
        ("tmpfs", "tmpfs", mount.tmpfs_options.is_some()),
    ] {
        if given && kind != wanted {
            return Err(format!("cannot mix '{options}-*' options with mount type '{kind}'"));
        }
    }
    if let Some(options) = &mount.bind_options {
        if options.read_only_non_recursive && !mount.read_only {
            return Err("option 'bind-recursive=writable' requires 'readonly' to be specified in \
                        conjunction"
                .to_owned());
        }
        if options.read_only_force_recursive
            && !(mount.read_only && options.propagation == "rprivate")
        {
            return Err("option 'bind-recursive=readonly' requires 'readonly' and \
                        'bind-propagation=rprivate' to be specified in conjunction"
                .to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn mounts_of_every_type() {
        let json = |text: &str| parse(text).map(|m| serde_json::to_string(&m).unwrap());
        for (text, want) in [
            ("dst=/v", r#"{"Type":"volume","Target":"/v"}"#),
            (
                "type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave",
                r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}}"#,
            ),
            (
                "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777",
                r#"{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1023}}"#,
            ),
            ("type=volume,dst=/v,ro=false", r#"{"Type":"volume","Target":"/v"}"#),
        ] {
            assert_eq!(json(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, want) in [
            ("foo", "invalid field 'foo' must be a key=value pair"),
            ("type=bind", "target is required"),
            ("a=b,dst=/x", "unexpected key 'a' in 'a=b'"),
            (
                "type=bind,dst=/x,tmpfs-size=1m",
                "cannot mix 'tmpfs-*' options with mount type 'bind'",
            ),
            ("dst=/x,readonly=maybe", "invalid value for readonly: maybe"),
            ("type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(want), "{text}");
        }
    }
}
