//! Handing the descriptor on which system calls are decided to the agent that decides.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    connect, sendmsg, socket_with,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::{Newborn, gate};
use crate::failure::{Doing, Failure};
use crate::plan::{Listener, State};
use crate::state;

/// How long the process may take to install its filter: one system call.
const INSTALL_MAX: Duration = Duration::from_secs(10);

/// Takes the descriptor that has, or is about to have, `number` in the process, and sends it to the
/// agent with the process's state.
///
/// The process cannot send it itself: with the filter installed, sending may be among the calls that
/// wait for the agent.
pub(super) fn introduce(
    agent: &Listener,
    number: i32,
    newborn: &Newborn,
    (state, id): (&State, &str),
) -> Result<(), Failure> {
    let doing = || format!("send the seccomp descriptor to {}", agent.path.display());
    let (_directory, address) = gate::address(&agent.path)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).doing(doing())?;
    connect(&socket, &address).doing(doing())?;
    let listener = take(number, newborn)?;
    let pid = newborn.pid().as_raw_nonzero().get();
    let container = state::document(state, id, "creating", pid);
    let message = state::for_agent(state, &agent.metadata, pid, &container);
    let descriptors = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let slices = [IoSlice::new(message.as_bytes())];
    let sent =
        rustix::io::retry_on_intr(|| sendmsg(&socket, &slices, &mut control, SendFlags::NOSIGNAL));
    let sent = sent.doing(doing())?;
    // A stream may take a part, which the agent could not tell from the whole.
    if sent < message.len() {
        rustix::io::retry_on_intr(|| rustix::io::write(&socket, &message.as_bytes()[sent..]))
            .doing(doing())?;
    }
    Ok(())
}

fn take(number: i32, newborn: &Newborn) -> Result<OwnedFd, Failure> {
    let doing = "take the seccomp descriptor of the process";
    let deadline = Instant::now() + INSTALL_MAX;
    loop {
        match pidfd_getfd(newborn.pidfd(), number, PidfdGetfdFlags::empty()) {
            Ok(fd) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let kind = fs::read_link(path).doing(doing)?;
                if kind.to_string_lossy() == "anon_inode:seccomp notify" {
                    return Ok(fd);
                }
                let kind = kind.display();
                return Err(Failure::other(format!("{doing}: it is {kind}")));
            }
            Err(Errno::BADF) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(Errno::PERM) => {
                return Err(Failure::other(format!(
                    "{doing}: not permitted; hint: it takes CAP_SYS_PTRACE"
                )));
            }
            Err(Errno::SRCH) => {
                return Err(Failure::other(format!("{doing}: it {}", newborn.fate())));
            }
            Err(error) => return Err(error).doing(doing),
        }
    }
}
