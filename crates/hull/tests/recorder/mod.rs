//! A scripted daemon that records requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the version in front, query parameters sorted and decoded.
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    /// JSON if it is JSON, else its length in bytes.
    pub(crate) body: serde_json::Value,
}

/// The daemon; its thread ends with the process.
pub(crate) struct Recorder {
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Recorder {
    pub(crate) fn start(socket: &Path) -> Self {
        drop(std::fs::remove_file(socket));
        let listener = UnixListener::bind(socket).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&requests);
        drop(thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                drop(thread::spawn(move || serve(stream.unwrap(), &shared)));
            }
        }));
        Self { requests }
    }

    /// What was asked, except for how the client finds out about the daemon.
    pub(crate) fn requests(self) -> Vec<Request> {
        let mut all = self.requests.lock().unwrap().clone();
        all.retain(|request| request.path != "/_ping" && request.path != "/info");
        all
    }
}

fn serve(mut stream: UnixStream, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        requests.lock().unwrap().push(request.clone());
        let (status, body) = answer(&request);
        let head = format!(
            "HTTP/1.1 {status}\r\nApi-Version: 1.50\r\nOstype: linux\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" { "" } else { body };
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}

fn answer(request: &Request) -> (&'static str, &'static str) {
    let path = request.path.as_str();
    match request.method.as_str() {
        _ if path == "/_ping" => ("200 OK", "OK"),
        "POST" if path == "/containers/create" => {
            ("201 Created", r#"{"Id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","Warnings":[]}"#)
        }
        "POST" if path == "/volumes/create" => ("201 Created", r#"{"Name":"v"}"#),
        "POST" if path.ends_with("/wait") => ("200 OK", r#"{"StatusCode":0}"#),
        "POST" if path.ends_with("/exec") => ("201 Created", r#"{"Id":"e"}"#),
        "POST" if path.ends_with("/prune") => ("200 OK", "{}"),
        "GET" if path.ends_with("/top") => ("200 OK", r#"{"Titles":["PID"],"Processes":[]}"#),
        "GET" if path == "/containers/c/json" => (
            "200 OK",
            r#"{"Id":"c","Config":{"Tty":false},"HostConfig":{},"State":{"Running":true}}"#,
        ),
        "GET" if path == "/volumes" => ("200 OK", "{}"),
        "GET" | "DELETE" => ("200 OK", "[]"),
        _ => ("200 OK", ""),
    }
}

fn read(reader: &mut BufReader<UnixStream>) -> Option<Request> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        is_chunked |= line == "transfer-encoding: chunked";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    while is_chunked {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        is_chunked = size > 0;
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => format!("/{rest}"),
        None => path.to_owned(),
    };
    let mut query: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty()).map(decoded).collect();
    query.sort();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| body.len().into());
    Some(Request { method, path, query, body })
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(out).unwrap()
}
