//! The client against the reference implementation of the protocol.

use bytes::Bytes;
use hull_model::image::Platform;
use hull_model::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use hull_model::reference::Reference;
use hull_registry::{Client, Credentials, Identity, Kind, Pushed, Registry as Settings};

use crate::support::image::{self, amd64, content, descriptor, noise, read};
use crate::support::real::Registry;
use crate::support::{password, quick, repository, repository_as, told};

/// `me`, `secret`.
const HTPASSWD: &str = "me:$2y$05$MbpORJ6ef6hYA0iUjlM24u6osUiHwPcnKcGawXtjn4Q4NZpzKFUIS\n";

#[tokio::test]
async fn what_is_pushed_is_pulled_in_both_dialects() {
    let Some(registry) = Registry::start("", "", &[]) else { return };
    let layer = noise(3_000_000);
    for media_type in [DOCKER_MANIFEST, OCI_MANIFEST] {
        let images = repository(&quick(), &format!("{}/a/b:1", registry.address));
        let pushed = image::push(&images, media_type, &layer).await;
        let resolved = images.resolve(&amd64()).await.unwrap();
        assert_eq!(resolved.fetched.bytes, pushed);
        assert_eq!(resolved.fetched.descriptor, descriptor(media_type, &pushed));
        assert_eq!(resolved.digest(), resolved.fetched.descriptor.digest);
        let blob = &resolved.manifest.layers[0];
        for offset in [0, 1, 1_234_567, 3_000_000] {
            let bytes = read(images.fetch_blob(blob, offset)).await.unwrap();
            assert!(bytes == layer[usize::try_from(offset).unwrap()..], "{offset}");
        }
        assert!(read(images.fetch_blob(blob, 3_000_001)).await.is_err());
    }
}

#[tokio::test]
async fn an_index_leads_to_the_platform() {
    let Some(registry) = Registry::start("", "", &[]) else { return };
    for (list, single) in [(DOCKER_LIST, DOCKER_MANIFEST), (OCI_INDEX, OCI_MANIFEST)] {
        let tagged = |tag: &str| repository(&quick(), &format!("{}/m:{tag}", registry.address));
        let one = image::push(&tagged("one"), single, &noise(10)).await;
        let two = image::push(&tagged("two"), single, &noise(20)).await;
        let index = image::index(list, &[("arm64", single, &one), ("amd64", single, &two)]);
        let all = tagged("all");
        let digest = all.push_manifest(list, index.clone()).await.unwrap();
        let resolved = all.resolve(&amd64()).await.unwrap();
        assert_eq!((&resolved.fetched.bytes, &resolved.indexes[0].bytes), (&two, &index));
        assert_eq!(resolved.digest(), digest);
        let s390x = Platform { architecture: "s390x".to_owned(), ..amd64() };
        let error = all.resolve(&s390x).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no matching manifest for linux/s390x in the manifest list entries"
        );
        assert_eq!(error.kind(), Kind::NotFound);
        let by_digest = repository(&quick(), &format!("{}/m@{digest}", registry.address));
        assert_eq!(by_digest.resolve(&amd64()).await.unwrap().fetched.bytes, two);
    }
}

#[tokio::test]
async fn what_is_missing_is_missed_in_dockers_words() {
    let Some(registry) = Registry::start("", "", &[]) else { return };
    let name = format!("{}/a/b", registry.address);
    let images = repository(&quick(), &format!("{name}:1"));
    image::push(&images, OCI_MANIFEST, &noise(10)).await;
    for tag in ["2", "latest"] {
        let text = if tag == "latest" { name.clone() } else { format!("{name}:{tag}") };
        let error = repository(&quick(), &text).resolve(&amd64()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("manifest for {name}:{tag} not found: manifest unknown: manifest unknown")
        );
    }
    let absent = descriptor("x", b"nowhere");
    let error = read(images.fetch_blob(&absent, 0)).await.unwrap_err();
    assert!(error.to_string().contains("blob unknown"), "{error}");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn blobs_are_sent_once_and_mounted_where_they_are_known() {
    let Some(registry) = Registry::start("", "", &[]) else { return };
    let first = repository(&quick(), &format!("{}/first", registry.address));
    let second = repository(&quick(), &format!("{}/second", registry.address));
    let blob = noise(2_000_000);
    let known = descriptor("x", &blob);
    let push = async |to: &hull_registry::Repository, from| {
        to.push_blob(&known, from, || content(&blob)).await.unwrap()
    };
    assert_eq!(push(&first, None).await, Pushed::Sent);
    assert_eq!(push(&first, None).await, Pushed::Existed);
    assert_eq!(push(&second, Some("first")).await, Pushed::Mounted);
    let other = noise(77);
    let unknown = descriptor("x", &other);
    let sent = second.push_blob(&unknown, Some("first"), || content(&other)).await.unwrap();
    assert_eq!(sent, Pushed::Sent);
    // A source that gives other bytes than promised leaves nothing behind.
    let promised = descriptor("x", b"one thing");
    let given = Bytes::from_static(b"other one");
    assert!(second.push_blob(&promised, None, || content(&given)).await.is_err());
    assert!(!second.has_blob(promised.digest).await.unwrap());
    let error = second.push_blob(&promised, None, || {
        Box::pin(futures_util::stream::iter([Err(std::io::Error::other("the disk is gone"))]))
    });
    assert!(told(&error.await.unwrap_err()).ends_with("to push: the disk is gone"));
}

#[tokio::test]
async fn passwords_are_asked_for_and_checked() {
    let auth = "auth: {htpasswd: {realm: here, path: {}/htpasswd}}";
    let Some(registry) = Registry::start(auth, "", &[("htpasswd", HTPASSWD)]) else { return };
    let name = format!("{}/private:1", registry.address);
    let mine = repository_as(&quick(), &name, password("me", "secret"));
    let layer = noise(100_000);
    image::push(&mine, OCI_MANIFEST, &layer).await;
    let resolved = mine.resolve(&amd64()).await.unwrap();
    let bytes = read(mine.fetch_blob(&resolved.manifest.layers[0], 0)).await.unwrap();
    assert!(bytes == layer);
    for who in [
        Credentials::Anonymous,
        password("me", "wrong"),
        password("you", "secret"),
        Credentials::IdentityToken("x".to_owned()),
    ] {
        let error = repository_as(&quick(), &name, who.clone()).resolve(&amd64()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized, "{who:?}");
        assert!(error.to_string().contains("unauthorized: authentication required"));
    }
    let client = Client::new(&quick()).unwrap();
    client.log_in(&registry.address, &password("me", "secret")).await.unwrap();
    client.log_in(&registry.address, &password("me", "wrong")).await.unwrap_err();
}

struct Certificates {
    authority: String,
    server: (String, String),
    client: (String, String),
}

fn certificates() -> Certificates {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let (server, client) = (signed("127.0.0.1"), signed("client"));
    Certificates { authority: authority.pem(), server, client }
}

#[tokio::test]
async fn tls_is_checked_against_the_authorities_given_for_the_host() {
    let all = certificates();
    let http = "  tls: {certificate: {}/crt, key: {}/key, clientcas: [{}/ca]}";
    let (crt, key) = &all.server;
    let files = [("crt", crt.as_str()), ("key", key.as_str()), ("ca", all.authority.as_str())];
    let Some(registry) = Registry::start("", http, &files) else { return };
    let name = format!("{}/x:1", registry.address);
    let with = |settings: Settings| {
        let mut config = quick();
        config.registries.insert(registry.address.clone(), settings);
        repository(&config, &name)
    };
    let identity = || {
        let (chain, key) = &all.client;
        Some(Identity { chain: chain.clone().into(), key: key.clone().into() })
    };
    let authorities = all.authority.clone().into_bytes();
    let good = Settings { authorities, identity: identity(), ..Settings::default() };
    image::push(&with(good.clone()), OCI_MANIFEST, &noise(10)).await;
    with(good.clone()).resolve(&amd64()).await.unwrap();

    // Loopback without authorities: as Docker, unchecked.
    let unchecked = Settings { identity: identity(), ..Settings::default() };
    with(unchecked).resolve(&amd64()).await.unwrap();

    let other = certificates().authority.into_bytes();
    let stranger = Settings { authorities: other, ..good.clone() };
    let error = with(stranger).resolve(&amd64()).await.unwrap_err();
    assert!(told(&error).contains("invalid peer certificate"), "{}", told(&error));
    assert!(error.to_string().contains(&registry.address));
    let nobody = Settings { identity: None, ..good };
    with(nobody).resolve(&amd64()).await.unwrap_err();
}

#[tokio::test]
async fn who_is_not_there_is_named() {
    let reference = Reference::parse("127.0.0.1:1/x").unwrap();
    let client = Client::new(&quick()).unwrap();
    let images = client.repository(&reference, Credentials::Anonymous).unwrap();
    let error = images.resolve(&amd64()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(told(&error).starts_with("connect to 127.0.0.1:1: "), "{}", told(&error));
    assert!(told(&error).contains("refused"), "{}", told(&error));
    let error = repository(&quick(), "no-such-host.invalid/x").resolve(&amd64()).await;
    assert!(told(&error.unwrap_err()).starts_with("connect to no-such-host.invalid: "));
}
