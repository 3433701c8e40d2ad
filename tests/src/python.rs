//! Python with docker-py.

use crate::{Tool, program};

/// The virtual environment with docker-py, made once; `None` if it cannot be made.
pub fn with_docker() -> Option<std::path::PathBuf> {
    let dir = program::cache().join("docker-py");
    let python = dir.join("bin/python");
    let lock = std::fs::File::create(program::cache().join("docker-py.lock")).unwrap();
    lock.lock().unwrap();
    let works = |python: &std::path::Path| {
        python.exists() && Tool::new(python, "-c 'import docker'").run().status == 0
    };
    if !works(&python) {
        Tool::new("python3", "-m venv").arg(&dir).run();
        Tool::new(dir.join("bin/pip"), "install --quiet docker").run();
    }
    works(&python).then_some(python)
}
