//! The log as other programs read it.

use std::path::Path;
use std::time::Duration;

use hull_shim::protocol::{Answer, Ask, Process, Stdin};
use serde_json::Value;

use crate::guest::{Draft, exit, possible};

#[test]
fn the_log_is_dockers_json_lines_with_long_ones_cut() {
    if !possible() {
        return;
    }
    let script = "echo '<a> \"b\"'; printf '\\377\\376\\n' >&2; \
                  head -c 40000 /dev/zero | tr '\\0' x; echo; printf end";
    let guest = Draft::script(script).spawn();
    assert_eq!(guest.run().0.code, 0);
    let log = guest.log();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |stream: &str| -> Vec<String> {
        let all = entries.iter().filter(|entry| entry["stream"] == stream);
        all.map(|entry| entry["log"].as_str().unwrap().to_owned()).collect()
    };
    let lengths: Vec<usize> = of("stdout").iter().map(String::len).collect();
    assert_eq!(lengths, [8, 16_384, 16_384, 40_000 - 2 * 16_384 + 1, 3]);
    assert_eq!(of("stderr"), ["\u{fffd}\u{fffd}\n"]);
    assert!(log.starts_with(r#"{"log":"\u003ca\u003e \"b\"\n","stream":"stdout","time":"2"#));
    assert!(log.lines().all(|line| line.ends_with("Z\"}")));
}

#[test]
fn a_log_is_rotated_while_it_is_written() {
    if !possible() {
        return;
    }
    let mut draft = Draft::new(&["busybox", "seq", "1", "20000"]);
    let log = draft.plan.log.as_mut().unwrap();
    (log.size_max, log.files_max) = (Some(100_000), 3);
    let path = log.path.clone();
    let guest = draft.spawn();
    assert_eq!(guest.run().0.code, 0);
    for (name, size_min) in [("log", 1), ("log.1", 100_000), ("log.2", 100_000)] {
        let size = std::fs::metadata(path.with_file_name(name)).unwrap().len();
        assert!((size_min..100_100).contains(&size), "{name}: {size}");
    }
    assert!(!path.with_file_name("log.3").exists());
    assert!(guest.log().contains(r#""20000\n""#));
}

/// A small file system of its own, gone with the value.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(path: &'a Path, size: &str) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        rustix::mount::mount("tmpfs", path, "tmpfs", flags, Some(options.as_c_str())).unwrap();
        Self(path)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_costs_log_lines_but_not_the_guest_nor_its_status() {
    if !possible() {
        return;
    }
    let mut draft =
        Draft::script("busybox seq 1 20000; read line; echo after; exit 8").stdin(Stdin::Open);
    let small = draft.path().join("small");
    let tmpfs = Tmpfs::mount(&small, "256k");
    draft.plan.log.as_mut().unwrap().path = small.join("log");
    draft.plan.exit_file = small.join("exit");
    let ballast = small.join("ballast");
    std::fs::write(&ballast, vec![0; 64 << 10]).unwrap();
    let mut guest = draft.spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    let mut lost = 0;
    crate::guest::eventually("lines are lost", || {
        let Answer::State(state) = client.ask(Ask::State).unwrap() else { panic!() };
        lost = state.log_lines_lost;
        let log = std::fs::read_to_string(small.join("log")).unwrap();
        log.lines().count() as u64 + lost == 20_000
    });
    assert!(lost > 10_000, "{lost}");
    // Nothing is torn.
    let log = std::fs::read_to_string(small.join("log")).unwrap();
    assert!(log.ends_with("\"}\n"));
    // Somebody makes room: the log goes on and says what is missing.
    std::fs::remove_file(&ballast).unwrap();
    client.ask(Ask::CloseStdin { process: Process::Guest }).unwrap();
    assert_eq!(exit(&mut client).code, 8);
    let log = std::fs::read_to_string(small.join("log")).unwrap();
    assert!(log.contains(&format!("{lost} lines of output were lost")), "{lost}");
    assert!(log.contains("after"));
    guest.wait_for_shim();
    assert_eq!(guest.exit_file().code, 8);
    drop(tmpfs);
}

#[test]
fn a_status_fits_on_a_disk_that_is_full_since_the_start() {
    if !possible() {
        return;
    }
    let mut draft = Draft::script("sleep 0.3; exit 21");
    let small = draft.path().join("small");
    let tmpfs = Tmpfs::mount(&small, "64k");
    draft.plan.log = None;
    draft.plan.exit_file = small.join("exit");
    let mut guest = draft.spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    // Fails at the end of the space, which is the point.
    std::fs::write(small.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(exit(&mut client).code, 21);
    guest.wait_for_shim();
    assert_eq!(guest.exit_file().code, 21);
    drop(tmpfs);
}

#[test]
fn a_status_that_cannot_be_written_waits_to_be_heard() {
    if !possible() {
        return;
    }
    let mut draft = Draft::script("exit 22");
    draft.plan.exit_file = draft.path().join("no/such/directory/exit");
    let mut guest = draft.spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    // The daemon dies before it hears anything.
    drop(client);
    std::thread::sleep(Duration::from_millis(1500));
    let (_client, state) = guest.connect();
    let text = format!("{state:?}");
    assert!(text.contains("Exited") && text.contains("code: 22"), "{text}");
    guest.wait_for_shim();
}
