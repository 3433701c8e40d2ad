//! How much goes through: logs, and images onto the disk.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use hull_tests::images::Image;
use hull_tests::{Tool, program};

use crate::{Row, daemon};

/// Lines that a guest writes.
const LINES: usize = 2_000_000;
/// Files of the image that is loaded, and their size.
const FILES: (usize, usize) = (4_000, 50_000);

pub(crate) fn logs_and_load() -> Vec<Row> {
    vec![logs(), load()]
}

fn logs() -> Row {
    let d = daemon();
    let start = Instant::now();
    let id = d.run_detached(&format!("busybox seq 1 {LINES}"));
    d.docker("wait").arg(&id).ok();
    let written = start.elapsed();
    let bytes: usize = (1..=LINES).map(|line| line.to_string().len() + 1).sum();
    let rate = bytes as f64 / 1e6 / written.as_secs_f64();
    Row::at_least("output of a guest into its log, 7-byte lines", rate, 20.0, "MB/s")
}

fn load() -> Row {
    let d = daemon();
    let mut layer = tar::Builder::new(Vec::new());
    let mut noise = 1_u64;
    for at in 0..FILES.0 {
        let mut bytes = vec![0; FILES.1];
        for part in bytes.chunks_exact_mut(8) {
            // xorshift: what does not compress and is no run of zeros.
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            part.copy_from_slice(&noise.to_le_bytes());
        }
        let path = format!("usr/share/d{}/f{at}", at / 100);
        hull_tests::images::file(&mut layer, &path, 0o644, &bytes);
    }
    let mut image = Image::tiny("big:1", &[]);
    image.layers = vec![layer.into_inner().unwrap()];
    let layer_path = d.files().join("layer.tar");
    fs::write(&layer_path, &image.layers[0]).unwrap();
    let archive_path = d.files().join("big.tar");
    fs::write(&archive_path, image.docker_archive()).unwrap();
    let megabytes = image.layers[0].len() as f64 / 1e6;

    let unpacked = d.files().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let start = Instant::now();
    let words = format!("-x -f {} -C {}", layer_path.display(), unpacked.display());
    Tool::new("tar", &words).ok();
    let tar = megabytes / start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut hull = Command::new(program::hull());
    hull.args(["load", "--quiet", "-i"]).arg(&archive_path).env("HULL_HOST", d.host());
    assert!(hull.stdout(Stdio::null()).status().unwrap().success());
    let loaded = megabytes / start.elapsed().as_secs_f64();
    // Twice what Docker was seen to do: 66 MB/s of tar.
    Row::at_least("load + unpack", loaded, 132.0, "MB/s").beside([("tar -x".to_owned(), tar)])
}
