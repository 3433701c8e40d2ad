//! `GET /version`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::version::ApiVersion;

/// What the daemon knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct VersionView<'a> {
    /// hull's version.
    pub version: &'a str,
    /// The commit it was built from; empty if that is not known.
    pub commit: &'a str,
    /// When it was built, RFC 3339; empty if that is not known.
    pub build_time: &'a str,
    /// The compiler's version, `rustc 1.95.0`.
    pub compiler: &'a str,
    /// The kernel's release.
    pub kernel: &'a str,
    /// Go's name of the processor: `amd64`.
    pub architecture: &'a str,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    platform: Platform,
    components: Vec<Component>,
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    git_commit: String,
    go_version: String,
    os: &'static str,
    arch: String,
    kernel_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    build_time: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Platform {
    name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: &'static str,
    version: String,
    details: BTreeMap<&'static str, String>,
}

/// The answer about `view`. The docker CLI shows the details of the component `Engine`.
pub fn write(view: &VersionView<'_>) -> Version {
    let details = [
        ("ApiVersion", ApiVersion::MAX.to_string()),
        ("MinAPIVersion", ApiVersion::MIN.to_string()),
        ("GitCommit", view.commit.to_owned()),
        ("GoVersion", view.compiler.to_owned()),
        ("Os", "linux".to_owned()),
        ("Arch", view.architecture.to_owned()),
        ("KernelVersion", view.kernel.to_owned()),
        ("BuildTime", view.build_time.to_owned()),
        ("Experimental", "false".to_owned()),
    ];
    Version {
        platform: Platform { name: "hull" },
        components: vec![Component {
            name: "Engine",
            version: view.version.to_owned(),
            details: details.into(),
        }],
        version: view.version.to_owned(),
        api_version: ApiVersion::MAX.to_string(),
        min_api_version: ApiVersion::MIN.to_string(),
        git_commit: view.commit.to_owned(),
        go_version: view.compiler.to_owned(),
        os: "linux",
        arch: view.architecture.to_owned(),
        kernel_version: view.kernel.to_owned(),
        build_time: view.build_time.to_owned(),
    }
}
