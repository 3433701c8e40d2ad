//! What people do in containers every day, and what trips engines with user namespaces: as root of a
//! Debian with services in it, with the defaults.

use hull_tests::{Daemon, Settings, Tool, daemon, images, need};

/// A daemon with the image `debian`.
fn debian() -> Daemon {
    let d = Daemon::start(Settings::default());
    let limit = std::time::Duration::from_secs(300);
    let import = d.docker("import").arg(images::debian_services()).arg("debian");
    assert_eq!(import.run_within(limit).status, 0);
    d
}

/// Runs a script in a new container and compares what it prints.
fn prints(d: &Daemon, flags: &str, script: &str, wanted: &str) -> Result<(), String> {
    let run = format!("run --rm --network none {flags} debian bash -c");
    let done = d.docker(&run).arg(script).run();
    let seen = done.stdout.trim_end();
    match seen == wanted {
        true => Ok(()),
        false => Err(format!("{script}\nprints {seen:?}\nnot    {wanted:?}\n{}", done.stderr)),
    }
}

/// Flags, script, output.
const HABITS: [(&str, &str, &str); 16] = [
    // Accounts.
    (
        "",
        "useradd -m bob && id bob && su - bob -c 'whoami; echo $HOME'",
        "uid=1000(bob) gid=1000(bob) groups=1000(bob)\nbob\n/home/bob",
    ),
    (
        "",
        "useradd bob; echo 'bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bob; \
          su bob -c 'id -u; sudo id -u; sudo -u postgres id -un'",
        "1000\n0\npostgres",
    ),
    (
        "",
        "useradd bob; echo bob:Old-secret1 | chpasswd; \
          su bob -c 'printf \"Old-secret1\\nN3w-secret!\\nN3w-secret!\\n\" | passwd' >&2; echo $?",
        "0",
    ),
    // Owners: all that 16 bits can say, and what is above.
    (
        "",
        "cd /tmp; touch f; for id in 1 1000 65534 65535; do chown $id:$id f; stat -c %u:%g f; done; \
          chown 65536 f 2>/dev/null; echo $?",
        "1:1\n1000:1000\n65534:65534\n65535:65535\n1",
    ),
    (
        "",
        "stat -c '%U:%G %a' /etc/shadow /var/lib/postgresql /usr/bin/sudo",
        "root:shadow 640\npostgres:postgres 755\nroot:root 4755",
    ),
    // Packages.
    (
        "",
        "mkdir -p /p/DEBIAN /p/opt; printf 'Package: own\\nVersion: 1\\nArchitecture: all\\n\
          Maintainer: me\\nDescription: x\\n' > /p/DEBIAN/control; \
          printf '#!/bin/sh\\nuseradd -r svc; chown svc /opt/own\\n' > /p/DEBIAN/postinst; \
          chmod 755 /p/DEBIAN/postinst; echo hi > /p/opt/own; \
          dpkg-deb -b /p /own.deb >&2 && apt-get install -y /own.deb >&2 && stat -c %U /opt/own && \
          apt-get remove -y own >&2 && ls /opt | wc -l",
        "svc\n0",
    ),
    (
        "",
        "dpkg --remove --force-depends cron >&2; dpkg-query -W -f '${Status}\\n' cron",
        "deinstall ok config-files",
    ),
    // Services.
    (
        "",
        "nginx && curl -s -o /dev/null -w '%{http_code}\\n' localhost; \
          for p in $(pgrep nginx); do stat -c %U /proc/$p; done | sort -u",
        "200\nroot\nwww-data",
    ),
    (
        "",
        "pg_ctlcluster 15 main start && su postgres -c \"psql -Atc 'select 6*7'\"; \
          su postgres -c '/usr/lib/postgresql/15/bin/initdb -D /tmp/new' >/dev/null 2>&1; echo $?",
        "42\n0",
    ),
    (
        "",
        "echo '@reboot www-data touch /tmp/ran' > /etc/cron.d/x; cron; \
          for i in $(seq 100); do [ -e /tmp/ran ] && break; sleep 0.1; done; stat -c %U /tmp/ran",
        "www-data",
    ),
    (
        "--user 1000",
        "timeout 5 perl -MIO::Socket::INET -e \
          'print IO::Socket::INET->new(LocalPort=>80,Listen=>1)?\"bound\":$!'",
        "bound",
    ),
    // Programs with rights of their own.
    (
        "--cap-drop ALL --user 1000",
        "cp /bin/ping /tmp/p; /tmp/p -c1 127.0.0.1 | grep -o '1 received'",
        "1 received",
    ),
    (
        "",
        "cp /bin/ping /tmp/p; setcap cap_net_raw+ep /tmp/p && getcap /tmp/p && \
          setpriv --reuid 1000 --clear-groups /tmp/p -c1 127.0.0.1 | grep -o '1 received'",
        "/tmp/p cap_net_raw=ep\n1 received",
    ),
    // As with Docker: no mounts. Unlike it: no device nodes, which no user namespace may make.
    (
        "",
        "mount -t tmpfs x /mnt 2>/dev/null; echo $?; mknod /n c 1 3 2>/dev/null; echo $?; \
          mknod /p p && stat -c %F /p",
        "32\n1\nfifo",
    ),
    // FUSE.
    (
        "--device /dev/fuse --cap-add SYS_ADMIN",
        "truncate -s 8M /i; mke2fs -q -t ext4 /i; fuse2fs /i /mnt -o fakeroot >&2; echo hi > /mnt/x; \
      cat /mnt/x; grep -c fuse.ext4 /proc/self/mounts; umount /mnt && ls /mnt | wc -l",
        "hi\n1\n0",
    ),
    (
        "--device /dev/fuse",
        "stat -c '%U:%G %F' /dev/fuse; umount /mnt 2>/dev/null; echo $?",
        "root:root character special file\n32",
    ),
];

#[test]
fn a_debian_with_services_is_what_it_is_elsewhere() {
    need!("docker", "busybox", "ip", "nft", "mmdebstrap");
    let d = debian();
    let failed: Vec<String> = HABITS
        .iter()
        .filter_map(|(flags, script, wanted)| prints(&d, flags, script, wanted).err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    // The daemon's socket inside, as Portainer and Testcontainers' Ryuk have it.
    let socket = format!("-v {}:/var/run/docker.sock", d.socket().display());
    d.docker("create --name victim --label ryuk=1 --network none busybox").ok();
    let script = "api() { curl -sS -X $1 --unix-socket /var/run/docker.sock http://d$2; }; \
                  api GET /_ping; echo; \
                  id=$(api GET '/containers/json?all=1&filters=%7B%22label%22:%5B%22ryuk=1%22%5D%7D' \
                  | grep -o '\"Id\":\"[0-9a-f]*' | cut -d'\"' -f4); \
                  api DELETE \"/containers/$id?force=1\"; api GET /containers/victim/json";
    let wanted = "OK\n{\"message\":\"No such container: victim\"}";
    prints(&d, &socket, script, wanted).unwrap();
    // Who is not root inside has no more rights to it than there.
    let refused = prints(
        &d,
        &format!("{socket} --user 33"),
        "api=1; curl -sS --unix-socket \
        /var/run/docker.sock http://d/_ping 2>/dev/null || echo refused",
        "refused",
    );
    refused.unwrap();
}

#[test]
fn volumes_and_bind_mounts_have_the_same_owners_for_all() {
    let d = daemon!();
    d.run_detached("--name holder -v shared:/v busybox sleep 1000");
    d.docker("exec holder sh -c").arg("echo one > /v/f; chown 33:50 /v/f; chmod 640 /v/f").ok();
    let other = "run --rm --network none -v shared:/v";
    let look = d.docker(&format!("{other} busybox stat -c %u:%g:%a /v/f"));
    assert_eq!(look.ok(), "33:50:640");
    assert_eq!(d.docker(&format!("{other} --user 33 busybox cat /v/f")).ok(), "one");
    d.docker(&format!("{other} --user 34 busybox cat /v/f")).fails(1);
    // Also for one that has the host's users.
    let host = format!("{other} --userns host busybox stat -c %u:%g /v/f");
    assert_eq!(d.docker(&host).ok(), "33:50");
    let dir = d.files().join("bind");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("mine"), "").unwrap();
    std::os::unix::fs::chown(dir.join("mine"), Some(1000), Some(1000)).unwrap();
    let bind = format!("run --rm --network none -v {}:/b busybox sh -c", dir.display());
    let script = "stat -c %u:%g /b/mine; touch /b/new; chown 5:6 /b/new";
    assert_eq!(d.docker(&bind).arg(script).ok(), "1000:1000");
    let seen = Tool::new("stat", "-c %u:%g").arg(dir.join("new")).ok();
    assert_eq!(seen, "5:6", "the host sees what Docker would have written");
}
