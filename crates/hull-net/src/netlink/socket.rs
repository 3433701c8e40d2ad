//! A blocking netlink socket, bound to the network namespace of the thread that opens it.
//!
//! The kernel answers within `send`, so replies are there when it returns; a deadline guards
//! against the kernel that does not keep to it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt,
};

use super::attribute;
use super::message::{HEADER_LEN, Message};
use super::uapi::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR,
    NLMSGERR_ATTR_MSG,
};

/// How long an answer may take. The kernel answers at once unless its network lock is held.
const DEADLINE: Duration = Duration::from_secs(10);
/// Room for one datagram. The kernel fills a dump's datagram up to 32 KiB.
const RECEIVE_LEN: usize = 64 * 1024;
/// How often a dump is begun again when the list changes while it is read.
const DUMP_TRIES: usize = 8;

/// The kernel could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("open a netlink socket")]
    Open(#[source] io::Error),
    /// The request did not reach the kernel, or its answer did not come.
    #[error("{doing}: talk to the kernel")]
    Transport {
        /// What was attempted.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("{doing}{}{hint}", if hint.is_empty() { "" } else { ": " })]
    Refused {
        /// What was attempted.
        doing: String,
        /// The kernel's own words, often empty.
        hint: String,
        /// The error number.
        source: io::Error,
    },
    /// The request is longer than netlink can carry.
    #[error("{doing}: longer than a netlink message can be")]
    TooLong {
        /// What was attempted.
        doing: String,
    },
    /// The answer is not what the kernel documents.
    #[error("{doing}: the answer cannot be read")]
    Malformed {
        /// What was attempted.
        doing: String,
    },
}

impl NetlinkError {
    /// Whether the kernel refused with this error number.
    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        matches!(self, Self::Refused { source, .. }
            if source.raw_os_error() == Some(errno.raw_os_error()))
    }
}

/// One reply: the kind of message and what follows its header.
pub(crate) type Reply = (u16, Vec<u8>);

/// A netlink socket of one protocol.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket for links, addresses and routes.
    pub(crate) fn route() -> Result<Self, NetlinkError> {
        // NETLINK_ROUTE is protocol 0.
        Self::open(None)
    }

    /// Opens a socket for nftables.
    pub(crate) fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let open = || {
            let fd = rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                protocol,
            )?;
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(DEADLINE))?;
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Send, Some(DEADLINE))?;
            // A ruleset of ten thousand elements is one datagram. Root may pass the system's
            // limit; who may not gets as far as that limit goes.
            if sockopt::set_socket_send_buffer_size_force(&fd, 16 << 20).is_err() {
                sockopt::set_socket_send_buffer_size(&fd, 16 << 20)?;
            }
            hull_sys::netlink::explain_refusals(&fd)?;
            Ok(fd)
        };
        let fd = open().map_err(|error: io::Error| NetlinkError::Open(error))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends all requests in one datagram and waits until each that asks for it is acknowledged.
    ///
    /// The first refusal is the error. What rtnetlink was asked after it may still have been done;
    /// nfnetlink does all or nothing.
    pub(crate) fn transact(&mut self, requests: &[Message]) -> Result<(), NetlinkError> {
        if requests.is_empty() {
            return Ok(());
        }
        let first = self.sequence;
        let (datagram, awaited) = self.datagram(requests)?;
        let doing = requests.first().map_or("", Message::doing);
        self.send(&datagram, doing)?;
        let Some(last) = awaited else { return Ok(()) };
        loop {
            for reply in self.receive(doing)? {
                // Left over from a request that was given up.
                let at = reply.sequence.wrapping_sub(first.wrapping_add(1));
                let Some(request) = usize::try_from(at).ok().and_then(|at| requests.get(at)) else {
                    continue;
                };
                if reply.kind == NLMSG_ERROR {
                    refusal(&reply, request.doing())?;
                    if reply.sequence == last {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Asks for one answer.
    pub(crate) fn ask(&mut self, request: Message) -> Result<Option<Reply>, NetlinkError> {
        let request = request.acknowledged();
        Ok(self.replies(&request)?.into_iter().next())
    }

    /// Asks for a list, again if it changed while it was read.
    pub(crate) fn dump(
        &mut self,
        request: impl Fn(u16) -> Message,
    ) -> Result<Vec<Reply>, NetlinkError> {
        let request = request(NLM_F_DUMP);
        for _ in 1..DUMP_TRIES {
            match self.replies(&request) {
                Err(error) if error.is(rustix::io::Errno::INTR) => {}
                answer => return answer,
            }
        }
        self.replies(&request)
    }

    fn replies(&mut self, request: &Message) -> Result<Vec<Reply>, NetlinkError> {
        let (datagram, _) = self.datagram(std::slice::from_ref(request))?;
        self.send(&datagram, request.doing())?;
        let mut replies = Vec::new();
        let mut interrupted = false;
        loop {
            for reply in self.receive(request.doing())? {
                if reply.sequence != self.sequence {
                    continue;
                }
                interrupted |= reply.flags & NLM_F_DUMP_INTR != 0;
                match reply.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        refusal(&reply, request.doing())?;
                        if interrupted {
                            return Err(NetlinkError::Refused {
                                doing: request.doing().to_owned(),
                                hint: "the list keeps changing".to_owned(),
                                source: rustix::io::Errno::INTR.into(),
                            });
                        }
                        return Ok(replies);
                    }
                    kind => replies.push((kind, reply.body)),
                }
            }
        }
    }

    fn datagram(&mut self, requests: &[Message]) -> Result<(Vec<u8>, Option<u32>), NetlinkError> {
        let mut datagram = Vec::new();
        let mut awaited = None;
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let Some(bytes) = request.finish(self.sequence) else {
                return Err(NetlinkError::TooLong { doing: request.doing().to_owned() });
            };
            if request.is_acknowledged() {
                awaited = Some(self.sequence);
            }
            datagram.extend(bytes);
        }
        Ok((datagram, awaited))
    }

    fn send(&self, datagram: &[u8], doing: &str) -> Result<(), NetlinkError> {
        let transport = |source| NetlinkError::Transport { doing: doing.to_owned(), source };
        loop {
            match rustix::net::send(&self.fd, datagram, SendFlags::empty()) {
                Ok(sent) if sent == datagram.len() => return Ok(()),
                Ok(_) => return Err(transport(io::ErrorKind::WriteZero.into())),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(transport(error.into())),
            }
        }
    }

    fn receive(&self, doing: &str) -> Result<Vec<Received>, NetlinkError> {
        let transport = |source| NetlinkError::Transport { doing: doing.to_owned(), source };
        let mut buffer = vec![0; RECEIVE_LEN];
        let len = loop {
            match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC) {
                Ok((_, len)) => break len,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    return Err(transport(io::ErrorKind::TimedOut.into()));
                }
                Err(error) => return Err(transport(error.into())),
            }
        };
        let malformed = || NetlinkError::Malformed { doing: doing.to_owned() };
        split(buffer.get(..len).ok_or_else(malformed)?).ok_or_else(malformed)
    }
}

/// One message as received.
struct Received {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: Vec<u8>,
}

/// The messages of a datagram, or nothing if one is malformed.
fn split(mut datagram: &[u8]) -> Option<Vec<Received>> {
    let mut messages = Vec::new();
    while !datagram.is_empty() {
        let len = usize::try_from(attribute::u32_at(datagram, 0)?).ok()?;
        messages.push(Received {
            kind: attribute::u16_at(datagram, 4)?,
            flags: attribute::u16_at(datagram, 6)?,
            sequence: attribute::u32_at(datagram, 8)?,
            body: datagram.get(HEADER_LEN..len)?.to_vec(),
        });
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(messages)
}

/// The error in an acknowledgement, if it is one, with the kernel's own explanation.
fn refusal(reply: &Received, doing: &str) -> Result<(), NetlinkError> {
    let Some(code) = attribute::u32_at(&reply.body, 0).map(u32::cast_signed) else {
        return Err(NetlinkError::Malformed { doing: doing.to_owned() });
    };
    if code == 0 || (reply.kind == NLMSG_DONE && code > 0) {
        return Ok(());
    }
    Err(NetlinkError::Refused {
        doing: doing.to_owned(),
        hint: explanation(reply).unwrap_or_default(),
        source: io::Error::from_raw_os_error(code.wrapping_neg()),
    })
}

/// The extended acknowledgement's text. It follows the code and the (perhaps capped) request.
fn explanation(reply: &Received) -> Option<String> {
    if reply.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let mut at = 4;
    if reply.kind == NLMSG_ERROR {
        let request_len = usize::try_from(attribute::u32_at(&reply.body, 4)?).ok()?;
        let capped = reply.flags & NLM_F_CAPPED != 0;
        at += if capped { HEADER_LEN } else { request_len.next_multiple_of(4) };
    }
    attribute::find(reply.body.get(at..)?, NLMSGERR_ATTR_MSG).map(attribute::text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_datagram_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            for reply in split(&bytes).into_iter().flatten() {
                let explained = explanation(&reply);
                prop_assert!(explained.is_none() || !bytes.is_empty());
                prop_assert!(refusal(&reply, "test").is_ok() || !reply.body.is_empty() || bytes.len() >= 16);
            }
        }
    }

    #[test]
    fn a_request_the_kernel_refuses_names_what_was_attempted() {
        let mut socket = Socket::route().unwrap();
        let mut nonsense = Message::new("remove link 4242424", 17, 0, &[0; 16]).acknowledged();
        nonsense.u32(200, 1);
        let error = socket.transact(&[nonsense]).unwrap_err();
        assert!(error.to_string().starts_with("remove link 4242424"), "{error}");
    }
}
