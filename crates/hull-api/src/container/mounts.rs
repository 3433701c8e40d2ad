//! Mounts in the long form (`Mounts`), and all mounts of a guest together.

use std::collections::{BTreeMap, BTreeSet};

use hull_model::bytes::Bytes;
use hull_model::guest::VolumesFrom;
use hull_model::mount::{Mount, Origin, Propagation, Source, Target};

use super::binds::{self, host_path, is_tmpfs_option, volume_name};
use super::host_config::{self as wire, BindOptions, HostConfig, Set, TmpfsOptions, VolumeOptions};
use super::limits::number;
use crate::json::is_default;
use crate::refusal::{Refusal, Result, quote};

/// All mounts that `host` and `Config.Volumes` ask for. No target is mounted on twice; a declared
/// volume yields to any other mount at its place.
pub(super) fn read(host: &HostConfig, volumes: &Set) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for text in host.binds.as_deref().unwrap_or_default() {
        mounts.push(binds::read(text)?);
    }
    for mount in host.mounts.as_deref().unwrap_or_default() {
        mounts.push(read_long(mount)?);
    }
    for (path, options) in host.tmpfs.iter().flatten() {
        mounts.push(binds::read_tmpfs(path, options)?);
    }
    let mut taken = BTreeSet::new();
    for mount in &mounts {
        if !taken.insert(mount.target.clone()) {
            return Err(Refusal::invalid(format_args!(
                "Duplicate mount point: {}",
                mount.target.as_str()
            )));
        }
    }
    for path in volumes.keys() {
        let mount = binds::read_volume(path)?;
        if taken.insert(mount.target.clone()) {
            mounts.push(mount);
        }
    }
    Ok(mounts)
}

/// Writes `mounts` where [`read`] finds them; the declared volumes are [`volumes`].
pub(super) fn write(mounts: &[Mount], host: &mut HostConfig) {
    let of = |origin| mounts.iter().filter(move |mount| mount.origin == origin);
    let short: Vec<_> = of(Origin::Binds).map(binds::write).collect();
    host.binds = (!short.is_empty()).then_some(short);
    let long: Vec<_> = of(Origin::Mounts).map(write_long).collect();
    host.mounts = (!long.is_empty()).then_some(long);
    let tmpfs: BTreeMap<_, _> = of(Origin::Tmpfs)
        .map(|mount| (mount.target.as_str().to_owned(), binds::write_tmpfs(mount)))
        .collect();
    host.tmpfs = (!tmpfs.is_empty()).then_some(tmpfs);
}

/// `CONTAINER[:MODE]`; volumes keep how they are propagated and are not filled again, so no other
/// word than these is taken (moby `volume/mounts/linux_parser.go`, `ParseVolumesFrom`).
pub(super) fn read_from(texts: &[String]) -> Result<Vec<VolumesFrom>> {
    let read = |text: &String| {
        let (guest, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if guest.is_empty() {
            return Err(Refusal::invalid("volumes-from specification cannot be an empty string"));
        }
        let words: Vec<&str> = mode.split(',').filter(|_| !mode.is_empty()).collect();
        let known = words.iter().all(|word| matches!(*word, "ro" | "rw" | "z" | "Z"));
        if !known
            || words.len() > 2
            || words.contains(&"ro") == words.contains(&"rw") && words.len() > 1
        {
            return Err(Refusal::invalid(format_args!("invalid mode: {}", quote(mode))));
        }
        Ok(VolumesFrom { guest: guest.to_owned(), read_only: words.contains(&"ro") })
    };
    texts.iter().map(read).collect()
}

/// Writes `others` as [`read_from`] reads them.
pub(super) fn write_from(others: &[VolumesFrom]) -> Option<Vec<String>> {
    let write = |VolumesFrom { guest, read_only }: &VolumesFrom| match read_only {
        true => format!("{guest}:ro"),
        false => guest.clone(),
    };
    (!others.is_empty()).then(|| others.iter().map(write).collect())
}

/// `Config.Volumes` of `mounts`.
pub(super) fn volumes(mounts: &[Mount]) -> Option<Set> {
    let declared = mounts.iter().filter(|mount| mount.origin == Origin::Volumes);
    let paths: Set =
        declared.map(|mount| (mount.target.as_str().to_owned(), Default::default())).collect();
    (!paths.is_empty()).then_some(paths)
}

fn read_long(mount: &wire::Mount) -> Result<Mount> {
    let bad = |why: &str| {
        let kind = quote(&mount.r#type);
        Refusal::invalid(format_args!("invalid mount config for type \"{kind}\": {why}"))
    };
    if !matches!(mount.consistency.as_str(), "" | "default" | "consistent" | "cached" | "delegated")
    {
        return Err(bad("unknown Consistency"));
    }
    if mount.cluster_options.is_some() && mount.r#type != "cluster" {
        return Err(bad("field ClusterOptions must not be specified"));
    }
    let excess = |is_there: bool, field: &str| match is_there {
        true => Err(bad(&format!("field {field} must not be specified"))),
        false => Ok(()),
    };
    let kind = mount.r#type.as_str();
    excess(mount.bind_options.is_some() && kind != "bind", "BindOptions")?;
    excess(mount.volume_options.is_some() && kind != "volume", "VolumeOptions")?;
    excess(mount.tmpfs_options.is_some() && kind != "tmpfs", "TmpfsOptions")?;
    excess(mount.image_options.is_some() && kind != "image", "ImageOptions")?;
    let source = match kind {
        "bind" => read_bind(mount).map_err(|e| e.into_refusal(bad))?,
        "volume" => read_volume(mount).map_err(|e| e.into_refusal(bad))?,
        "tmpfs" => read_tmpfs(mount).map_err(|e| e.into_refusal(bad))?,
        "image" | "npipe" | "cluster" => {
            return Err(Refusal::unsupported("HostConfig.Mounts[].Type", kind));
        }
        _ => return Err(bad("mount type unknown")),
    };
    if mount.target.is_empty() {
        return Err(bad("field Target must not be empty"));
    }
    let target = Target::new(&mount.target).map_err(|e| bad(&e.to_string()))?;
    Ok(Mount { target, source, read_only: mount.read_only, origin: Origin::Mounts })
}

/// Why a mount is refused: with the type in front, or as it is.
enum Why {
    Text(String),
    Whole(Refusal),
}

impl Why {
    fn into_refusal(self, bad: impl FnOnce(&str) -> Refusal) -> Refusal {
        match self {
            Self::Text(why) => bad(&why),
            Self::Whole(refusal) => refusal,
        }
    }
}

impl From<&str> for Why {
    fn from(why: &str) -> Self {
        Self::Text(why.to_owned())
    }
}

fn read_bind(mount: &wire::Mount) -> Result<Source, Why> {
    let options = mount.bind_options.clone().unwrap_or_default();
    if mount.source.is_empty() {
        return Err("field Source must not be empty".into());
    }
    if options.read_only_non_recursive {
        let field = "HostConfig.Mounts[].BindOptions.ReadOnlyNonRecursive";
        return Err(Why::Whole(Refusal::unsupported(field, true)));
    }
    if options.read_only_force_recursive && !mount.read_only {
        return Err("mount is not read-only, ReadOnlyForceRecursive needs ReadOnly".into());
    }
    let propagation = match options.propagation.as_str() {
        "" => Propagation::default(),
        name => Propagation::from_name(name)
            .ok_or_else(|| Why::Text(format!("invalid propagation mode: {}", quote(name))))?,
    };
    Ok(Source::Bind {
        path: host_path(&mount.source).map_err(Why::Text)?,
        create: options.create_mountpoint,
        propagation,
        non_recursive: options.non_recursive,
    })
}

fn read_volume(mount: &wire::Mount) -> Result<Source, Why> {
    let options = mount.volume_options.clone().unwrap_or_default();
    let driver = options.driver_config.unwrap_or_default();
    let unsupported = |field: &str, value: String| {
        let field = format!("HostConfig.Mounts[].VolumeOptions.{field}");
        Err(Why::Whole(Refusal::unsupported(&field, value)))
    };
    let shown = |map: &wire::Map| serde_json::to_string(map).unwrap_or_default();
    match (&options.labels, &driver.options) {
        (Some(labels), _) if !labels.is_empty() => return unsupported("Labels", shown(labels)),
        (_, Some(map)) if !map.is_empty() => {
            return unsupported("DriverConfig.Options", shown(map));
        }
        _ => {}
    }
    if !options.subpath.is_empty() {
        return unsupported("Subpath", options.subpath);
    }
    if !matches!(driver.name.as_str(), "" | "local") {
        return unsupported("DriverConfig.Name", driver.name);
    }
    if mount.source.is_empty() && mount.read_only {
        return Err("must not set ReadOnly mode when using anonymous volumes".into());
    }
    let name = match mount.source.as_str() {
        "" => None,
        name => Some(volume_name(name).map_err(Why::Whole)?),
    };
    Ok(Source::Volume { name, copy: !options.no_copy })
}

fn read_tmpfs(mount: &wire::Mount) -> Result<Source, Why> {
    if !mount.source.is_empty() {
        return Err("field Source must not be specified".into());
    }
    let sent = mount.tmpfs_options.clone().unwrap_or_default();
    let size = u64::try_from(sent.size_bytes)
        .map_err(|_negative| Why::from("SizeBytes must not be negative"))?;
    if sent.mode > 0o7777 {
        return Err("Mode must not be above 07777".into());
    }
    let mut options = Vec::new();
    for words in sent.options.unwrap_or_default() {
        let option = words.join("=");
        if words.len() > 2 || option.contains(',') || !is_tmpfs_option(&option) {
            return Err(Why::Text(format!("invalid tmpfs option {:?}", quote(&option))));
        }
        options.push(option);
    }
    Ok(Source::Tmpfs {
        size: (size > 0).then_some(Bytes::new(size)),
        mode: (sent.mode > 0).then_some(sent.mode),
        options,
    })
}

fn write_long(mount: &Mount) -> wire::Mount {
    let mut sent = wire::Mount {
        target: mount.target.as_str().to_owned(),
        read_only: mount.read_only,
        ..wire::Mount::default()
    };
    let some = |options| (options != Default::default()).then_some(options);
    match &mount.source {
        Source::Bind { path, create, propagation, non_recursive } => {
            sent.r#type = "bind".to_owned();
            sent.source.clone_from(path);
            let name = if is_default(propagation) { "" } else { propagation.name() };
            let options = BindOptions {
                propagation: name.to_owned(),
                non_recursive: *non_recursive,
                create_mountpoint: *create,
                ..BindOptions::default()
            };
            sent.bind_options = some(options);
        }
        Source::Volume { name, copy } => {
            sent.r#type = "volume".to_owned();
            sent.source = name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
            let options = VolumeOptions { no_copy: !copy, ..VolumeOptions::default() };
            sent.volume_options = (options != VolumeOptions::default()).then_some(options);
        }
        Source::Tmpfs { size, mode, options } => {
            sent.r#type = "tmpfs".to_owned();
            let pairs = options.iter().map(|o| o.split('=').map(str::to_owned).collect()).collect();
            let options = TmpfsOptions {
                size_bytes: size.map_or(0, |size| number(size.get())),
                mode: mode.unwrap_or_default(),
                options: (!options.is_empty()).then_some(pairs),
            };
            sent.tmpfs_options = (options != TmpfsOptions::default()).then_some(options);
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::decode;

    fn round(text: &str) -> String {
        let mount: wire::Mount = decode(text.as_bytes(), "Mount").unwrap();
        match read_long(&mount) {
            Ok(mount) => serde_json::to_string(&write_long(&mount)).unwrap(),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn long_mounts_survive_the_way_there_and_back() {
        for text in [
            r#"{"Type":"bind","Source":"/a","Target":"/b"}"#,
            r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave","NonRecursive":true,"CreateMountpoint":true}}"#,
            r#"{"Type":"volume","Target":"/b"}"#,
            r#"{"Type":"volume","Source":"v1","Target":"/b","ReadOnly":true,"VolumeOptions":{"NoCopy":true}}"#,
            r#"{"Type":"tmpfs","Target":"/b"}"#,
            r#"{"Type":"tmpfs","Target":"/b","TmpfsOptions":{"SizeBytes":65536,"Mode":511,"Options":[["noexec"],["uid","5"]]}}"#,
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn wrong_mounts_are_refused_in_dockers_words() {
        for (text, why) in [
            (r#"{"Type":"bind","Target":"/b"}"#, "field Source must not be empty"),
            (r#"{"Type":"bind","Source":"/a"}"#, "field Target must not be empty"),
            (r#"{"Type":"bind","Source":"a","Target":"/b"}"#, "mount path must be absolute"),
            (r#"{"Type":"bind","Source":"/a","Target":"b"}"#, "mount path must be absolute"),
            (r#"{"Type":"bind","Source":"/a","Target":"/"}"#, "destination can't be '/'"),
            (
                r#"{"Type":"bind","Source":"/a","Target":"/b","VolumeOptions":{}}"#,
                "field VolumeOptions must not be specified",
            ),
            (
                r#"{"Type":"volume","Target":"/b","ReadOnly":true}"#,
                "must not set ReadOnly mode when using anonymous volumes",
            ),
            (
                r#"{"Type":"volume","Target":"/b","BindOptions":{}}"#,
                "field BindOptions must not be specified",
            ),
            (
                r#"{"Type":"tmpfs","Source":"/a","Target":"/b"}"#,
                "field Source must not be specified",
            ),
            (
                r#"{"Type":"tmpfs","Target":"/b","TmpfsOptions":{"SizeBytes":-1}}"#,
                "SizeBytes must not be negative",
            ),
            (
                r#"{"Type":"tmpfs","Target":"/b","TmpfsOptions":{"Options":[["uid","1,size=9"]]}}"#,
                "invalid tmpfs option",
            ),
            (r#"{"Target":"/b"}"#, "mount type unknown"),
            (
                r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"Propagation":"x"}}"#,
                "invalid propagation mode: x",
            ),
        ] {
            let message = round(text);
            assert!(message.starts_with("invalid mount config for type"), "{message}");
            assert!(message.ends_with(why) || message.contains(why), "{message}");
        }
        for (text, field) in [
            (r#"{"Type":"image","Source":"a","Target":"/b"}"#, "Mounts[].Type=image"),
            (
                r#"{"Type":"volume","Source":"v1","Target":"/b","VolumeOptions":{"Subpath":"x"}}"#,
                "Subpath=x",
            ),
            (
                r#"{"Type":"volume","Source":"v1","Target":"/b","VolumeOptions":{"Labels":{"a":"b"}}}"#,
                "Labels=",
            ),
            (
                r#"{"Type":"volume","Source":"v1","Target":"/b","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}"#,
                "DriverConfig.Name=nfs",
            ),
            (
                r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"ReadOnlyNonRecursive":true}}"#,
                "ReadOnlyNonRecursive=true",
            ),
        ] {
            let message = round(text);
            assert!(
                message.contains("hull does not support") && message.contains(field),
                "{message}"
            );
        }
        assert!(
            round(r#"{"Type":"volume","Source":"../x","Target":"/b"}"#)
                .contains("local volume name")
        );
    }

    #[test]
    fn mounts_of_other_containers_are_taken_with_a_mode() {
        let round = |text: &str| match read_from(&[text.to_owned()]) {
            Ok(others) => write_from(&others).unwrap().remove(0),
            Err(refusal) => refusal.message,
        };
        for (sent, shown) in
            [("a", "a"), ("a:ro", "a:ro"), ("a:rw", "a"), ("a:z,ro", "a:ro"), ("a:", "a")]
        {
            assert_eq!(round(sent), shown);
        }
        for bad in ["x", "ro,rw", "nocopy", "rshared", "ro:x", "z,Z,z"] {
            assert_eq!(round(&format!("a:{bad}")), format!("invalid mode: {bad}"));
        }
        for empty in ["", ":ro"] {
            assert_eq!(round(empty), "volumes-from specification cannot be an empty string");
        }
    }

    #[test]
    fn no_place_is_mounted_on_twice() {
        let host = |text: &str| decode::<HostConfig>(text.as_bytes(), "HostConfig").unwrap();
        let twice = host(r#"{"Binds":["/a:/d"],"Tmpfs":{"/d/":""}}"#);
        assert_eq!(read(&twice, &Set::new()).unwrap_err().message, "Duplicate mount point: /d");
        let volumes = Set::from([
            ("/d".to_owned(), Default::default()),
            ("/e".to_owned(), Default::default()),
        ]);
        let mounts = read(&host(r#"{"Binds":["/a:/d"]}"#), &volumes).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!(super::volumes(&mounts).unwrap().into_keys().collect::<Vec<_>>(), ["/e"]);
    }

    proptest! {
        #[test]
        fn no_mount_panics_and_what_is_read_reads_back(
            kind in "(bind|volume|tmpfs|)", source in "[/a-z.]{0,8}", target in "[/a-z.]{0,8}", read_only: bool,
        ) {
            let sent = wire::Mount { r#type: kind, source, target, read_only, ..Default::default() };
            if let Ok(mount) = read_long(&sent) {
                prop_assert_eq!(read_long(&write_long(&mount)).unwrap(), mount);
            }
        }
    }
}
