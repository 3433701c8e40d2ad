//! Guests on the real kernel, through the engine alone: what no client can see is tested here.

mod ground;

use ground::Ground;
use hull_engine::{AttachRequest, Kind, LogQuery, WaitFor};
use hull_model::guest::GuestSpec;
use hull_model::namespace::Network;
use tokio::io::AsyncReadExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_image_runs_and_its_output_is_kept() {
    let Some(ground) = Ground::new().await else { return };
    let guest = ground.create(GuestSpec { image: "hello".into(), ..ground.quiet() }).await;
    let mut streams =
        guest.attach(AttachRequest { stdout: true, stderr: true, stdin: false }).await.unwrap();
    let ended = guest.wait(WaitFor::NextExit);
    guest.start().await.unwrap();
    let mut seen = Vec::new();
    streams.read_to_end(&mut seen).await.unwrap();
    assert_eq!(ended.await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    assert!(seen.len() > 100, "{seen:?}");
    let query = LogQuery { stdout: true, stderr: true, ..LogQuery::default() };
    let mut logs = guest.logs(query).await.unwrap();
    let mut kept = String::new();
    while let Some(line) = logs.next().await.unwrap() {
        kept += &line.text;
    }
    assert!(kept.contains("hull"), "{kept}");
    guest.remove(false, true).await.unwrap();
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_program_is_docker_s_127_and_leaves_nothing_behind() {
    let Some(ground) = Ground::new().await else { return };
    let mut spec = GuestSpec { image: "hello".into(), ..ground.quiet() };
    spec.process.cmd = Some(vec!["/nosuch".into()]);
    let guest = ground.create(spec).await;
    let error = guest.start().await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(error.to_string().contains("no such file or directory"), "{error}");
    assert_eq!(guest.record().exit.unwrap().code, 127);
    assert_eq!(guest.record().id_range, None);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_on_the_bridge_has_an_address_while_it_runs() {
    let Some(ground) = Ground::new().await else { return };
    let mut spec = GuestSpec { image: "hello".into(), ..GuestSpec::default() };
    spec.namespaces.network = Network::Bridge;
    let guest = ground.create(spec).await;
    let ended = guest.wait(WaitFor::NextExit);
    guest.start().await.unwrap();
    assert_eq!(ended.await.unwrap(), 0);
    assert_eq!(guest.record().endpoint, None);
    ground.close().await;
}
