//! A release: one archive, the same bytes for the same sources, and a Debian package.

mod archive;
mod deb;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Outcome;
use crate::packages::{self, Need};
use crate::run::{self, cargo, output, target};

const MUSL: &str = "x86_64-unknown-linux-musl";

/// What is made, and of when.
struct Release {
    version: String,
    /// Debian's name of the architecture.
    architecture: &'static str,
    /// Seconds since 1970 that every file gets: `SOURCE_DATE_EPOCH`, else the last commit's.
    time: u64,
}

/// Makes `target/dist/hull-VERSION-ARCHITECTURE.tar.gz` and `.deb`.
pub(crate) fn run() -> Outcome {
    packages::install(&[Need { thing: "musl-gcc", package: "musl-tools" }])?;
    packages::install(&[Need { thing: "dpkg-deb", package: "dpkg" }])?;
    let release = release()?;
    let dist = target().join("dist");
    std::fs::create_dir_all(&dist)?;
    let binary = build()?;
    let root = dist.join("root");
    tree::make(&root, &binary)?;
    let name = format!("hull-{}-{}", release.version, release.architecture);
    let archive = dist.join(format!("{name}.tar.gz"));
    archive::write(&archive, &name, &root, release.time)?;
    let package = dist.join(format!("hull_{}_{}.deb", release.version, release.architecture));
    deb::write(&package, &root, &release)?;
    archive::check(&archive, &name)?;
    deb::check(&package)?;
    for path in [archive, package] {
        println!("{}", output(Command::new("sha256sum").arg(path))?);
    }
    Ok(())
}

fn release() -> Outcome<Release> {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&output(cargo().args(metadata))?)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let hull = packages.find(|package| package["name"] == "hull");
    let version = hull.and_then(|hull| hull["version"].as_str()).ok_or("no package hull")?;
    let time = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(time) => time,
        Err(_) => output(Command::new("git").args(["log", "-1", "--format=%ct"]))?,
    };
    Ok(Release { version: version.to_owned(), architecture: "amd64", time: time.parse()? })
}

/// The binary, static and without paths of this machine in it.
fn build() -> Outcome<PathBuf> {
    let here = std::env::current_dir()?;
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=hull", here.display()),
        format!("--remap-path-prefix={home}=cargo"),
    ];
    let map = format!("-ffile-prefix-map={home}=cargo -ffile-prefix-map={}=hull", here.display());
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", "hull", "--target", MUSL]);
    build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("CFLAGS", map);
    run::run(&mut build)?;
    let binary = target().join(MUSL).join("release/hull");
    must_be_static(&binary)?;
    Ok(binary)
}

fn must_be_static(binary: &Path) -> Outcome {
    let output = Command::new("ldd").arg(binary).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if text.contains("statically linked") || text.contains("not a dynamic executable") {
        return Ok(());
    }
    Err(format!("{} is not static: {text}", binary.display()).into())
}
