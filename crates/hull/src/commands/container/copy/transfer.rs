//! Archives between the network, which is asynchronous, and files, which are not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hull_store::layer::{Rules, unpack_into};
use hull_store::tree::{Ids, pack_file, pack_tree};
use hyper::body::Incoming;
use rustix::fs::{Mode, OFlags, open};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::place::Local;
use crate::client::body::Body;
use crate::failure::Failure;

/// Pieces that wait between the two sides.
const PIECES_MAX: usize = 8;
/// How much is written before it is passed on.
const PIECE: usize = 128 << 10;

type Piece = io::Result<Bytes>;

/// Unpacks the archive that `body` is into `directory`. Gives its length.
pub(super) async fn receive(
    mut body: Incoming,
    directory: &Path,
    rules: Rules,
) -> Result<u64, Failure> {
    let root: OwnedFd = File::open(directory)
        .map_err(|error| Failure::new(format!("open {}: {error}", directory.display())))?
        .into();
    let (sender, pieces) = channel(PIECES_MAX);
    let thread = tokio::task::spawn_blocking(move || {
        let pieces = Pieces { pieces, current: Bytes::new(), ended: false };
        unpack_into(root, ".", rules, pieces, &mut || Ok(()))
    });
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                sender.send(Err(io::Error::other(error))).await.ok();
                break;
            }
        };
        bytes += piece.len() as u64;
        // The thread has given up; it says why.
        if !piece.is_empty() && sender.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    drop(sender);
    thread.await??;
    Ok(bytes)
}

/// What comes, for a thread that reads.
struct Pieces {
    pieces: Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => self.ended = true,
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// An archive of `source`, named `name`, as the body of a request; and how long it came to be.
pub(super) fn offer(
    source: &Local,
    name: Vec<u8>,
    ids: Ids,
) -> Result<(Body, Arc<AtomicU64>), Failure> {
    let count = Arc::new(AtomicU64::new(0));
    let (pieces, receiver) = channel(PIECES_MAX);
    let mut out = Pieced { pieces, current: Vec::with_capacity(PIECE), count: Arc::clone(&count) };
    let flags = match source.is_directory {
        true => OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        false => OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
    };
    let is_directory = source.is_directory;
    let file = open(&source.path, flags, Mode::empty()).map_err(|error| {
        let error = io::Error::from(error);
        Failure::new(format!("open {}: {error}", source.path.display()))
    })?;
    std::thread::Builder::new().name("archive".to_owned()).spawn(move || {
        let packed = if is_directory {
            pack_tree(file, &name, &ids, &mut out, &mut || Ok(()))
        } else {
            pack_file(file.as_fd(), &name, &ids, &mut out)
        };
        if let Err(error) = packed {
            // Breaks the request off: the other side must not take a part for the whole.
            out.pieces.blocking_send(Err(io::Error::other(error))).ok();
        }
    })?;
    Ok((Body::Stream(receiver), count))
}

/// What is written, in pieces.
struct Pieced {
    pieces: Sender<Piece>,
    current: Vec<u8>,
    count: Arc<AtomicU64>,
}

impl Write for Pieced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.current.len());
        self.current.extend_from_slice(&bytes[..count]);
        if self.current.len() == PIECE {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.current.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.current, Vec::with_capacity(PIECE));
        self.count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let gone = |_request_over| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
