//! Users, programs and terminals.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hull_container::Kind;

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("what_cannot_be_run_is_said_in_dockers_words", what_cannot_be_run),
    ("users_are_those_of_the_image", users_are_those_of_the_image),
    ("a_missing_working_directory_is_made", a_missing_working_directory_is_made),
    ("a_terminal_is_one", a_terminal_is_one),
    ("an_init_is_process_one", an_init_is_process_one),
    ("limits_of_the_process_are_set", limits_of_the_process_are_set),
    ("a_profile_of_the_users_own_is_used", a_profile_of_the_users_own_is_used),
];

fn what_cannot_be_run() {
    let mut guest = Guest::new();
    let path = guest.lower("bin/plain");
    fs::write(&path, "no program").unwrap();
    let said = |guest: &mut Guest, word: &str| {
        let failure = guest.command(&[word]).fail();
        (failure.kind, failure.message)
    };
    let missing = "exec: \"foo\": executable file not found in $PATH";
    assert_eq!(said(&mut guest, "foo"), (Kind::CommandNotFound, missing.to_owned()));
    let missing = "exec: \"./x\": stat ./x: no such file or directory";
    assert_eq!(said(&mut guest, "./x"), (Kind::CommandNotFound, missing.to_owned()));
    let denied = "exec: \"/bin/plain\": permission denied";
    assert_eq!(said(&mut guest, "/bin/plain"), (Kind::NotExecutable, denied.to_owned()));
    let directory = "exec: \"/etc\": is a directory";
    assert_eq!(said(&mut guest, "/etc"), (Kind::NotExecutable, directory.to_owned()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let format = "exec /bin/plain: exec format error";
    assert_eq!(said(&mut guest, "/bin/plain"), (Kind::NotExecutable, format.to_owned()));
    fs::write(&path, "#!/no/interpreter\n").unwrap();
    let missing = "exec /bin/plain: no such file or directory";
    assert_eq!(said(&mut guest, "/bin/plain"), (Kind::CommandNotFound, missing.to_owned()));
}

fn users_are_those_of_the_image() {
    let mut guest = Guest::new();
    guest.shell("id -u; id -g; id -G; echo $HOME");
    let rows = [
        ("", "0 0 0 /root"),
        ("www-data", "33 33 33 4 /var/www"),
        ("33:adm", "33 4 4 /var/www"),
        ("1000:2000", "1000 2000 2000 /"),
    ];
    for (user, wanted) in rows {
        guest.spec.process.user = user.to_owned();
        let out = guest.run().unwrap().output;
        assert_eq!(out.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{user:?}");
    }
    guest.spec.process.user = "foo".to_owned();
    let failure = guest.fail();
    assert_eq!(failure.message, "unable to find user foo: no matching entries in passwd file");
    assert_eq!(failure.kind, Kind::NoSuchUser);
    // Beyond the range of the user namespace.
    guest.spec.process.user = "70000".to_owned();
    assert_eq!(guest.fail().kind, Kind::NoSuchUser);
}

fn a_missing_working_directory_is_made() {
    let mut guest = Guest::new();
    guest.spec.process.cwd = Some("/made/for/me".to_owned());
    guest.spec.root_read_only = true;
    assert_eq!(guest.shell("pwd").run().unwrap().output, "/made/for/me\n");
    guest.spec.process.cwd = Some("/etc/passwd".to_owned());
    assert!(guest.fail().message.contains("/etc/passwd"));
}

fn a_terminal_is_one() {
    let mut guest = Guest::new();
    guest.spec.streams.tty = true;
    guest.spec.process.user = "www-data".to_owned();
    let script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; \
                  echo console > /dev/console; echo again > /dev/tty; stat -c %u /dev/pts/0";
    let out = guest.shell(script).run().unwrap().output.replace('\r', "");
    assert_eq!(out, "/dev/pts/0\n24 80\nall\nconsole\nagain\n33\n");
}

fn an_init_is_process_one() {
    let mut guest = Guest::new();
    // Any static program does: this one is called with `-- sh -c …` and ends.
    let init = guest.dir.path().join("init");
    fs::copy("/bin/busybox", &init).unwrap();
    guest.init = Some(init);
    let out = guest.shell("true").run().unwrap();
    // busybox says that it has no applet of the name it was called by.
    assert!(out.output.contains(".hull-init"), "{out:?}");
    guest.command(&["missing"]);
    assert_eq!(guest.fail().kind, Kind::CommandNotFound);
}

fn limits_of_the_process_are_set() {
    use hull_model::limits::{Resource, Rlimit};
    let mut guest = Guest::new();
    let limit = |resource, soft, hard| Rlimit { resource, soft: Some(soft), hard: Some(hard) };
    guest.spec.limits.rlimits = vec![limit(Resource::Nofile, 64, 128), limit(Resource::Core, 0, 0)];
    guest.spec.limits.oom_score_adj = 321;
    let script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; umask";
    assert_eq!(guest.shell(script).run().unwrap().output, "64\n128\n0\n321\n0022\n");
}

fn a_profile_of_the_users_own_is_used() {
    let mut guest = Guest::new();
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    guest.spec.security.seccomp = hull_model::security::Seccomp::Profile(profile.to_owned());
    let out = guest.shell("mkdir /x; touch /y && echo fine").run().unwrap().output;
    assert!(out.contains("No space left on device") && out.ends_with("fine\n"), "{out}");
}
