//! A raw HTTP client: it can stop in the middle, close one half, or lie, as no proper client can.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How long one read may take.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// A connection to a daemon's socket.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<UnixStream>,
}

/// What a daemon answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status: 200, 404, ...
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The message of an error, which every error must have.
    ///
    /// # Panics
    /// If it has none.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_owned()
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("connect to {}: {error}", socket.display()));
        stream.set_read_timeout(Some(READ_LIMIT)).unwrap();
        stream.set_write_timeout(Some(READ_LIMIT)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the daemon has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with a body.
    ///
    /// # Panics
    /// If the daemon does not take it.
    pub fn request(&mut self, line: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nHost: hull\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.send(head.as_bytes()).unwrap();
        // A daemon that refuses early closes while we write; its answer is what counts.
        self.send(body).unwrap_or_default();
    }

    /// Reads an answer to its end.
    ///
    /// # Panics
    /// If there is none, or it is broken.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let stream = &mut self.stream;
        let length = answer.headers.get("content-length").map(|text| text.parse().unwrap());
        if answer.headers.get("transfer-encoding").is_some_and(|how| how == "chunked") {
            while let Some(chunk) = chunk(stream) {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = length {
            answer.body = vec![0; length];
            stream.read_exact(&mut answer.body).unwrap();
        } else if !matches!(answer.status, 204 | 304) {
            stream.read_to_end(&mut answer.body).unwrap();
        }
        answer
    }

    /// Reads the status and the headers only.
    ///
    /// # Panics
    /// If they do not come.
    pub fn head(&mut self) -> Answer {
        let status = line(&mut self.stream);
        let number = status.split(' ').nth(1).and_then(|text| text.parse().ok());
        let number = number.unwrap_or_else(|| panic!("no status: {status:?}"));
        let mut headers = BTreeMap::new();
        loop {
            let line = line(&mut self.stream);
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Answer { status: number, headers, body: Vec::new() }
    }

    /// Reads one chunk of a chunked body; `None` at its end.
    ///
    /// # Panics
    /// If it is broken.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        chunk(&mut self.stream)
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads until the daemon closes.
    ///
    /// # Panics
    /// If it does not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn close_writing(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

/// One frame of Docker's multiplexed streams: which stream, and what.
///
/// # Panics
/// If the bytes are no frames.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, String)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at(8);
        assert_eq!(&header[1..4], [0, 0, 0], "{header:?}");
        let length = u32::from_be_bytes(header[4..8].try_into().unwrap()) as usize;
        let (text, rest) = rest.split_at(length);
        frames.push((header[0], String::from_utf8_lossy(text).into_owned()));
        bytes = rest;
    }
    frames
}

/// Sends one request over a connection of its own.
pub fn call(socket: &Path, line: &str, body: Option<&Value>) -> Answer {
    let mut connection = Connection::open(socket);
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let headers = if body.is_some() { "Content-Type: application/json\r\n" } else { "" };
    connection.request(line, &format!("{headers}Connection: close\r\n"), &bytes);
    connection.answer()
}

fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn chunk(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let size = line(stream);
    let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk: {size:?}"));
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).unwrap();
    line(stream);
    (size > 0).then_some(bytes)
}
