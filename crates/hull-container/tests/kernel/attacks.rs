//! What a hostile image or guest tries.
//!
//! The tests of the modules show each attack twice: failing against hull, and succeeding against a hull
//! that was deliberately weakened, by another plan or by taking away a defence that is code
//! (`hull_container::weakened`; only built by `cargo xtask attack`). `docs/security.md` lists them.

mod exhaustion;
mod others;
mod paths;
mod powers;
mod weak;

use std::fs;
use std::os::unix::fs::symlink;

use crate::Test;
use crate::fixture::Guest;
use crate::isolation::bound;

/// Attacks by area.
pub(crate) const AREAS: [&[Test]; 4] =
    [paths::TESTS, powers::TESTS, others::TESTS, exhaustion::TESTS];

pub(crate) const TESTS: &[Test] = &[
    ("links_in_the_place_of_kernel_mounts_are_refused", kernel_mounts),
    ("a_target_behind_links_stays_inside", a_target_behind_links_stays_inside),
    ("nothing_can_be_mounted_inside_proc", nothing_can_be_mounted_inside_proc),
    ("a_working_directory_cannot_lead_outside", working_directory),
    ("endless_or_strange_user_files_do_not_hang", user_files),
    ("a_missing_source_is_named", a_missing_source_is_named),
    ("the_launchers_program_cannot_be_reached", the_launchers_program_cannot_be_reached),
    ("the_launcher_cannot_be_looked_into", the_launcher_cannot_be_looked_into),
];

fn kernel_mounts() {
    for name in ["proc", "dev", "sys"] {
        let mut guest = Guest::new();
        guest.command(&["true"]);
        symlink("/tmp", guest.lower(name)).unwrap();
        let failure = guest.fail();
        assert_eq!(
            failure.message,
            format!("mount at /{name}: the image has a symbolic link there")
        );
    }
}

fn a_target_behind_links_stays_inside() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("mark"), "").unwrap();
    let mut guest = Guest::new();
    symlink(outside.path(), guest.lower("abs")).unwrap();
    symlink("../../../../../../../../../etc", guest.lower("up")).unwrap();
    guest.spec.mounts = vec![
        bound(source.path(), "/abs/sub", false),
        bound(source.path(), "/up/hull-test-target", false),
    ];
    let out = guest.shell("ls /abs/sub /etc/hull-test-target").run().unwrap();
    assert_eq!(out.output.matches("mark").count(), 2, "{}", out.output);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!std::path::Path::new("/etc/hull-test-target").exists());
}

fn nothing_can_be_mounted_inside_proc() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "mine\n").unwrap();
    let file = source.path().join("file");
    let mut guest = Guest::new();
    symlink("/proc/self/attr", guest.lower("sly")).unwrap();
    guest.command(&["true"]);
    for target in ["/proc/self/attr/exec", "/proc/sys/kernel/hostname", "/sly/exec"] {
        guest.spec.mounts = vec![bound(&file, target, false)];
        let failure = guest.fail();
        assert!(failure.message.contains("mount"), "{failure}");
    }
    // LXCFS does this.
    guest.spec.mounts = vec![bound(&file, "/proc/uptime", false)];
    assert_eq!(guest.shell("cat /proc/uptime").run().unwrap().output, "mine\n");
}

fn working_directory() {
    let mut guest = Guest::new();
    for fd in ["3", "5", "7", "9", "11"] {
        guest.spec.process.cwd = Some(format!("/proc/self/fd/{fd}/../../.."));
        match guest.shell("ls /; pwd").run() {
            Ok(out) => assert!(!out.output.contains("/work"), "{}", out.output),
            Err(failure) => assert!(failure.message.contains("/proc/self/fd"), "{failure}"),
        }
    }
}

fn user_files() {
    let mut guest = Guest::new();
    guest.spec.process.user = "somebody".to_owned();
    fs::remove_file(guest.lower("etc/passwd")).unwrap();
    symlink("/dev/zero", guest.lower("etc/passwd")).unwrap();
    guest.command(&["true"]);
    assert!(guest.fail().message.starts_with("unable to find user somebody"));
    fs::remove_file(guest.lower("etc/passwd")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, guest.lower("etc/passwd"), fifo, mode, 0).unwrap();
    assert!(guest.fail().message.starts_with("unable to find user somebody"));
}

fn a_missing_source_is_named() {
    let mut guest = Guest::new();
    guest.command(&["true"]);
    guest.spec.mounts = vec![bound(std::path::Path::new("/no/such/source"), "/x", false)];
    let failure = guest.fail();
    assert_eq!(failure.message, "bind source path does not exist: /no/such/source");
    assert_eq!(failure.kind, hull_container::Kind::NoSuchSource);
}

/// CVE-2019-5736: `#!/proc/self/exe` runs the launcher's own program inside the guest. It must at
/// least not be writable there, whoever runs it.
fn the_launchers_program_cannot_be_reached() {
    use std::os::unix::fs::PermissionsExt;
    let mut guest = Guest::new();
    let script = "#!/proc/self/exe\n";
    fs::write(guest.lower("bin/evil"), script).unwrap();
    fs::set_permissions(guest.lower("bin/evil"), fs::Permissions::from_mode(0o755)).unwrap();
    let program = std::env::current_exe().unwrap();
    let before = fs::metadata(&program).unwrap().modified().unwrap();
    // The interpreter is resolved inside, where it is the process's program, which is not there by
    // name; whether the kernel runs it or not, the file stays as it was.
    drop(guest.command(&["evil"]).run());
    assert_eq!(fs::metadata(&program).unwrap().modified().unwrap(), before);
}

/// A process of the guest watches `/proc` while others are added, and tries their doors.
fn the_launcher_cannot_be_looked_into() {
    let mut guest = Guest::new();
    let spy = "while :; do for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n -gt 2 ] || continue; \
               l=$(readlink $p/exe) && case $l in /bin/*) ;; *) echo seen $l;; esac; \
               f=$(readlink $p/cwd) && case $f in /|/root) ;; *) echo cwd $f;; esac; \
               done; done 2>/dev/null";
    guest.shell(&format!("({spy}) > /tmp/seen & sleep 60"));
    let live = guest.start().unwrap();
    for _ in 0..20 {
        assert_eq!(live.exec(&["true"]).unwrap().status, 0);
    }
    assert_eq!(live.exec(&["cat", "/tmp/seen"]).unwrap().output, "");
}
