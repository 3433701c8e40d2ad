//! Who gets which credential, and who never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hull_model::manifest::OCI_MANIFEST;
use hull_registry::{Credentials, Kind, Registry};

use crate::support::image::{self, amd64, descriptor, read};
use crate::support::scripted::{Reply, Seen, Server, answer};
use crate::support::{password, quick, repository_as, told};

/// `me:secret`.
const BASIC: &str = "Basic bWU6c2VjcmV0";

fn challenge(realm: &str) -> Reply {
    let header = format!(
        "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"here\",scope=\"repository:x:pull\"\r\n"
    );
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    answer("401 Unauthorized", &header, body)
}

fn image(seen: &Seen) -> Reply {
    match seen.line.contains("manifests") {
        true => answer("200 OK", "", image::manifest(OCI_MANIFEST, b"{}", b"layer")),
        false => answer("200 OK", "", b"layer"),
    }
}

/// Gives out `token1`, `token2`, …
async fn token_server(life: u32) -> Server {
    Server::start(move |number, _| {
        let number = number + 1;
        answer("200 OK", "", format!(r#"{{"token":"token{number}","expires_in":{life}}}"#))
    })
    .await
}

/// Wants the token that `wanted` says.
async fn registry(tokens: &Server, wanted: Arc<AtomicUsize>) -> Server {
    let realm = format!("http://{}/token?x=1", tokens.address);
    Server::start(move |_, seen| {
        let wanted = format!("Bearer token{}", wanted.load(Ordering::Relaxed));
        match seen.header("authorization") {
            Some(proof) if proof == wanted => image(seen),
            _ => challenge(&realm),
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let tokens = token_server(300).await;
    let wanted = Arc::new(AtomicUsize::new(1));
    let registry = registry(&tokens, Arc::clone(&wanted)).await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, password("me", "secret"));
    images.resolve(&amd64()).await.unwrap();
    images.resolve(&amd64()).await.unwrap();
    assert_eq!(
        tokens.lines()[0],
        "GET /token?x=1&service=here&scope=repository%3Ax%3Apull&account=me"
    );
    assert_eq!(tokens.seen()[0].header("authorization"), Some(BASIC));
    wanted.store(2, Ordering::Relaxed);
    let blob = descriptor("x", b"layer");
    assert_eq!(read(images.fetch_blob(&blob, 0)).await.unwrap(), b"layer");
    assert_eq!(tokens.seen().len(), 2);
    // The registry itself never sees the password.
    assert!(registry.seen().iter().all(|seen| seen.header("authorization") != Some(BASIC)));
}

#[tokio::test]
async fn a_token_that_has_ended_is_not_used() {
    let tokens = token_server(0).await;
    let wanted = Arc::new(AtomicUsize::new(1));
    let registry = registry(&tokens, Arc::clone(&wanted)).await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, Credentials::Anonymous);
    images.resolve(&amd64()).await.unwrap();
    assert_eq!(tokens.seen()[0].header("authorization"), None);
    wanted.store(2, Ordering::Relaxed);
    images.resolve(&amd64()).await.unwrap();
    assert_eq!((tokens.seen().len(), registry.seen().len()), (2, 3));
}

#[tokio::test]
async fn identity_tokens_are_exchanged_and_registry_tokens_sent_as_they_are() {
    let tokens = token_server(300).await;
    let registry = registry(&tokens, Arc::new(AtomicUsize::new(1))).await;
    let name = format!("{}/x:1", registry.address);
    let identity = Credentials::IdentityToken("id&en".to_owned());
    repository_as(&quick(), &name, identity).resolve(&amd64()).await.unwrap();
    let seen = &tokens.seen()[0];
    assert_eq!(seen.line, "POST /token?x=1");
    assert_eq!(
        seen.body,
        "grant_type=refresh_token&service=here&client_id=hull&scope=repository%3Ax%3Apull&refresh_token=id%26en"
    );
    let own = Credentials::RegistryToken("token1".to_owned());
    repository_as(&quick(), &name, own).resolve(&amd64()).await.unwrap();
    assert_eq!(tokens.seen().len(), 1);
}

#[tokio::test]
async fn nothing_secret_follows_a_redirect_to_another_host() {
    let cdn = Server::start(|_, _| answer("200 OK", "", b"layer")).await;
    // Another host sends back: by then it has had its chance to choose the path.
    let elsewhere = format!("http://{}/blob?signature=s3", cdn.address);
    let registry = Server::start(move |_, seen| {
        if seen.header("authorization") == Some(BASIC) {
            answer("307 Temporary Redirect", &format!("Location: {elsewhere}\r\n"), "")
        } else {
            answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")
        }
    })
    .await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, password("me", "secret"));
    let blob = descriptor("x", b"layer");
    assert_eq!(read(images.fetch_blob(&blob, 0)).await.unwrap(), b"layer");
    assert_eq!(cdn.lines(), ["GET /blob?signature=s3"]);
    assert_eq!(cdn.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_refusal_from_another_host_asks_for_nothing_and_shows_no_signature() {
    let evil = Server::start(|_, _| {
        answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"give\"\r\n", "")
    })
    .await;
    let location = format!("Location: http://{}/blob?signature=s3\r\n", evil.address);
    let registry = Server::start(move |_, _| answer("302 Found", &location, "")).await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, password("me", "secret"));
    let error = read(images.fetch_blob(&descriptor("x", b"layer"), 0)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!told(&error).contains("s3"));
    for seen in evil.seen().iter().chain(&registry.seen()) {
        assert_eq!(seen.header("authorization"), None);
    }
}

#[tokio::test]
async fn a_way_that_comes_back_does_not_bring_the_password_back() {
    let registry = Server::start(|_, seen| {
        match (seen.line.contains("/back"), seen.header("authorization")) {
            (true, None) => answer("200 OK", "", b"layer"),
            (true, Some(_)) => answer("500 Told", "", ""),
            (false, Some(_)) => {
                let port = seen.header("host").unwrap().rsplit(':').next().unwrap().to_owned();
                // The same server by another name is another origin.
                let back = format!("Location: http://localhost:{port}/v2/away\r\n");
                answer("302 Found", &back, "")
            }
            (false, None) if seen.line.contains("/away") => {
                let port = seen.header("host").unwrap().rsplit(':').next().unwrap().to_owned();
                answer("302 Found", &format!("Location: http://127.0.0.1:{port}/back\r\n"), "")
            }
            (false, None) => {
                answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")
            }
        }
    })
    .await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, password("me", "secret"));
    let blob = descriptor("x", b"layer");
    assert_eq!(read(images.fetch_blob(&blob, 0)).await.unwrap(), b"layer");
}

#[tokio::test]
async fn mirrors_get_no_credentials() {
    let mirror = Server::start(|_, _| {
        answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"give\"\r\n", "")
    })
    .await;
    let registry = Server::start(|_, seen| match seen.header("authorization") {
        Some(BASIC) => image(seen),
        _ => answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", ""),
    })
    .await;
    let mut config = quick();
    let mirrors = vec![format!("http://{}", mirror.address)];
    let settings = Registry { mirrors, ..Registry::default() };
    config.registries.insert(registry.address.clone(), settings);
    let name = format!("{}/x:1", registry.address);
    repository_as(&config, &name, password("me", "secret")).resolve(&amd64()).await.unwrap();
    assert_eq!(mirror.seen().len(), 1);
    assert_eq!(mirror.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let registry = Server::start(|_, _| {
        answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")
    })
    .await;
    let name = format!("{}/x:1", registry.address);
    let images = repository_as(&quick(), &name, password("me", "wrong"));
    assert_eq!(images.resolve(&amd64()).await.unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn denials_are_told_as_docker_tells_them() {
    let tokens = token_server(300).await;
    let realm = format!("http://{}/", tokens.address);
    let registry = Server::start(move |_, seen| match seen.header("authorization") {
        None => challenge(&realm),
        Some(_) => answer(
            "401 Unauthorized",
            "WWW-Authenticate: Bearer realm=\"http://x/\",error=\"insufficient_scope\"\r\n",
            "",
        ),
    })
    .await;
    let name = format!("{}/x", registry.address);
    let images = repository_as(&quick(), &name, Credentials::Anonymous);
    let error = images.resolve(&amd64()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': \
             denied: requested access to the resource is denied"
        )
    );
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn hostile_token_servers_and_challenges_end_in_errors() {
    for (token, expected) in [
        ("{}", "is no token"),
        ("[", "is no token"),
        (r#"{"token":"a\r\nb"}"#, "cannot be sent"),
        (r#"{"token":""}"#, "is no token"),
    ] {
        let tokens = Server::start(move |_, _| answer("200 OK", "", token)).await;
        let registry = registry(&tokens, Arc::default()).await;
        let name = format!("{}/x:1", registry.address);
        let images = repository_as(&quick(), &name, password("me", "secret"));
        let error = told(&images.resolve(&amd64()).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    for realm in ["file:///etc/passwd", "", "http://", "\u{e9}", "http://a b/"] {
        let registry = Server::start(move |_, _| challenge(realm)).await;
        let name = format!("{}/x:1", registry.address);
        let images = repository_as(&quick(), &name, password("me", "secret"));
        let error = images.resolve(&amd64()).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Invalid | Kind::Unauthorized), "{error}");
        assert_eq!(registry.seen().len(), 1);
    }
}
