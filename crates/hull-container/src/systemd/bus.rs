//! A connection to systemd: by way of the system bus, or to systemd itself where there is no bus.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::message::{self, Body, HEAD, Incoming, Target};

/// Where the system bus listens.
const SYSTEM: &str = "/run/dbus/system_bus_socket";
/// Where systemd listens for root alone.
const PRIVATE: &str = "/run/systemd/private";
/// How long an answer may take: systemd is one thread and may be busy.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// The longest line of the greeting.
const LINE_MAX: usize = 1_024;
/// The most messages for others that are read past while waiting for an answer.
const OTHERS_MAX: usize = 10_000;

/// Talking to systemd failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Neither socket answers.
    #[error("connect to {}: {source}", path.display())]
    Connect {
        /// The last one tried.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("talk to systemd: {0}")]
    Stream(#[from] io::Error),
    /// It let nobody in.
    #[error("systemd's bus refuses us: {0:?}")]
    Rejected(String),
    /// It sent something that is no message.
    #[error("systemd's bus sent {0}")]
    Nonsense(&'static str),
    /// A call was refused.
    #[error("{text} ({name})")]
    Refused {
        /// D-Bus's name of the error.
        name: String,
        /// What it says.
        text: String,
    },
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Bus<S = UnixStream> {
    stream: S,
    serial: u32,
}

impl Bus {
    /// Connects to the system bus, or to systemd itself.
    pub(super) fn system() -> Result<Self, BusError> {
        match open(SYSTEM) {
            Ok(stream) => {
                let mut bus = Bus::greet(stream)?;
                let hello = Target {
                    destination: "org.freedesktop.DBus",
                    path: "/org/freedesktop/DBus",
                    interface: "org.freedesktop.DBus",
                    member: "Hello",
                };
                bus.ask(&hello, &Body::default())?;
                Ok(bus)
            }
            Err(_no_bus) => {
                let path = PathBuf::from(PRIVATE);
                let stream = open(PRIVATE).map_err(|source| BusError::Connect { path, source })?;
                Bus::greet(stream)
            }
        }
    }
}

fn open(path: &str) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

impl<S: Read + Write> Bus<S> {
    /// SASL's EXTERNAL: the kernel says who we are; the name is the user id in hexadecimal digits of
    /// its decimal ones.
    fn greet(mut stream: S) -> Result<Self, BusError> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
        let answer = line(&mut stream)?;
        if !answer.starts_with("OK ") {
            return Err(BusError::Rejected(answer));
        }
        stream.write_all(b"BEGIN\r\n")?;
        Ok(Self { stream, serial: 0 })
    }

    /// Calls a method of systemd's manager.
    pub(super) fn call(&mut self, member: &str, body: &Body) -> Result<(), BusError> {
        let target = Target {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member,
        };
        self.ask(&target, body)
    }

    fn ask(&mut self, target: &Target<'_>, body: &Body) -> Result<(), BusError> {
        self.serial += 1;
        self.stream.write_all(&message::call(self.serial, target, body)?)?;
        let deadline = Instant::now() + ANSWER_MAX;
        for _ in 0..OTHERS_MAX {
            match self.receive()? {
                Incoming::Return(serial) if serial == self.serial => return Ok(()),
                Incoming::Error(serial, name, text) if serial == self.serial => {
                    return Err(BusError::Refused { name, text });
                }
                Incoming::Return(_) | Incoming::Error(..) | Incoming::Other => {}
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(BusError::Nonsense("everything but the answer"))
    }

    fn receive(&mut self) -> Result<Incoming, BusError> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let mut bytes = head.to_vec();
        bytes.resize(message::full_length(head)?, 0);
        self.stream.read_exact(&mut bytes[HEAD..])?;
        message::read(&bytes)
    }
}

/// Byte by byte: what follows the line is not part of it.
fn line(stream: &mut impl Read) -> Result<String, BusError> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        if bytes.len() > LINE_MAX {
            return Err(BusError::Nonsense("a greeting without end"));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A bus that says `answers` one after the other, whatever it hears.
    fn bus(answers: Vec<Vec<u8>>) -> Result<Bus, BusError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            for answer in answers {
                theirs.write_all(&answer).unwrap();
            }
            // Whatever it hears until the other side is done.
            io::copy(&mut theirs, &mut io::sink()).ok();
        });
        ours.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Bus::greet(ours)
    }

    fn ok(serial: u8) -> Vec<u8> {
        vec![b'l', 2, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 5, 1, b'u', 0, serial, 0, 0, 0]
    }

    #[test]
    fn an_answer_is_found_among_others() {
        let mut bus = bus(vec![b"OK abc\r\n".to_vec(), ok(77), ok(1)]).unwrap();
        bus.call("X", &Body::default().text("y")).unwrap();
    }

    #[test]
    fn a_bus_that_refuses_lies_or_goes_is_an_error() {
        let refused = bus(vec![b"REJECTED EXTERNAL\r\n".to_vec()]).unwrap_err();
        assert!(matches!(refused, BusError::Rejected(_)), "{refused}");
        let endless = bus(vec![vec![b'x'; 2_000]]).unwrap_err();
        assert!(endless.to_string().contains("without end"), "{endless}");
        let mut lying = bus(vec![
            b"OK x\r\n".to_vec(),
            vec![b'l', 2, 0, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0],
        ])
        .unwrap();
        let error = lying.call("X", &Body::default()).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(matches!(Bus::greet(ours), Err(BusError::Stream(_))));
    }
}
