//! The requests of `hull` against those of the real docker CLI, for the same command lines.
//!
//! Needs `docker` (28.2) in the path and is skipped, saying so, where there is none. The daemon is a
//! scripted one that records what it is asked.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(clippy::disallowed_methods, reason = "drives the programs as a user does")]
#![expect(clippy::unwrap_used, reason = "a scripted daemon that fails should fail its test")]

mod recorder;

use std::path::Path;
use std::process::{Command, Stdio};

use recorder::{Recorder, Request};

/// Command lines whose create request must be the same.
const CREATE: &str = r#"
create busybox
create busybox sh -c echo
create -i busybox cat
create -it busybox
create -a stdout -a stderr -i busybox
create -a stdin busybox
create --env-file env -e HOME -e HULL_TEST_NOT_SET -e X= busybox
create -l a=b -l c --label-file labels busybox
create -h host.dom.example --domainname d busybox
create -v /x:/y:rw,z -v /anon busybox
create -v ./rel:/b busybox
create -v data:/data busybox
create --mount type=bind,src=/tmp,dst=/t,readonly --mount type=volume,src=v,dst=/v,volume-nocopy busybox
create --mount type=bind,source=/tmp,target=/t,bind-propagation=rslave,bind-recursive=disabled busybox
create --mount type=volume,dst=/v,volume-driver=local,volume-opt=type=nfs,volume-label=x=y busybox
create --mount type=tmpfs,dst=/tm,tmpfs-size=1m,tmpfs-mode=1777 busybox
create --tmpfs /t:size=1m,mode=700 --tmpfs /u busybox
create --read-only --init --stop-signal SIGINT --stop-timeout 5 busybox
create --restart on-failure:3 busybox
create --restart unless-stopped busybox
create --rm busybox
create --network none busybox
create --network host busybox
create --net foo --ip 1.2.3.4 --ip6 fe80::1 --network-alias al --mac-address 02:42:ac:11:00:02 busybox
create --network name=foo,alias=a,alias=b,driver-opt=x=y,ip=1.2.3.4 --network bar busybox
create --net container:abc busybox
create --pid host --ipc shareable --uts host --userns host --cgroupns private busybox
create --privileged --cap-add NET_ADMIN --cap-drop ALL --cap-add sys_admin busybox
create --security-opt no-new-privileges --security-opt seccomp=unconfined --security-opt systempaths=unconfined busybox
create --security-opt seccomp=profile.json busybox
create -m 512m --memory-swap 1g --memory-reservation 100m --memory-swappiness 0 busybox
create -m 1.5g --memory-swap -1 busybox
create --cpus 1.5 -c 512 --cpuset-cpus 0-1 --cpuset-mems 0 busybox
create --cpu-period 100000 --cpu-quota 50000 --cpu-rt-period 1000 --cpu-rt-runtime 950 busybox
create --pids-limit -1 --ulimit nofile=1024:2048 --ulimit core=0 --ulimit nproc=-1 busybox
create --device /dev/null --device /dev/zero:/dev/z:r --device-cgroup-rule c_1:3_rwm busybox
create --dns 1.1.1.1 --dns-search ex.com --dns-opt ndots:1 busybox
create --add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway busybox
create --shm-size 128m --oom-score-adj -500 --oom-kill-disable --group-add 5 --group-add audio busybox
create --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 busybox
create -p 8080:80 -p 127.0.0.1:9090:90/udp -p 70 -p 3000-3002:4000-4002 -P --expose 99 --expose 100-102/udp busybox
create -p [::1]:80:80 -p 8000-8010:81 busybox
create --health-cmd true --health-interval 5s --health-timeout 1m --health-retries 3 --health-start-period 2s busybox
create --no-healthcheck busybox
create --gpus all busybox
create --gpus device=0,capabilities=utility busybox
create --annotation a=b --cgroup-parent /x --runtime runc --isolation default busybox
create --entrypoint /bin/ls busybox -l
create --entrypoint= -w /tmp -u 1000:1000 busybox
create --blkio-weight 500 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:100 busybox
create --volumes-from a --volumes-from b:ro --volume-driver x --link a:b --storage-opt size=1G busybox
create --platform linux/amd64 --name foo busybox
create --link-local-ip 169.254.1.1 busybox
create --sysctl net.core.somaxconn=1 busybox
run -d busybox
run -d --rm=false -t=true busybox
"#;

/// Other command lines which must send the same.
const OTHERS: &str = r#"
container ls -a
ps -n 3 -s -f status=running -f label=a=b
ps -l
images -f dangling=true foo
image ls -a
start c
stop -t 3 c
stop -s INT c
restart c
kill -s INT c
pause c
unpause c
rm -f -v c
rename a b
tag a b:c
tag a localhost:5000/b
rmi -f a
image rm --no-prune a/b:c
volume create -o a=b --label x=y nm
volume create
volume rm -f nm
volume ls -f dangling=true
volume prune -f -a
network ls -f driver=bridge
container prune -f --filter until=1
image prune -f -a
history a
save -o archive a b
load -q -i env
import -c CMD_x -m msg - a:b
pull -q busybox
pull -q localhost:5000/a/b:c
events --since 5 --until 6 -f type=container
top c aux
wait c
logs --since 5 --tail 5 -t c
exec -d -e A=b -w /x -u root --privileged c sh -c true
"#;

fn is_docker_here() -> bool {
    let version = Command::new("docker").arg("--version").stdout(Stdio::null()).status();
    let is_here = version.is_ok_and(|status| status.success());
    if !is_here {
        eprintln!("skipped: docker is not installed");
    }
    is_here
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("env", "A=1\n# c\n\nHOME\nHULL_TEST_NOT_SET\nB=x y\n");
    write("labels", "la=1\nlb\n");
    write("profile.json", "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }");
    directory
}

/// What one program sends for a line.
fn sent(program: &str, line: &str, directory: &Path) -> Vec<Request> {
    let recorder = Recorder::start(&directory.join("socket"));
    // An underscore stands for a space inside an argument.
    let arguments = line.split(' ').map(|word| match word {
        "c_1:3_rwm" | "CMD_x" => word.replace('_', " "),
        word => word.to_owned(),
    });
    let status = Command::new(program)
        .arg("-H")
        .arg(format!("unix://{}", directory.join("socket").display()))
        .args(arguments)
        .current_dir(directory)
        .env("HOME", "/root")
        .env_remove("HULL_TEST_NOT_SET")
        .env_remove("DOCKER_API_VERSION")
        .env_remove("DOCKER_DEFAULT_PLATFORM")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.unwrap();
    recorder.requests()
}

#[test]
fn create_sends_what_docker_sends() {
    if !is_docker_here() {
        return;
    }
    let directory = directory();
    let mut differences = Vec::new();
    for line in CREATE.lines().filter(|line| !line.is_empty()) {
        let create = |program: &str| {
            let all = sent(program, line, directory.path());
            let mut create = all.into_iter().find(|r| r.path == "/containers/create")?;
            // Docker's flags come out of a map, so it sends these in any order.
            if let Some(list) = create.body["Env"].as_array_mut() {
                list.sort_by_key(ToString::to_string);
            }
            Some(create)
        };
        let (docker, hull) = (create("docker"), create(env!("CARGO_BIN_EXE_hull")));
        assert!(docker.is_some(), "docker refused: {line}");
        if hull != docker {
            differences.push(format!("{line}\n  docker: {docker:?}\n  hull:   {hull:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn other_commands_send_what_docker_sends() {
    if !is_docker_here() {
        return;
    }
    let directory = directory();
    let mut differences = Vec::new();
    for line in OTHERS.lines().filter(|line| !line.is_empty()) {
        // Docker first looks at the container before an exec; hull leaves that to the engine.
        let relevant = |program: &str| {
            let mut all = sent(program, line, directory.path());
            all.retain(|request| !(line.starts_with("exec") && request.method == "GET"));
            all
        };
        let (docker, hull) = (relevant("docker"), relevant(env!("CARGO_BIN_EXE_hull")));
        assert!(!docker.is_empty(), "docker sent nothing: {line}");
        if hull != docker {
            differences.push(format!("{line}\n  docker: {docker:?}\n  hull:   {hull:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
