//! Faults and lies that no honest registry produces.

use std::time::{Duration, Instant};

use hull_model::manifest::{Descriptor, OCI_INDEX, OCI_MANIFEST};
use hull_registry::{Error, Kind, Proxies, Registry, Repository, digest, verified};

use crate::support::image::{self, amd64, descriptor, noise, read};
use crate::support::scripted::{Reply, Server, answer, bytes};
use crate::support::{quick, repository, told};

fn at(server: &Server) -> Repository {
    repository(&quick(), &format!("{}/x:1", server.address))
}

/// A blob of `length`, and what a server does with requests for it.
async fn fetch(
    length: usize,
    script: impl Fn(usize, &[u8], Option<usize>) -> Reply + Send + Sync + 'static,
) -> (Result<Vec<u8>, Error>, Server, bytes::Bytes) {
    let blob = noise(length);
    let served = blob.clone();
    let server = Server::start(move |number, seen| {
        let start = seen
            .header("range")
            .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
        script(number, &served, start)
    })
    .await;
    let result = read(at(&server).fetch_blob(&descriptor("x", &blob), 0)).await;
    (result, server, blob)
}

fn part(blob: &[u8], start: usize) -> Vec<u8> {
    let (last, total) = (blob.len() - 1, blob.len());
    let length = total - start;
    let head = format!(
        "206 Partial Content\r\nContent-Range: bytes {start}-{last}/{total}\r\nContent-Length: {length}\r\n"
    );
    bytes(&head, &blob[start..])
}

#[tokio::test]
async fn a_cut_blob_goes_on_where_it_was_cut() {
    let (result, server, blob) = fetch(300_000, |number, blob, start| match (number, start) {
        (0, None) => Reply::Cut(bytes("200 OK\r\nContent-Length: 300000\r\n", &blob[..100_000])),
        (1, Some(start)) => Reply::Cut(part(blob, start)[..50_000].to_vec()),
        (_, Some(start)) => Reply::Keep(part(blob, start)),
        (_, None) => Reply::Cut(Vec::new()),
    })
    .await;
    assert!(result.unwrap() == blob);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_again_and_nothing_is_doubled() {
    let (result, ..) = fetch(300_000, |number, blob, _| match number {
        0 => Reply::Cut(bytes("200 OK\r\nContent-Length: 300000\r\n", &blob[..123_456])),
        _ => answer("200 OK", "", blob),
    })
    .await;
    assert!(result.unwrap() == noise(300_000));
}

#[tokio::test]
async fn a_stalled_blob_is_asked_for_again() {
    let (result, ..) = fetch(1000, |number, blob, start| match number {
        0 => Reply::Hang(bytes("200 OK\r\nContent-Length: 1000\r\n", &blob[..10])),
        _ => Reply::Keep(part(blob, start.unwrap())),
    })
    .await;
    assert!(result.unwrap() == noise(1000));
}

#[tokio::test]
async fn a_registry_that_always_cuts_is_given_up() {
    let (result, server, _) = fetch(1000, |_, blob, start| match start {
        None => Reply::Cut(bytes("200 OK\r\nContent-Length: 1000\r\n", &blob[..1])),
        Some(start) => {
            let whole = part(blob, start);
            Reply::Cut(whole[..whole.len() - (blob.len() - start) + 1].to_vec())
        }
    })
    .await;
    assert_eq!(result.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn lying_sizes_and_parts_are_refused() {
    type Lie = fn(&[u8], Option<usize>) -> Vec<u8>;
    let lies: [(&str, Lie); 6] = [
        ("has 2000 bytes", |_, _| bytes("200 OK\r\nContent-Length: 2000\r\n", &[0; 2000])),
        ("has 10 bytes", |_, _| bytes("200 OK\r\nContent-Length: 10\r\n", &[0; 10])),
        ("has 0 bytes", |_, _| bytes("200 OK\r\nContent-Length: 0\r\n", &[])),
        ("bytes, expected 1000", |blob, _| {
            let chunk = [b"800\r\n", [0; 0x800].as_slice(), b"\r\n0\r\n\r\n"].concat();
            assert!(chunk.len() > blob.len());
            bytes("200 OK\r\nTransfer-Encoding: chunked\r\n", &chunk)
        }),
        ("another part", |_, _| {
            bytes("206 X\r\nContent-Range: bytes 5-9/1000\r\nContent-Length: 5\r\n", &[0; 5])
        }),
        ("another part", |_, _| bytes("206 X\r\nContent-Length: 1000\r\n", &[0; 1000])),
    ];
    for (expected, lie) in lies {
        let (result, ..) = fetch(1000, move |_, blob, start| Reply::Cut(lie(blob, start))).await;
        let error = told(&result.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_the_content_is_found_out_at_the_end() {
    let blob = noise(1000);
    let server = Server::start(|_, _| answer("200 OK", "", [0; 1000])).await;
    let stream = at(&server).fetch_blob(&descriptor("x", &blob), 0);
    let error = read(Box::pin(verified(stream, digest(&blob)))).await.unwrap_err();
    assert!(matches!(error, Error::Digest { .. }));
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test]
async fn busy_registries_are_asked_again_when_they_say() {
    let manifest = image::manifest(OCI_MANIFEST, b"{}", b"layer");
    let body = manifest.clone();
    let server = Server::start(move |number, _| match number {
        0 => answer("429 Too Many Requests", "Retry-After: 1\r\n", "{}"),
        1 => answer("503 Service Unavailable", "", ""),
        2 => Reply::Cut(Vec::new()),
        _ => answer("200 OK", &format!("Content-Type: {OCI_MANIFEST}\r\n"), &body),
    })
    .await;
    let begun = Instant::now();
    let resolved = at(&server).resolve(&amd64()).await.unwrap();
    assert_eq!(resolved.fetched.bytes, manifest);
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let text = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}"#;
    let server = Server::start(move |_, _| {
        answer("429 Too Many Requests", "Retry-After: 999999999\r\n", text)
    })
    .await;
    let mut config = quick();
    config.retry.longest = Duration::from_millis(50);
    let images = repository(&config, &format!("{}/x:1", server.address));
    let error = images.resolve(&amd64()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Limited);
    assert!(error.to_string().ends_with("toomanyrequests: pull rate limit"), "{error}");
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_registry_that_says_nothing_or_nonsense_is_given_up() {
    let silent = Server::start(|_, _| Reply::Hang(Vec::new())).await;
    let mut config = quick();
    config.timeouts.answer = Duration::from_millis(50);
    let images = repository(&config, &format!("{}/x:1", silent.address));
    assert!(matches!(images.resolve(&amd64()).await, Err(Error::Stalled { .. })));
    let nonsense = Server::start(|_, _| Reply::Cut(b"220 ftp ready\r\n".to_vec())).await;
    assert!(matches!(at(&nonsense).resolve(&amd64()).await, Err(Error::Broken { .. })));
}

async fn resolve(content_type: &'static str, body: impl Into<Vec<u8>>) -> String {
    let body = body.into();
    let server = Server::start(move |_, _| {
        answer("200 OK", &format!("Content-Type: {content_type}\r\n"), &body)
    })
    .await;
    told(&at(&server).resolve(&amd64()).await.unwrap_err())
}

#[tokio::test]
async fn bad_manifests_are_refused() {
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    assert!(resolve(schema_1, "{}").await.contains("schema 1 is not supported"));
    assert!(resolve(OCI_MANIFEST, "{").await.contains("invalid manifest"));
    assert!(resolve(OCI_MANIFEST, vec![b' '; 4 * 1024 * 1024 + 1]).await.contains("longer than"));
    let manifest = image::manifest(OCI_MANIFEST, b"{}", b"layer");
    assert!(resolve(OCI_INDEX, manifest.clone()).await.contains("ambiguous"));
    // The index names a manifest, but what comes under its digest is the index again.
    let index = image::index(OCI_INDEX, &[("amd64", OCI_MANIFEST, &manifest)]);
    assert!(resolve(OCI_INDEX, index).await.contains("has the digest"));
}

#[tokio::test]
async fn indexes_within_indexes_end() {
    let mut documents = vec![image::manifest(OCI_MANIFEST, b"{}", b"layer")];
    for _ in 0..10 {
        let last = documents.last().unwrap();
        documents.push(image::index(OCI_INDEX, &[("amd64", OCI_INDEX, last)]));
    }
    let server = Server::start(move |number, _| {
        answer("200 OK", "", &documents[documents.len() - 1 - number])
    })
    .await;
    let error = at(&server).resolve(&amd64()).await.unwrap_err();
    assert!(matches!(error, Error::Nested(_)), "{error}");
}

#[tokio::test]
async fn redirects_end_and_do_not_leave_http() {
    for (location, expected, asked) in [
        ("/v2/again", "too many redirects", 11),
        ("file:///etc/passwd", "is not followed", 1),
        ("http://u:p@127.0.0.1/", "is not followed", 1),
    ] {
        let server = Server::start(move |_, _| {
            answer("302 Found", &format!("Location: {location}\r\n"), "")
        })
        .await;
        let error = told(&at(&server).resolve(&amd64()).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(server.seen().len(), asked);
    }
}

#[tokio::test]
async fn mirrors_are_asked_first_and_a_failing_one_is_left_alone() {
    let layer = noise(500);
    let manifest = image::manifest(OCI_MANIFEST, b"{}", &layer);
    let (body, blob) = (manifest.clone(), layer.clone());
    let registry = Server::start(move |_, seen| match seen.line.contains("manifests") {
        true => answer("200 OK", "", &body),
        false => answer("200 OK", "", &blob),
    })
    .await;
    let broken = Server::start(|_, _| answer("500 Broken", "", "")).await;
    let (body, cut) = (manifest.clone(), layer.clone());
    let good = Server::start(move |_, seen| match seen.line.contains("manifests") {
        true => answer("200 OK", "", &body),
        false => Reply::Cut(bytes("200 OK\r\nContent-Length: 500\r\n", &cut[..100])),
    })
    .await;
    let mut config = quick();
    let mirrors = [&broken, &good].map(|mirror| format!("http://{}", mirror.address)).to_vec();
    let settings = Registry { mirrors, ..Registry::default() };
    config.registries.insert(registry.address.clone(), settings);
    let images = repository(&config, &format!("{}/x:1", registry.address));
    let resolved = images.resolve(&amd64()).await.unwrap();
    assert_eq!((broken.seen().len(), good.seen().len(), registry.seen().len()), (1, 1, 0));
    let wanted: &Descriptor = &resolved.manifest.layers[0];
    // The good one breaks within the blob: the registry itself gives the rest.
    assert!(read(images.fetch_blob(wanted, 0)).await.unwrap() == layer);
    assert_eq!((broken.seen().len(), good.seen().len(), registry.seen().len()), (1, 2, 1));
    assert_eq!(registry.seen()[0].header("range"), Some("bytes=100-"));
}

#[tokio::test]
async fn proxies_get_the_whole_url_and_their_own_password() {
    let manifest = image::manifest(OCI_MANIFEST, b"{}", b"layer");
    let proxy = Server::start(move |_, seen| match seen.line.starts_with("CONNECT") {
        true => answer("502 No", "", ""),
        false => answer("200 OK", "", &manifest),
    })
    .await;
    let mut config = quick();
    let url = format!("http://user:pass@{}", proxy.address);
    config.proxies = Proxies { http: url.clone(), https: url, none: String::new() };
    let settings = Registry { insecure: true, ..Registry::default() };
    config.registries.insert("registry.invalid".to_owned(), settings);
    repository(&config, "registry.invalid/x:1").resolve(&amd64()).await.unwrap();
    assert_eq!(
        proxy.lines(),
        ["CONNECT registry.invalid:443", "GET http://registry.invalid/v2/x/manifests/1"]
    );
    for seen in proxy.seen() {
        assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    }
    let error = repository(&config, "safe.invalid/x:1").resolve(&amd64()).await.unwrap_err();
    let told = told(&error);
    assert!(told.starts_with("connect to safe.invalid: reach it through the proxy"), "{told}");
    assert!(!told.contains("pass@"));
}
