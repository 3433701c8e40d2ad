//! Sockets that systemd opened for us (`sd_listen_fds(3)`).

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, PidfdGetfdFlags};
use tokio::net::{TcpListener, UnixListener};

use super::address::Which;

/// The first passed descriptor, by the protocol.
const FIRST: i32 = 3;
/// More than anybody passes; a bound on what the environment can make us do.
const COUNT_MAX: i32 = 64;

/// A passed socket.
#[derive(Debug)]
pub(crate) enum Inherited {
    /// For local clients.
    Unix(UnixListener),
    /// For remote ones.
    Tcp(TcpListener),
}

/// Why a passed socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    /// It was not passed.
    #[error("fd://{number}: systemd passed {count} sockets, from 3 on")]
    NotPassed {
        /// The descriptor asked for.
        number: i32,
        /// How many there are.
        count: i32,
    },
    /// A step failed.
    #[error("use the passed socket {number}: {doing}")]
    Socket {
        /// The descriptor.
        number: i32,
        /// Which step.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nobody can connect to it.
    #[error("use the passed socket {number}: it is not a listening stream socket")]
    NotListening {
        /// The descriptor.
        number: i32,
    },
}

/// The sockets that were passed to this process, and not to its parent.
///
/// # Errors
/// If one is missing or is no listening stream socket.
pub(crate) fn take(which: Which) -> Result<Vec<Inherited>, ActivationError> {
    let count = count();
    let numbers = match which {
        Which::All => FIRST..FIRST + count,
        Which::Number(number) if (FIRST..FIRST + count).contains(&number) => number..number + 1,
        Which::Number(number) => return Err(ActivationError::NotPassed { number, count }),
    };
    numbers.map(socket).collect()
}

/// Whether sockets were passed to us.
pub(crate) fn any() -> bool {
    count() > 0
}

fn count() -> i32 {
    passed(std::env::var_os("LISTEN_PID"), std::env::var_os("LISTEN_FDS"))
}

/// How many sockets the two variables say were passed to us.
fn passed(process: Option<OsString>, count: Option<OsString>) -> i32 {
    let number = |text: Option<OsString>| text?.to_str()?.parse::<i32>().ok();
    let ours = number(process).is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()));
    match number(count) {
        Some(count) if ours => count.clamp(0, COUNT_MAX),
        Some(_) | None => 0,
    }
}

fn socket(number: i32) -> Result<Inherited, ActivationError> {
    let failed = |doing| move |source| ActivationError::Socket { number, doing, source };
    let descriptor = duplicate(number).map_err(failed("take it"))?;
    let listens = rustix::net::sockopt::socket_type(&descriptor) == Ok(SocketType::STREAM)
        && rustix::net::sockopt::socket_acceptconn(&descriptor) == Ok(true);
    if !listens {
        return Err(ActivationError::NotListening { number });
    }
    let family = rustix::net::sockopt::socket_domain(&descriptor)
        .map_err(|errno| failed("ask for its family")(errno.into()))?;
    if family == AddressFamily::UNIX {
        let listener = std::os::unix::net::UnixListener::from(descriptor);
        listener.set_nonblocking(true).map_err(failed("make it non-blocking"))?;
        UnixListener::from_std(listener).map(Inherited::Unix).map_err(failed("watch it"))
    } else {
        let listener = std::net::TcpListener::from(descriptor);
        listener.set_nonblocking(true).map_err(failed("make it non-blocking"))?;
        TcpListener::from_std(listener).map(Inherited::Tcp).map_err(failed("watch it"))
    }
}

/// A descriptor of our own for one that the environment names.
///
/// By way of a process descriptor of ourselves, so that a wrong number is an error and not a
/// descriptor with two owners. The original stays open, close-on-exec like all others.
fn duplicate(number: i32) -> io::Result<OwnedFd> {
    hull_sys::descriptor::close_on_exec_from(FIRST)?;
    let ourselves = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    Ok(rustix::process::pidfd_getfd(ourselves, number, PidfdGetfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn only_our_own_variables_count() {
        let text = |text: &str| Some(OsString::from(text));
        let ours = std::process::id().to_string();
        assert_eq!(passed(text(&ours), text("2")), 2);
        assert_eq!(passed(text("1"), text("2")), 0);
        assert_eq!(passed(None, text("2")), 0);
        assert_eq!(passed(text(&ours), text("many")), 0);
        assert_eq!(passed(text(&ours), text("-1")), 0);
        assert_eq!(passed(text(&ours), text("99999")), COUNT_MAX);
    }

    #[tokio::test]
    async fn listening_sockets_are_taken_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let unix = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(matches!(socket(unix.as_raw_fd()), Ok(Inherited::Unix(_))));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(socket(tcp.as_raw_fd()), Ok(Inherited::Tcp(_))));
        let file = std::fs::File::open("/").unwrap();
        let refused = socket(file.as_raw_fd());
        assert!(matches!(refused, Err(ActivationError::NotListening { .. })));
        assert!(matches!(socket(9_999), Err(ActivationError::Socket { .. })));
    }
}
