//! `--security-opt`, capabilities, `--privileged`, `--userns`, and the daemon's own defaults.

use hull_tests::{Settings, daemon};

use crate::{by_both, refused, seen};

#[test]
fn security_options_do_what_they_say_or_are_refused() {
    let d = daemon!();
    let status = |flags: &str| {
        seen(&d, flags, "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\n\\t'")
    };
    assert_eq!(status(""), "NoNewPrivs:0Seccomp:2");
    assert_eq!(status("--security-opt no-new-privileges"), "NoNewPrivs:1Seccomp:2");
    assert_eq!(status("--security-opt no-new-privileges:true"), "NoNewPrivs:1Seccomp:2");
    assert_eq!(status("--security-opt no-new-privileges=false"), "NoNewPrivs:0Seccomp:2");
    assert_eq!(status("--security-opt seccomp=unconfined"), "NoNewPrivs:0Seccomp:0");
    assert_eq!(status("--security-opt seccomp=builtin"), "NoNewPrivs:0Seccomp:2");
    let masked = |flags: &str| {
        seen(
            &d,
            flags,
            "head -c 1 /proc/kcore 2>/dev/null | wc -c; test -w /proc/sys/kernel/domainname; echo $?",
        )
    };
    assert_eq!(masked("").lines().next(), Some("0"));
    let flags = "--security-opt systempaths=unconfined";
    let covered = "grep -c ' /proc/sys ' /proc/mounts || true";
    assert_eq!((seen(&d, "", covered), seen(&d, flags, covered)), ("1".into(), "0".into()));
    // On a host without them AppArmor and SELinux confine nothing, as with Docker.
    for flags in ["apparmor=unconfined", "label=disable"] {
        seen(&d, &format!("--security-opt {flags}"), "true");
    }
    for (option, why) in [
        ("bogus=1", "invalid --security-opt 2: \"bogus=1\""),
        ("no-new-privileges=maybe", "invalid --security-opt 2"),
        ("seccomp=/no/such/file", "/no/such/file"),
    ] {
        refused(&d, &format!("--security-opt {option}"), why);
    }
    if d.get("/info").json()["CgroupVersion"] == "1" {
        let why = "not supported by this kernel: writable-cgroups=true needs cgroup v2";
        refused(&d, "--security-opt writable-cgroups=true", why);
    } else {
        seen(&d, "--security-opt writable-cgroups=true", "mkdir /sys/fs/cgroup/own");
    }
    for done in by_both(&d, "--security-opt writable-cgroups=false", "mkdir /sys/fs/cgroup/own") {
        assert_ne!(done.status, 0);
    }
}

#[test]
fn a_profile_decides_by_capability_and_architecture_and_bad_ones_are_refused() {
    let d = daemon!();
    let write = |name: &str, text: &str| {
        let path = d.files().join(name);
        std::fs::write(&path, text).unwrap();
        format!("--security-opt seccomp={}", path.display())
    };
    let rule = |more: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["mkdir","mkdirat"],
                "action":"SCMP_ACT_ERRNO","errnoRet":95{more}}}]}}"#
        )
    };
    let status = |flags: &str| by_both(&d, flags, "mkdir /x").map(|done| done.status != 0);
    assert_eq!(status(&write("plain", &rule(""))), [true, true]);
    let excluded = rule(r#","excludes":{"caps":["CAP_SYS_ADMIN"]}"#);
    let excluded = write("excluded", &excluded);
    assert_eq!(status(&excluded), [true, true]);
    assert_eq!(status(&format!("{excluded} --cap-add SYS_ADMIN")), [false, false]);
    let foreign = rule(r#","includes":{"arches":["s390x"]}"#);
    assert_eq!(status(&write("foreign", &foreign)), [false, false]);
    for (name, text, why) in [
        ("none", "not json", "seccomp"),
        ("action", r#"{"defaultAction":"SCMP_ACT_WHAT"}"#, "SCMP_ACT_WHAT"),
        (
            "both",
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
                "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#,
            "not both",
        ),
    ] {
        refused(&d, &write(name, text), why);
    }
}

#[test]
fn the_daemons_own_defaults_hold_where_a_guest_does_not_say() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile.json");
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&profile, text).unwrap();
    let arguments = format!("--no-new-privileges --seccomp-profile {}", profile.display());
    let d = daemon!(Settings { arguments, ..Settings::default() });
    let script = "grep NoNewPrivs /proc/self/status | tr -dc 01; mkdir /x 2>/dev/null && echo made";
    let run = |flags: &str| by_both(&d, flags, script)[0].stdout.clone();
    assert_eq!(run(""), "1");
    assert_eq!(
        run("--security-opt no-new-privileges=false --security-opt seccomp=builtin"),
        "0made\n"
    );
    let id = d.run_detached("busybox sleep 1000");
    let inside = d.docker("exec").arg(&id).arg("sh").arg("-c").arg(script).run();
    assert_eq!(inside.stdout, "1");
    let options = d.get("/info").json()["SecurityOptions"].to_string();
    assert!(
        options.contains("name=no-new-privileges") && options.contains("profile=custom"),
        "{options}"
    );
}

#[test]
fn capabilities_are_added_and_dropped_by_any_spelling() {
    let d = daemon!();
    let bits = |flags: &str| {
        let text = seen(&d, flags, "grep CapEff /proc/self/status | cut -f 2");
        u64::from_str_radix(&text, 16).unwrap()
    };
    let default = bits("");
    assert_eq!(default, 0xa804_25fb);
    for name in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"] {
        assert_eq!(bits(&format!("--cap-add {name}")), default | 1 << 12, "{name}");
    }
    assert_eq!(bits("--cap-drop ALL"), 0);
    assert_eq!(bits("--cap-drop all --cap-add chown"), 1);
    assert_eq!(bits("--cap-add ALL --cap-drop SYS_ADMIN") & (1 << 21), 0);
    refused(&d, "--cap-add what", "unknown capability: \"CAP_WHAT\"");
    refused(&d, "--cap-drop what", "unknown capability: \"CAP_WHAT\"");
}

#[test]
fn privileged_and_userns_host_are_the_hosts_root() {
    let d = daemon!();
    // Each run may get another range: only whether it is one counts.
    let map = "tr -s ' ' < /proc/self/uid_map | sed 's/ [0-9]{6,} / RANGE /' -E";
    assert!(!seen(&d, "", map).starts_with("0 0 "));
    for flags in ["--privileged", "--userns host"] {
        assert!(seen(&d, flags, map).trim().starts_with("0 0 "), "{flags}");
    }
    let rights = "grep -E '^(Seccomp):' /proc/self/status; test -w /sys/fs/cgroup; ls /dev | wc -l";
    assert!(seen(&d, "--privileged", rights).contains("Seccomp:\t0"));
    refused(&d, "--userns what", "");
}
