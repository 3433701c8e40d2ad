//! Connections against a fake service, over socket pairs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::answer::{self, Failure, Outcome};
use super::connection::serve;
use super::raw::{Opening, Raw, Stream};
use super::read::{Bodies, JSON_MAX};
use super::socket::Socket;

/// A client's side of a connection, and the guest's side of whatever takes it over.
struct Served {
    client: UnixStream,
    guests: mpsc::Receiver<DuplexStream>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    streams: Arc<AtomicUsize>,
}

/// Counts the streams that exist.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn connect() -> Served {
    let (client, server) = UnixStream::pair().unwrap();
    let (guest, guests) = mpsc::channel(4);
    let (stop, stopped) = watch::channel(false);
    let streams = Arc::new(AtomicUsize::new(0));
    let (bodies, counter) = (Bodies::default(), Arc::clone(&streams));
    let handle = move |request| {
        let (guest, bodies, counter) = (guest.clone(), bodies.clone(), Arc::clone(&counter));
        async move { fake(request, guest, bodies, counter).await }
    };
    let server = tokio::spawn(serve(Socket::Unix(server), handle, stopped));
    Served { client, guests, stop, server, streams }
}

/// `/attach` and `/exec/x/start` take over, `/stream` never ends, `/slow` takes a moment, `/echo`
/// gives the body's length.
async fn fake(
    request: Request<Incoming>,
    guests: mpsc::Sender<DuplexStream>,
    bodies: Bodies,
    streams: Arc<AtomicUsize>,
) -> Outcome {
    let opening = Opening::of(request.headers());
    let path = request.uri().path().to_owned();
    let body = bodies.read(request.into_body()).await;
    match path.as_str() {
        "/attach" | "/exec/x/start" => {
            // The engine takes its time; clients do not wait with what they have to say.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (ours, theirs) = tokio::io::duplex(64);
            // A test that is not interested closed the channel.
            guests.send(ours).await.ok();
            let head = opening.head("application/vnd.docker.raw-stream", "Api-Version: 1.55\r\n");
            let detach = path.starts_with("/exec").then(detach_keys);
            let stream: Box<dyn Stream> = Box::new(theirs);
            let stream = Box::pin(std::future::ready(stream));
            Outcome::Raw(Box::new(Raw { head, stream, detach }))
        }
        "/exec/missing/start" => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Outcome::Answer(Failure::new(StatusCode::NOT_FOUND, "no such exec").into_response())
        }
        "/stream" => {
            streams.fetch_add(1, Ordering::SeqCst);
            let held = Counted(streams);
            let body = futures_util::stream::unfold((held, 0), |(held, n)| async move {
                if n > 0 {
                    std::future::pending::<()>().await;
                }
                Some((Ok(Bytes::from_static(b"first\n")), (held, n + 1)))
            });
            answer::stream("text/plain", Box::pin(body))
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            answer::json(&"done")
        }
        "/echo" => match body {
            Ok(body) => answer::json(&body.len()),
            Err(failure) => Outcome::Answer(failure.into_response()),
        },
        _ => Outcome::Answer(Failure::no_route().into_response()),
    }
}

fn detach_keys() -> super::raw::Detaching {
    let keys = hull_api::stream::DetachKeys::parse("ctrl-q").unwrap();
    super::raw::Detaching { keys, tell: Box::new(|| ()) }
}

const ATTACH: &str =
    "POST /attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

async fn read_until(client: &mut UnixStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(Duration::from_secs(5), client.read_u8()).await;
        let so_far = String::from_utf8_lossy(&text).into_owned();
        text.push(byte.expect("in time").unwrap_or_else(|e| panic!("{e} after {so_far:?}")));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn attach_with_upgrade_answers_101_and_copies_both_ways() {
    let mut served = connect();
    served.client.write_all(ATTACH.as_bytes()).await.unwrap();
    let head = read_until(&mut served.client, "\r\n\r\n").await;
    assert_eq!(
        head,
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.55\r\n\r\n"
    );
    let mut guest = served.guests.recv().await.unwrap();
    served.client.write_all(b"in").await.unwrap();
    let mut bytes = [0; 2];
    guest.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"in");
    guest.write_all(b"out").await.unwrap();
    assert_eq!(read_until(&mut served.client, "out").await, "out");
    drop(guest);
    assert_eq!(served.client.read(&mut bytes).await.unwrap(), 0);
    served.server.await.unwrap();
}

#[tokio::test]
async fn attach_without_upgrade_answers_200_and_early_input_is_kept() {
    let mut served = connect();
    let request = "POST /attach HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\nearly input";
    served.client.write_all(request.as_bytes()).await.unwrap();
    let mut guest = served.guests.recv().await.unwrap();
    let head = read_until(&mut served.client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/vnd"), "{head}");
    assert!(!head.contains("Upgrade"), "{head}");
    let mut bytes = [0; 11];
    guest.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early input");
}

#[tokio::test]
async fn input_that_was_sent_and_closed_at_once_arrives_and_output_still_comes() {
    let mut served = connect();
    served.client.write_all(format!("{ATTACH}all of it").as_bytes()).await.unwrap();
    served.client.shutdown().await.unwrap();
    let mut guest = served.guests.recv().await.unwrap();
    let mut input = String::new();
    guest.read_to_string(&mut input).await.unwrap();
    assert_eq!(input, "all of it");
    guest.write_all(b"late output").await.unwrap();
    drop(guest);
    let mut output = String::new();
    served.client.read_to_string(&mut output).await.unwrap();
    assert!(output.ends_with("\r\n\r\nlate output"), "{output}");
    served.server.await.unwrap();
}

#[tokio::test]
async fn a_guest_that_takes_no_input_is_still_heard() {
    let mut served = connect();
    served.client.write_all(ATTACH.as_bytes()).await.unwrap();
    let guest = served.guests.recv().await.unwrap();
    let (mut read, mut write) = tokio::io::split(guest);
    write.write_all(b"hello").await.unwrap();
    read_until(&mut served.client, "hello").await;
    // More than all buffers hold: the client goes on sending while nobody reads.
    let (mut from_server, mut to_server) = served.client.into_split();
    let sender = tokio::spawn(async move { to_server.write_all(&vec![b'x'; 8 << 20]).await });
    write.write_all(b"bye").await.unwrap();
    let mut bytes = [0; 3];
    from_server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"bye");
    read.read_exact(&mut bytes).await.unwrap();
    drop((read, write));
    served.server.await.unwrap();
    assert!(sender.await.unwrap().is_err());
}

#[tokio::test]
async fn a_client_that_vanishes_lets_go_of_a_silent_guest() {
    let mut served = connect();
    served.client.write_all(ATTACH.as_bytes()).await.unwrap();
    let mut guest = served.guests.recv().await.unwrap();
    drop(served.client);
    let mut rest = Vec::new();
    guest.read_to_end(&mut rest).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), served.server).await.unwrap().unwrap();
    assert!(guest.write_all(b"nobody is there").await.is_err());
}

#[tokio::test]
async fn detach_keys_end_the_stream_and_not_the_input() {
    let mut served = connect();
    let request = "POST /exec/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}";
    served.client.write_all(request.as_bytes()).await.unwrap();
    let mut guest = served.guests.recv().await.unwrap();
    read_until(&mut served.client, "\r\n\r\n").await;
    served.client.write_all(b"ls\x11").await.unwrap();
    let mut bytes = [0; 2];
    guest.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ls");
    assert_eq!(served.client.read(&mut bytes).await.unwrap(), 0);
    served.server.await.unwrap();
}

#[tokio::test]
async fn failures_before_the_takeover_are_plain_answers_and_the_connection_goes_on() {
    let mut served = connect();
    let request = "POST /exec/missing/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}";
    for _ in 0..2 {
        served.client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut served.client, "}\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"message\":\"no such exec\"}\n"), "{answer}");
    }
    // The end of input that was held back shows after the answer, and ends the connection.
    served.client.write_all(request.as_bytes()).await.unwrap();
    served.client.shutdown().await.unwrap();
    read_until(&mut served.client, "}\n").await;
    tokio::time::timeout(Duration::from_secs(5), served.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_stops_the_stream_it_asked_for() {
    let mut served = connect();
    served.client.write_all(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    read_until(&mut served.client, "first\n\r\n").await;
    assert_eq!(served.streams.load(Ordering::SeqCst), 1);
    drop(served.client);
    tokio::time::timeout(Duration::from_secs(5), served.server).await.unwrap().unwrap();
    assert_eq!(served.streams.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn stopping_finishes_the_request_in_progress_and_reads_no_other() {
    let mut served = connect();
    served.client.write_all(b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.stop.send_replace(true);
    assert!(read_until(&mut served.client, "\"done\"\n").await.starts_with("HTTP/1.1 200"));
    assert_eq!(served.client.read(&mut [0]).await.unwrap(), 0);
    served.server.await.unwrap();

    let idle = connect();
    idle.stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(5), idle.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn bodies_are_bounded_with_and_without_an_announced_length() {
    let mut served = connect();
    let send = |text: &'static str| text.as_bytes();
    served
        .client
        .write_all(send("POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello"))
        .await
        .unwrap();
    assert!(read_until(&mut served.client, "5\n").await.starts_with("HTTP/1.1 200"));

    let length = JSON_MAX * 2;
    let head = format!("POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\n\r\n");
    served.client.write_all(head.as_bytes()).await.unwrap();
    served.client.write_all(&vec![b' '; length]).await.unwrap();
    let answer = read_until(&mut served.client, "}\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("request body too large: at most 16 MiB"), "{answer}");

    let head = "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n";
    served.client.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..20 {
        served.client.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
        served.client.write_all(&chunk).await.unwrap();
        served.client.write_all(b"\r\n").await.unwrap();
    }
    served.client.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(read_until(&mut served.client, "}\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_the_connection_only() {
    let mut served = connect();
    served
        .client
        .write_all(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nhe")
        .await
        .unwrap();
    drop(served.client);
    tokio::time::timeout(Duration::from_secs(5), served.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn any_bytes_leave_the_server_alive() {
    // A generator of our own: no seed of the outside, so a failure comes back.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let parts = [
        "GET",
        "POST",
        " ",
        "/attach",
        "/exec/x/start",
        "/%00%ff",
        "/v1.44",
        " HTTP/1.1",
        "\r\n",
        "Host: d\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: tcp\r\n",
        "Connection: upgrade\r\n",
        "\r\n\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n\r\n",
        "\0",
        "Expect: 100-continue\r\n",
    ];
    for _ in 0..300 {
        let Served { mut client, mut guests, stop: _stop, server, .. } = connect();
        let mut bytes = Vec::new();
        for _ in 0..next() % 12 {
            match next() % 4 {
                0 => bytes.extend_from_slice(&next().to_le_bytes()),
                _ => bytes.extend_from_slice(
                    parts[usize::try_from(next() % parts.len() as u64).unwrap()].as_bytes(),
                ),
            }
        }
        // A server that answers and closes early is within its rights.
        client.write_all(&bytes).await.ok();
        drop(client);
        guests.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), server).await;
        ended.expect("the connection ends with its client").expect("no panic");
    }
}

#[tokio::test]
async fn long_heads_are_refused() {
    let mut served = connect();
    let mut request = b"GET /echo HTTP/1.1\r\nX: ".to_vec();
    request.resize(1 << 20, b'x');
    // The answer may come and the connection end before all is written.
    served.client.write_all(&request).await.ok();
    let answer = read_until(&mut served.client, "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
