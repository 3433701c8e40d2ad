//! placeholder
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use hull_container::cgroup::*;
use hull_container::launch::{self, Stdio};
use hull_container::plan::*;

fn s(a: &str) -> String { a.to_owned() }
fn new(t: &str, fs: &str, o: &[(&str,&str)], a: u64) -> Mount {
    Mount { target: s(t), source: Source::New { filesystem: s(fs), options: o.iter().map(|(a,b)| (s(a), s(b))).collect() }, attributes: a, propagation: Propagation::Private }
}
fn main() {
    let base = 0x7000_0000u32;
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    for x in ["lower/bin","lower/etc","upper","work"] { std::fs::create_dir_all(d.join(x)).unwrap(); }
    std::fs::copy("/bin/busybox", d.join("lower/bin/busybox")).unwrap();
    for x in ["sh","true","id","cat","ls","mount","touch","chown"] { std::os::unix::fs::symlink("busybox", d.join("lower/bin").join(x)).unwrap(); }
    std::fs::write(d.join("lower/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let mut cg = Cgroup::default();
    for l in std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
        let (a,b) = l.split_once(" - ").unwrap();
        let mp = a.split(' ').nth(4).unwrap();
        let f: Vec<&str> = b.split(' ').collect();
        let h = match f[0] { "cgroup" => Hierarchy::V1(f[2].split(',').skip(1).map(s).collect()), "cgroup2" => Hierarchy::V2, _ => continue };
        let cpuset = matches!(&h, Hierarchy::V1(n) if n.iter().any(|n| n=="cpuset"));
        let parents = if cpuset { vec![Write{file: s("cgroup.clone_children"), value: s("1"), missing: Missing::Fail}] } else { vec![] };
        cg.directories.push(Directory { mount: PathBuf::from(mp), path: PathBuf::from("hull/testing"), hierarchy: h, parents, writes: vec![], devices: vec![] });
    }
    let m = |i| vec![IdMap { inside: 0, outside: i, count: 65536 }];
    let user = if std::env::var_os("NOUSER").is_some() { User::Host } else { User::New { uids: m(base), gids: m(base) } };
    let script = std::env::args().nth(1).unwrap_or(s("true"));
    let plan = LaunchPlan {
        id: s("testing"),
        namespaces: Namespaces { user, pid: Namespace::New, ipc: Namespace::New, uts: Namespace::New, net: Namespace::New, cgroup: Namespace::New },
        cgroup: cg,
        root: Root { files: Rootfs::Overlay { lowers: vec![d.join("lower")], upper: d.join("upper"), work: d.join("work") }, read_only: false },
        mounts: vec![new("/proc","proc",&[],0xe), Mount{target: s("/dev"), source: Source::Devices, attributes: 0, propagation: Propagation::Private},
            new("/dev/pts","devpts",&[("newinstance",""),("ptmxmode","0666"),("mode","0620"),("gid","5")],0xa), new("/sys","sysfs",&[],0xf), new("/dev/shm","tmpfs",&[("mode","1777"),("size","64m")],0xe), new("/dev/mqueue","mqueue",&[],0xe)],
        devices: [("null",1,3),("zero",1,5),("full",1,7),("random",1,8),("urandom",1,9),("tty",5,0)].iter().map(|(n,a,b)| Device{path: format!("/dev/{n}"), block: false, major:*a, minor:*b, mode: 0o666, uid:0, gid:0}).collect(),
        masked: vec![s("/proc/kcore"), s("/sys/firmware")], read_only: vec![s("/proc/sys")],
        sysctls: vec![(s("net.ipv4.ip_unprivileged_port_start"), s("0"))], hostname: Some(s("tester")), domainname: None, oom_score_adj: None, init: None,
        process: Process { args: vec![s("sh"), s("-c"), script], env: vec![s("PATH=/bin")], cwd: s("/work"), make_cwd: true, user: s(""), groups: vec![],
            capabilities: Capabilities { bounding: 0xa80425fb, effective: 0xa80425fb, permitted: 0xa80425fb, inheritable: 0, ambient: 0 }, no_new_privileges: false, seccomp: Seccomp::default(), rlimits: vec![], umask: 0o22, terminal: false },
    };
    let n = if std::env::args().len() > 1 { 1 } else { 20 };
    for _ in 0..n {
    let t0 = std::time::Instant::now();
    let sp = launch::spawn(&plan).unwrap();
    let t1 = std::time::Instant::now();
    let dup = || -> OwnedFd { rustix::io::dup(rustix::stdio::stderr()).unwrap() };
    let a = sp.assemble(Stdio::Streams([dup(), dup(), dup()])).unwrap();
    let t2 = std::time::Instant::now();
    let r = a.start().unwrap();
    let t3 = std::time::Instant::now();
    let st = rustix::process::waitpid(Some(r.pid), rustix::process::WaitOptions::empty()).unwrap();
    let t4 = std::time::Instant::now();
    plan.cgroup.remove(std::time::Duration::from_secs(1)).unwrap();
    eprintln!("{:?} spawn {:?} assemble {:?} start {:?} run {:?} rm {:?}", st, t1-t0, t2-t1, t3-t2, t4-t3, t4.elapsed());
    }
    let _ : &Path = d;
}
