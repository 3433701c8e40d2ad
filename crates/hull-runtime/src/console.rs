//! Handing a terminal's controlling side to who asked for it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};

use crate::failure::{Doing, Failure};

/// What comes with the descriptor: a name for it, which nobody should open.
const NAME: &[u8] = b"/dev/ptmx";

/// Sends `terminal` to the unix socket at `path`.
pub(crate) fn send(path: &Path, terminal: BorrowedFd<'_>) -> Result<(), Failure> {
    let doing = "send the terminal to";
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing("make a socket")?;
    connect(&socket, &SocketAddrUnix::new(path).doing_at(doing, path)?).doing_at(doing, path)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [terminal];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        unreachable!("the space is made for one descriptor");
    }
    let flags = SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(NAME)], &mut control, flags))
        .doing_at(doing, path)?;
    Ok(())
}

/// Checks, before anything is made, that a terminal can be handed over.
///
/// `terminal` is what the process wants, `detached` whether nobody will stay to look after it.
pub(crate) fn check(terminal: bool, detached: bool, socket: Option<&str>) -> Result<(), Failure> {
    match (terminal, detached, socket) {
        (true, true, None) => Err(Failure::new(
            "process.terminal: nobody would hold the terminal; hint: give --console-socket",
        )),
        (false, _, Some(socket)) => Err(Failure::new(format!(
            "--console-socket {socket}: the process has no terminal (process.terminal)"
        ))),
        (true, false, Some(socket)) => Err(Failure::new(format!(
            "--console-socket {socket}: only for a process that is left alone; hint: --detach"
        ))),
        (true, true, Some(_)) | (true | false, _, None) => Ok(()),
    }
}
