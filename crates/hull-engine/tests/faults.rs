//! What once went wrong, or would if two things happened at once, on the real kernel.

#![expect(
    clippy::unwrap_used,
    reason = "this is test code, in functions clippy does not know as tests"
)]

mod ground;

use std::sync::Arc;
use std::time::Duration;

use ground::{Ground, config, import, shell};
use hull_engine::{Create, Engine, Guest, Kind, Progress, WaitFor};
use hull_model::event::Subject;
use hull_model::guest::{GuestSpec, StopTimeout};
use hull_model::life::State;
use hull_model::mount::{Mount, Origin, Source, Target};
use hull_model::name::Name;
use hull_model::namespace::Network;
use hull_model::process::ExecSpec;
use hull_model::restart::RestartPolicy;
use hull_model::signal::Signal;
use hull_shim::protocol::Message;
use tokio::time::{sleep, timeout};

const SLEEPS: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

/// Waits until `true_at_last` is.
async fn until(what: &str, true_at_last: impl Fn() -> bool) {
    for _ in 0..500 {
        if true_at_last() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {what}");
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn volume(name: Option<&Name>, target: &str) -> Mount {
    Mount {
        target: Target::new(target).unwrap(),
        source: Source::Volume { name: name.cloned(), copy: true },
        read_only: false,
        origin: Origin::Mounts,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_client_left_during_create_is_there_all_the_same() {
    let Some(ground) = Ground::with_shell().await else { return };
    for attempt in 0.. {
        let left = format!("left{attempt}");
        let request = Create { name: Some(name(&left)), spec: shell("true") };
        let mut asked = Box::pin(ground.engine.create(request));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let was_faster = asked.as_mut().poll(&mut cx).is_ready();
        drop(asked);
        until("the guest is found", || ground.engine.guest(&left).is_ok()).await;
        ground.engine.guest(&left).unwrap().remove(false, true).await.unwrap();
        if !was_faster {
            break;
        }
    }
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_whose_client_left_still_ends_in_a_kill() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell("trap '' TERM; while :; do sleep 0.05; done")).await;
    guest.start().await.unwrap();
    let patience = Some(StopTimeout::After(Duration::from_millis(400)));
    let stop = guest.stop(None, patience);
    assert!(timeout(Duration::from_millis(100), stop).await.is_err());
    until("it is killed", || !guest.view().is_running()).await;
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shim_forgets_execs_that_ended() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell(SLEEPS)).await;
    guest.start().await.unwrap();
    let args = ["/bin/sh", "-c", "exit 3"].map(str::to_owned).to_vec();
    let exec = guest.create_exec(ExecSpec { args, ..ExecSpec::default() }).unwrap();
    guest.start_exec(exec, None, None).await.unwrap();
    until("it ends", || guest.execs().is_empty()).await;
    let dir = ground.run_dir(&guest);
    until("the shim has forgotten it", || {
        hull_shim::client::Client::connect(&dir).unwrap().1.execs.is_empty()
    })
    .await;
    let progress = guest.exec(exec).unwrap().progress;
    assert!(matches!(progress, Progress::Ended { code: 3, .. }), "{progress:?}");
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_takes_along_no_volume_that_another_one_uses() {
    let Some(ground) = Ground::with_shell().await else { return };
    let mut spec = shell("true");
    spec.mounts = vec![volume(None, "/data")];
    let first = ground.create(spec.clone()).await;
    let anonymous = first.record().mounts[0].volume.clone().unwrap();
    spec.mounts = vec![volume(Some(&anonymous), "/data")];
    let second = ground.create(spec).await;
    first.remove(false, true).await.unwrap();
    ground.engine.volumes().find(anonymous.as_str()).expect("the second guest's volume is gone");
    second.remove(false, true).await.unwrap();
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_being_created_uses_cannot_be_removed() {
    let Some(ground) = Ground::with_shell().await else { return };
    let many: Vec<String> = (0..4000).map(|n| format!("data/{n}")).collect();
    import(&ground.engine, &many).await;
    let mut spec = shell("true");
    spec.mounts = vec![volume(Some(&name("busy")), "/data")];
    let engine = ground.engine.clone();
    let making = tokio::spawn(async move { engine.create(Create { name: None, spec }).await });
    until("it has begun", || ground.engine.volumes().find("busy").is_ok()).await;
    assert!(!making.is_finished(), "too fast to be looked at");
    let error = ground.engine.volumes().remove("busy", false).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict, "{error}");
    let error = ground.engine.images().remove("box", hull_engine::Force::No).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict, "{error}");
    making.await.unwrap().unwrap();
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarting_guest_is_removed_by_force_only() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest =
        ground.create(GuestSpec { restart: RestartPolicy::Always, ..shell("exit 1") }).await;
    guest.start().await.unwrap();
    // Between two looks it may run.
    for _ in 0..500 {
        let error = guest.remove(false, false).await.expect_err("removed without force");
        assert_eq!(error.kind, Kind::Conflict, "{error}");
        if error.to_string().contains("is restarting: stop the container") {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    guest.remove(true, false).await.unwrap();
    assert!(guest.view().removed);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_fails_is_restarted_as_often_as_its_policy_says() {
    let Some(ground) = Ground::with_shell().await else { return };
    let restart = RestartPolicy::OnFailure { retries: 2 };
    let guest = ground.create(GuestSpec { restart, ..shell("exit 5") }).await;
    guest.start().await.unwrap();
    until("it is given up", || !guest.view().is_running()).await;
    let record = guest.record();
    assert_eq!((record.restarts, record.exit.unwrap().code), (2, 5));
    assert_eq!(guest.view().exits, 3);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_dockers_and_in_its_order() {
    let Some(ground) = Ground::with_shell().await else { return };
    let (_, mut news) = ground.engine.events().watch(None);
    let guest = ground.create(shell(SLEEPS)).await;
    guest.start().await.unwrap();
    guest.restart(Some(Signal::KILL), None).await.unwrap();
    guest.stop(Some(Signal::KILL), None).await.unwrap();
    guest.remove(false, false).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "destroy") {
        let next = timeout(Duration::from_secs(5), news.next()).await.unwrap();
        if next.subject == Subject::Container {
            seen.push(next.action.clone());
        }
    }
    let expected = "create start kill die stop start restart kill die stop destroy";
    assert_eq!(seen.join(" "), expected);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_for_once_goes_when_its_start_is_refused() {
    let Some(ground) = Ground::with_shell().await else { return };
    let mut spec = GuestSpec { auto_remove: true, ..shell("true") };
    spec.namespaces.network = Network::Named("nosuch".into());
    let guest = ground.create(spec).await;
    guest.start().await.unwrap_err();
    until("it is removed", || guest.view().removed).await;
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_when_the_engine_closes_is_not_told_that_all_went_well() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell(SLEEPS)).await;
    guest.start().await.unwrap();
    let ended = guest.wait(WaitFor::NotRunning);
    let ground = ground.reopen_with(guest.id(), |_| {}).await;
    assert!(ended.await.is_err());
    let guest = ground.engine.guest(&guest.id().to_string()).unwrap();
    assert_eq!(guest.record().state, State::Running);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_a_crash_cut_short_before_the_shim_was_there_is_undone() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell("true")).await;
    let ground = ground.reopen_with(guest.id(), |record| record["state"] = "Starting".into()).await;
    let guest = ground.engine.guest(&guest.id().to_string()).unwrap();
    assert_eq!(guest.record().state, State::Created);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_guest_stays_paused_under_the_next_daemon() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell(SLEEPS)).await;
    guest.start().await.unwrap();
    // The crash came between the record and the freezing.
    let ground = ground.reopen_with(guest.id(), |record| record["state"] = "Paused".into()).await;
    let guest = ground.engine.guest(&guest.id().to_string()).unwrap();
    assert_eq!(guest.record().state, State::Paused);
    let parent = config(ground.dir.path()).cgroup_parent;
    let facts = ground.engine.host();
    let frozen = facts.cgroups.iter().any(|hierarchy| {
        let dir = hierarchy.mount.join(&parent).join(guest.id().to_string());
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        read("freezer.state") == "FROZEN\n" || read("cgroup.events").contains("frozen 1")
    });
    assert!(frozen);
    guest.stop(None, Some(StopTimeout::After(Duration::from_millis(100)))).await.unwrap();
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_records_with_one_address_do_not_keep_the_engine_from_opening() {
    let Some(ground) = Ground::with_shell().await else { return };
    let mut spec = shell(SLEEPS);
    spec.namespaces.network = Network::Bridge;
    let lives = ground.create(spec).await;
    lives.start().await.unwrap();
    let mut endpoint = serde_json::to_value(lives.record().endpoint.clone().unwrap()).unwrap();
    endpoint["id"] = "f".repeat(64).into();
    let died = ground.create(shell("true")).await;
    let ground = ground
        .reopen_with(died.id(), |record| {
            record["state"] = "Starting".into();
            record["endpoint"] = endpoint;
        })
        .await;
    let lives = ground.engine.guest(&lives.id().to_string()).unwrap();
    let died = ground.engine.guest(&died.id().to_string()).unwrap();
    assert_eq!((died.record().state, &died.record().endpoint), (State::Created, &None));
    // Its address is still the other one's, and nobody else gets it.
    let mut spec = shell(SLEEPS);
    spec.namespaces.network = Network::Bridge;
    let third = ground.create(spec).await;
    third.start().await.unwrap();
    let address = |guest: &Guest| guest.record().endpoint.as_ref().unwrap().address;
    assert_ne!(address(&third), address(&lives));
    ground.close().await;
}

/// Answers everybody as a shim of another version does.
fn foreign_shim(dir: &std::path::Path) -> std::os::unix::net::UnixListener {
    use std::io::{Read, Write};
    std::fs::create_dir_all(dir).unwrap();
    // Short enough for the address of a socket, whatever the directory is called.
    let short = std::fs::File::open(dir).unwrap();
    let path = format!("/proc/self/fd/{}/shim.sock", std::os::fd::AsRawFd::as_raw_fd(&short));
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    let ours = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = ours.accept() {
            let reason = "it speaks version 0".to_owned();
            let frame = hull_shim::frame::encode(&Message::Refused { reason }).unwrap();
            let mut greeting = [0; 64];
            if stream.read(&mut greeting).is_ok() {
                stream.write_all(&frame).unwrap_or_default();
            }
        }
    });
    listener
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_shim_will_not_talk_is_left_alone() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = ground.create(shell(SLEEPS)).await;
    let listener = foreign_shim(&ground.run_dir(&guest));
    let ground = ground
        .reopen_with(guest.id(), |record| {
            record["state"] = "Running".into();
            record["pid"] = std::process::id().into();
        })
        .await;
    let guest = ground.engine.guest(&guest.id().to_string()).unwrap();
    assert_eq!(guest.record().state, State::Running);
    let error = guest.kill(Signal::TERM).await.unwrap_err();
    assert!(error.to_string().contains("it speaks version 0"), "{error}");
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
    drop(listener);
    until("its end is noticed", || !guest.view().is_running()).await;
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_root_belongs_to_one_data_root() {
    let Some(ground) = Ground::new().await else { return };
    let mut other = config(ground.dir.path());
    other.data_root = ground.dir.path().join("other");
    let error = Engine::open(other.clone()).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("data root"), "{error}");
    let dir = ground.leave().await;
    assert!(Engine::open(other).await.is_err());
    Ground::open(dir).await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_leave_a_guest_that_works() {
    let Some(ground) = Ground::with_shell().await else { return };
    let guest = Arc::new(ground.create(shell(SLEEPS)).await);
    let mut all = tokio::task::JoinSet::new();
    for round in 0..40 {
        let guest = Arc::clone(&guest);
        all.spawn(async move {
            let outcome = match round % 5 {
                0 => guest.start().await,
                1 => guest.stop(None, Some(StopTimeout::After(Duration::ZERO))).await,
                2 => guest.pause().await,
                3 => guest.restart(None, Some(StopTimeout::After(Duration::ZERO))).await,
                _ => guest.rename(name(&format!("n{round}"))).await,
            };
            outcome.map_err(|error| assert_ne!(error.kind, Kind::Internal, "{error}")).ok()
        });
    }
    let done = async { while all.join_next().await.transpose().unwrap().is_some() {} };
    timeout(Duration::from_secs(30), done).await.unwrap();
    guest.remove(true, true).await.unwrap();
    ground.close().await;
}
