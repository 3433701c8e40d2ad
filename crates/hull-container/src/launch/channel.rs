//! The conversation between the launcher and the process it makes: short messages with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::Newborn;
use crate::failure::{Doing, Failure};

/// One end; messages keep their boundaries.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// First byte of what the launcher says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum ToChild {
    /// The id maps are written.
    Begin = 1,
    /// Descriptors of detached mounts; more may follow.
    Mounts = 2,
    /// Descriptors of the three streams. Ends the mounts.
    Streams = 3,
    /// The size of the terminal to make. Ends the mounts.
    Terminal = 4,
    /// Execute.
    Start = 5,
    /// The descriptors that the process keeps.
    Keep = 6,
    /// The gate's listening side.
    Gate = 7,
    /// Go on into the root.
    Enter = 8,
    /// Wait at the gate; the launcher leaves.
    Leave = 9,
}

/// What the process says.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum FromChild {
    /// Said by the process in between: the number of the process it made; its pidfd comes along.
    Forked(i32),
    /// Everything is mounted, the root not entered yet.
    Mounted,
    /// Everything is set up; a terminal comes along if one was asked for.
    Ready {
        /// The number that the descriptor for the seccomp agent is about to have in the process.
        listener: Option<i32>,
    },
    /// Said to whoever comes to the gate.
    Listens,
    /// It cannot go on and ends.
    Failed(Failure),
}

/// A message and the descriptors that came with it.
pub(crate) type Message = (Vec<u8>, Vec<OwnedFd>);

/// The most descriptors in one message (the kernel's own limit, `SCM_MAX_FD`, is 253).
pub(crate) const DESCRIPTORS_MAX: usize = 128;
/// The longest message: a [`Failure`] with a message of the greatest length.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// How long a process waits for its launcher, which waits for the engine's word to start. Should
/// the launcher die meanwhile, the process dies with it.
const PATIENCE_MAX: Duration = Duration::from_secs(24 * 3_600);

impl Channel {
    /// Two connected ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that `socket` is.
    pub(crate) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// The same end with a descriptor of at least `number`.
    pub(crate) fn moved_to(self, number: i32) -> io::Result<Self> {
        Ok(Self(rustix::io::fcntl_dupfd_cloexec(&self.0, number)?))
    }

    /// Sends `bytes` and `descriptors`, of which there are at most [`DESCRIPTORS_MAX`].
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let flags = SendFlags::NOSIGNAL;
        rustix::io::retry_on_intr(|| {
            sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, flags)
        })?;
        Ok(())
    }

    /// The next message, or `None` when the other side is gone.
    pub(crate) fn receive(&self, patience: Duration) -> io::Result<Option<Message>> {
        self.wait(patience)?;
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut receive = || {
            rustix::io::retry_on_intr(|| {
                let mut slices = [IoSliceMut::new(&mut bytes)];
                let received = recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC);
                received.map(|received| received.bytes)
            })
        };
        // A side that ends with messages unread is told of as a reset once, ahead of its last words.
        let received = match receive() {
            Err(rustix::io::Errno::CONNRESET) => receive(),
            received => received,
        };
        let length = match received {
            Ok(length) => length,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if length == 0 {
            return Ok(None);
        }
        bytes.truncate(length);
        Ok(Some((bytes, descriptors)))
    }

    /// In the process: the launcher's next word. Ends the process if the launcher is gone.
    pub(crate) fn hear(&self) -> Result<Message, Failure> {
        match self.receive(PATIENCE_MAX) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => hull_sys::process::end(1),
            Err(error) => Err(Failure::other(format!("hear from the launcher: {error}"))),
        }
    }

    /// In the process: whether the launcher is still there.
    pub(crate) fn is_connected(&self) -> bool {
        let mut watched = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error of poll is no sign of life; saying "gone" ends the process, which is safe.
        poll(&mut watched, Some(&now)).is_ok_and(|_| watched[0].revents().is_empty())
    }

    /// In the process: says `message`.
    pub(crate) fn say(
        &self,
        message: &FromChild,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        let bytes = postcard::to_allocvec(message).doing("encode a message")?;
        self.send(&bytes, descriptors).doing("answer the launcher")
    }

    /// In the launcher: the process's answer. Its death is a failure that says how it died.
    pub(crate) fn answer(
        &self,
        patience: Duration,
        newborn: &Newborn,
        doing: &str,
    ) -> Result<(FromChild, Vec<OwnedFd>), Failure> {
        match self.receive(patience).doing(doing)? {
            Some((bytes, descriptors)) => Ok((FromChild::read(&bytes)?, descriptors)),
            None => Err(Failure::other(format!("{doing}: the new process {}", newborn.fate()))),
        }
    }

    /// In the launcher, when the process does not listen any more: why it gave up.
    pub(crate) fn last_words(&self) -> Option<Failure> {
        let (bytes, _) = self.receive(Duration::ZERO).ok()??;
        match FromChild::read(&bytes) {
            Ok(FromChild::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    fn wait(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut watched, Some(&left)) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl FromChild {
    /// Decodes a message.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        postcard::from_bytes(bytes).doing("decode the new process's answer")
    }

    /// Its failure, or that it is not what should have come.
    pub(crate) fn unexpected(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Forked(_) | Self::Mounted | Self::Ready { .. } | Self::Listens => {
                Failure::other("the new process answers nonsense")
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_descriptors_and_keep_their_boundaries() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&[1, 2], &[one.as_fd()]).unwrap();
        one.send(&[3], &[]).unwrap();
        let (bytes, descriptors) = other.hear().unwrap();
        assert_eq!((bytes, descriptors.len()), (vec![1, 2], 1));
        assert_eq!(other.hear().unwrap().0, [3]);
        assert!(other.is_connected());
        drop((descriptors, one));
        assert!(!other.is_connected());
        assert!(other.receive(Duration::from_secs(1)).unwrap().is_none());
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (one, _other) = Channel::pair().unwrap();
        let error = one.receive(Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn last_words_are_heard_of_a_side_that_left_messages_unread() {
        let (launcher, process) = Channel::pair().unwrap();
        launcher.send(b"unread", &[]).unwrap();
        process.say(&FromChild::Failed(Failure::other("why")), &[]).unwrap();
        drop(process);
        assert_eq!(launcher.last_words().unwrap().message, "why");
        assert!(launcher.receive(Duration::ZERO).unwrap().is_none());
    }
}
