//! Plans as tables.

use hull_model::process::Streams;

use super::*;
use crate::cgroup::Hierarchy;
use crate::host::CgroupMount;
use crate::plan::Source;

fn spec() -> GuestSpec {
    let mut spec = GuestSpec::default();
    spec.process.cmd = Some(vec!["true".to_owned()]);
    spec
}

fn facts() -> HostFacts {
    let unified = CgroupMount {
        mount: "/sys/fs/cgroup".into(),
        hierarchy: Hierarchy::V2,
        controllers: Vec::new(),
        links: Vec::new(),
    };
    let cgroups = vec![unified];
    HostFacts {
        cgroups,
        kernel: (6, 18),
        last_capability: 40,
        seccomp: true,
        ..HostFacts::default()
    }
}

fn plan(
    spec: &GuestSpec,
    change: impl FnOnce(&mut LaunchContext<'_>),
) -> Result<LaunchPlan, PlanError> {
    let (host, volumes, seccomp) = (facts(), BTreeMap::new(), seccomp::Cache::default());
    let mut cx = LaunchContext {
        id: GuestId::from_random([0xab; 32]),
        host: &host,
        ids: Some(IdRange::new(100_000, IdRange::SIZE)),
        root: Rootfs::Path("/r".into()),
        files: &[],
        volumes: &volumes,
        devices: &[],
        init: None,
        cgroup_parent: "/hull",
        seccomp: &seccomp,
        partners: Partners::default(),
    };
    change(&mut cx);
    launch(spec, &cx)
}

#[test]
fn everything_is_the_guests_own_by_default() {
    let plan = plan(&spec(), |_| {}).unwrap();
    let Namespaces { user, mount, pid, ipc, uts, net, cgroup, time } = &plan.namespaces;
    assert!([pid, ipc, uts, net, cgroup].iter().all(|one| **one == Namespace::New));
    let map = vec![IdMap { inside: 0, outside: 100_000, count: 65_536 }];
    assert_eq!(*user, User::New { uids: map.clone(), gids: map });
    assert_eq!((mount, time), (&Namespace::New, &Time::Host));
    assert_eq!(plan.hostname.as_deref(), Some("abababababab"));
    assert_eq!(plan.process.env[1], "HOSTNAME=abababababab");
    assert!(plan.masked.contains(&"/proc/kcore".to_owned()));
    assert!(plan.read_only.contains(&"/proc/sys".to_owned()));
    assert!(!plan.process.seccomp.program.is_empty());
    assert_eq!(plan.devices.len(), 6);
}

#[test]
fn privileged_has_no_masks_and_no_filter() {
    let mut spec = spec();
    spec.security.privileged = true;
    let plan = plan(&spec, |cx| cx.ids = None).unwrap();
    assert!(plan.masked.is_empty() && plan.read_only.is_empty());
    assert!(plan.process.seccomp.program.is_empty());
    assert_eq!(plan.namespaces.user, User::Host);
    assert_eq!(plan.process.capabilities.bounding, 0x1ff_ffff_ffff);
}

#[test]
fn a_partners_user_namespace_comes_with_its_network() {
    let mut spec = spec();
    spec.namespaces.network = Network::Guest("other".to_owned());
    assert!(matches!(plan(&spec, |_| {}), Err(PlanError::NoPartner("net"))));
    let partner = Partner { id: GuestId::from_random([1; 32]), pid: 77 };
    let plan = plan(&spec, |cx| cx.partners.network = Some(partner)).unwrap();
    assert_eq!(plan.namespaces.net, Namespace::Join("/proc/77/ns/net".into()));
    let path = PathBuf::from("/proc/77/ns/user");
    assert_eq!(plan.namespaces.user, User::Join(path));
    // Settings of a namespace belong to who made it.
    assert!(plan.sysctls.is_empty());
}

#[test]
fn shared_memory_goes_with_the_ipc_namespace() {
    let shm = |ipc: Ipc| {
        let mut spec = spec();
        spec.namespaces.ipc = ipc;
        let partner = Partner { id: GuestId::from_random([1; 32]), pid: 77 };
        let plan = plan(&spec, |cx| cx.partners.ipc = Some(partner)).unwrap();
        let mount = plan.mounts.iter().find(|mount| mount.target == "/dev/shm");
        mount.map(|mount| mount.source.clone())
    };
    let theirs = Source::Foreign { namespace: "/proc/77/ns/mnt".into(), path: "/dev/shm".into() };
    assert_eq!(shm(Ipc::Guest("other".to_owned())), Some(theirs));
    let hosts = Source::Bind { path: "/dev/shm".into(), recursive: true };
    assert_eq!(shm(Ipc::Host), Some(hosts));
    assert_eq!(shm(Ipc::None), None);
    for own in [Ipc::Private, Ipc::Shareable] {
        assert!(matches!(shm(own), Some(Source::New { filesystem, .. }) if filesystem == "tmpfs"));
    }
    let mut spec = spec();
    spec.namespaces.ipc = Ipc::Guest("other".to_owned());
    assert!(matches!(plan(&spec, |_| {}), Err(PlanError::NoPartner("ipc"))));
}

#[test]
fn devices_can_be_anywhere_but_behind_dots() {
    let with = |path: &str| {
        let path = path.to_owned();
        let node =
            Device { path, kind: NodeKind::Block, major: 8, minor: 0, mode: 0o600, uid: 0, gid: 0 };
        devices(&[GrantedDevice { node, access: "rwm".to_owned() }]).map(|all| all.len())
    };
    for good in ["/dev/sda", "/dev/a/b", "/opt/disk"] {
        assert_eq!(with(good).unwrap(), 7, "{good}");
    }
    for bad in ["/", "", "dev/sda", "/dev/../etc/x"] {
        assert!(matches!(with(bad), Err(PlanError::Device { .. })), "{bad}");
    }
}

#[test]
fn user_namespaces_are_as_asked_for() {
    let mut spec = spec();
    let ids = IdRange::new(100_000, 1_000);
    let small = plan(&spec, |cx| cx.ids = Some(ids)).unwrap();
    let User::New { uids, .. } = &small.namespaces.user else { panic!("no namespace") };
    assert_eq!(uids[..], [IdMap { inside: 0, outside: 100_000, count: 1_000 }]);
    assert!(small.sysctls.iter().any(|(_, value)| value == "0 999"), "{:?}", small.sysctls);
    spec.namespaces.user = Users::Guest("other".to_owned());
    assert!(matches!(plan(&spec, |_| {}), Err(PlanError::NoPartner("user"))));
    let partner = Some(Partner { id: GuestId::from_random([1; 32]), pid: 77 });
    let joined = plan(&spec, |cx| cx.partners.user = partner).unwrap();
    assert_eq!(joined.namespaces.user, User::Join("/proc/77/ns/user".into()));
}

#[test]
fn who_needs_the_host_joins_its_partners_from_there() {
    let mut spec = spec();
    spec.security.privileged = true;
    spec.namespaces.network = Network::Guest("other".to_owned());
    let partner = Partner { id: GuestId::from_random([1; 32]), pid: 77 };
    let plan = plan(&spec, |cx| {
        cx.partners.network = Some(partner);
        cx.ids = None;
    });
    let namespaces = plan.unwrap().namespaces;
    assert_eq!(namespaces.net, Namespace::Join("/proc/77/ns/net".into()));
    assert_eq!(namespaces.user, User::Host);
}

#[test]
fn the_environment_is_dockers() {
    let mut spec = spec();
    spec.streams = Streams { tty: true, ..Streams::default() };
    spec.process.env = ["A=1", "PATH=/bin", "A=2", "TERM", "EMPTY="].map(str::to_owned).into();
    spec.hostname = "h".to_owned();
    let plan = plan(&spec, |_| {}).unwrap();
    assert_eq!(plan.process.env, ["PATH=/bin", "HOSTNAME=h", "A=2", "EMPTY="]);
    assert!(plan.process.terminal);
}

#[test]
fn an_exec_has_the_guests_settings_and_its_own() {
    let mut guest = spec();
    guest.process.user = "www".to_owned();
    guest.process.cwd = Some("/srv".to_owned());
    guest.process.env = vec!["A=1".to_owned()];
    let wanted = ExecSpec {
        args: vec!["sh".to_owned()],
        env: vec!["A=2".to_owned()],
        ..ExecSpec::default()
    };
    let (host, seccomp) = (facts(), seccomp::Cache::default());
    let cx = ExecContext {
        id: GuestId::from_random([0xab; 32]),
        host: &host,
        ids: None,
        cgroup_parent: "/hull",
        seccomp: &seccomp,
    };
    let plan = exec(&guest, &wanted, &cx).unwrap();
    let named = |user: &str| Identity::Named { user: user.to_owned(), groups: Vec::new() };
    assert_eq!((&plan.process.identity, plan.process.cwd.as_str()), (&named("www"), "/srv"));
    assert_eq!(plan.process.env[2], "A=2");
    assert!(!plan.process.make_cwd && !plan.process.seccomp.program.is_empty());
    let root = ExecSpec { user: "0".to_owned(), privileged: true, ..wanted };
    let plan = exec(&guest, &root, &cx).unwrap();
    assert_eq!(plan.process.identity, named("0"));
    assert!(plan.process.seccomp.program.is_empty());
    assert!(matches!(exec(&guest, &ExecSpec::default(), &cx), Err(PlanError::NoCommand)));
}

#[test]
fn what_cannot_be_planned_is_said() {
    let say = |change: &dyn Fn(&mut GuestSpec)| {
        let mut spec = spec();
        change(&mut spec);
        plan(&spec, |_| {}).unwrap_err().to_string()
    };
    assert_eq!(say(&|spec| spec.process.cmd = None), "no command specified");
    assert!(say(&|spec| spec.process.cwd = Some("x".to_owned())).contains("'x' is invalid"));
    for parent in ["../..", "/a/../b", "/a/./../b"] {
        let error = say(&|spec| spec.cgroup_parent = parent.to_owned());
        assert!(error.contains(parent), "{error}");
    }
    let bad = Wanted::Profile("{}".to_owned());
    assert!(say(&|spec| spec.security.seccomp = bad.clone()).contains("seccomp profile"));
}
