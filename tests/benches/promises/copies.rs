//! Trees of many files into a container and out of it, beside `tar | tar`.

use std::fs;
use std::time::Instant;

use hull_tests::{Tool, program};

use crate::{Row, daemon};

/// Files of the tree, and their size.
const FILES: (usize, usize) = (10_000, 4_000);

pub(crate) fn both_ways() -> Vec<Row> {
    let d = daemon();
    let tree = d.files().join("tree");
    for at in 0..FILES.0 {
        let directory = tree.join(format!("d{}", at / 100));
        if at % 100 == 0 {
            fs::create_dir_all(&directory).unwrap();
        }
        fs::write(directory.join(at.to_string()), vec![b'x'; FILES.1]).unwrap();
    }
    d.run_detached("--name box busybox sleep 1000");
    let hull = program::hull().display().to_string();
    let timed = |script: String| {
        let tool = Tool::new("sh", "-c").arg(script).directory(d.files());
        let start = Instant::now();
        tool.env("HULL_HOST", d.host()).ok();
        start.elapsed().as_secs_f64() * 1000.0
    };
    let pipe = timed("mkdir plain && tar -cf - tree | tar -xf - -C plain".to_owned());
    let into = timed(format!("{hull} cp tree box:/tree"));
    let back = timed(format!("{hull} cp box:/tree back"));
    let beside = |row: Row| row.beside([("tar | tar".to_owned(), pipe)]);
    // The tree is read, sent through a socket and written: three times what the pipe does.
    vec![
        beside(Row::at_most("cp of 10,000 files into a container", into, pipe * 3.0, "ms")),
        beside(Row::at_most("cp of 10,000 files out of a container", back, pipe * 3.0, "ms")),
    ]
}
