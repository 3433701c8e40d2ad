//! Any `/etc/passwd` and `/etc/group`: whoever is looked for is found or not, within Docker's range.
#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Vec<String>, &[u8], &[u8])| {
    let (user, groups, passwd, group) = input;
    let (passwd, group) = (file(passwd), file(group));
    let path = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    if let Some(ids) = hull_container::fuzz::user(user, &groups, (&path(&passwd), &path(&group))) {
        assert!(!ids.is_empty() && ids.len() <= 65_537);
        assert!(ids.iter().all(|id| *id <= 0x7fff_ffff));
    }
});

fn file(content: &[u8]) -> File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("fuzz", flags).expect("memory for a file"));
    file.write_all(content).expect("memory for its content");
    file
}
