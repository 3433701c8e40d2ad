//! The daemon from start to end.

use std::io;
use std::time::Duration;

use hull_engine::{Engine, Guests};
use hull_model::limits::{Resource, Rlimit};
use rustix::process::{Resource as Limit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{ConfigError, Flags, Settings};
use crate::identities::{Identities, IdentitiesError};
use crate::listen::{ListenError, Listener, accept};
use crate::notify::{News, tell};
use crate::pidfile::{PidFile, PidFileError};
use crate::roots::{Passage, Root, RootError};
use crate::routes::App;
use crate::signals::Signals;

/// How long requests in progress may go on when the daemon ends.
const GRACE: Duration = Duration::from_secs(3);
/// Threads for requests: they only wait and copy; work that blocks has threads of its own.
const WORKERS: usize = 2;
/// Threads for blocking work at once.
const BLOCKING_MAX: usize = 64;
/// Stack of each thread. The kernel gives pages when they are touched, so this is room, not cost.
const STACK: usize = 1 << 20;
/// The group that may use the socket, if the host has it: members of it own the host anyway.
const DEFAULT_GROUP: &str = "docker";
/// Descriptors we want to be able to have: a client and a few for each guest.
const DESCRIPTORS: u64 = 65_536;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There are no ids for guests.
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
    /// A root directory cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The pid file cannot be written.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// Nobody could connect.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The group of the socket is wrong.
    #[error("use the group {name:?} for the socket: {why}")]
    Group {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The runtime cannot start.
    #[error("start the daemon's threads")]
    Runtime(#[source] io::Error),
    /// The engine cannot be opened or closed.
    #[error("{doing}")]
    Engine {
        /// Which of it.
        doing: &'static str,
        /// Why.
        source: hull_engine::Error,
    },
}

/// Runs the daemon until a signal ends it.
pub(crate) fn run(flags: &Flags) -> Result<(), DaemonError> {
    let settings = flags.settings()?;
    if flags.validate {
        return Ok(());
    }
    crate::log::start(settings.level);
    if flags.detached {
        // Fails for the leader of a group, who has a session of its own or is meant to have none.
        rustix::process::setsid().ok();
    }
    // Files whose mode matters are made with it; what is left must not depend on who started us.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let identities = Identities::read(&settings)?;
    let descriptors = raise_descriptors();
    let group = group(settings.group.as_deref())?;
    let passage = if group.is_some() { Passage::Open } else { Passage::Closed };
    let _data = Root::take("data root", &settings.data_root, Passage::Closed)?;
    let _exec = Root::take("exec root", &settings.exec_root, passage)?;
    let _pid = settings.pidfile.as_deref().map(PidFile::write).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_MAX)
        .thread_stack_size(STACK)
        .thread_name("hulld")
        .enable_all()
        .build()
        .map_err(DaemonError::Runtime)?;
    let ended = runtime.block_on(Box::pin(live(settings, group, (identities, descriptors))));
    // Blocking work that does not end must not keep us: all that counts is on disk already.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn live(
    settings: Settings,
    group: Option<u32>,
    (identities, descriptors): (Identities, Option<Rlimit>),
) -> Result<(), DaemonError> {
    let mut signals = Signals::catch().map_err(DaemonError::Runtime)?;
    let guests = if settings.stop_guests { Guests::Stop } else { Guests::Leave };
    // Before the engine: it may take over many guests, and clients can wait in the queue meanwhile.
    let addresses = settings.addresses(crate::listen::activation::any());
    let listeners = crate::listen::open(&addresses, group, settings.tls.as_ref()).await?;
    let config = crate::engine::config(&settings, identities, descriptors);
    let opening = Engine::open(config);
    let engine = tokio::select! {
        engine = Box::pin(opening) => engine
            .map_err(|source| DaemonError::Engine { doing: "open the engine", source })?,
        // What is half-made is finished or undone at the next start.
        signal = signals.end() => {
            tracing::info!(signal, "ended before it was ready");
            return Ok(());
        }
    };
    let (stop, stopped) = watch::channel(false);
    let mut faces = faces(listeners, &App::new(engine.clone(), settings), &stopped);
    tracing::info!("ready");
    tell(News::Ready);
    let signal = signals.end().await;
    tracing::info!(signal, ?guests, "ending");
    tell(News::Stopping);
    let end = async {
        stop.send_replace(true);
        while faces.join_next().await.is_some() {}
        engine
            .close(guests)
            .await
            .map_err(|source| DaemonError::Engine { doing: "close the engine", source })
    };
    tokio::select! {
        ended = end => ended,
        signal = signals.end() => {
            tracing::warn!(signal, "ended at once by a second signal");
            Ok(())
        }
    }
}

/// One task for each listener.
fn faces(listeners: Vec<Listener>, app: &App, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut faces = JoinSet::new();
    for listener in listeners {
        let app = app.clone();
        let handle = move |peer, request| {
            let app = app.clone();
            async move { app.handle(peer, request).await }
        };
        faces.spawn(accept::accept(listener, handle, stopped.clone(), GRACE));
    }
    faces
}

/// The id of the group that may use unix sockets.
fn group(name: Option<&str>) -> Result<Option<u32>, DaemonError> {
    let wanted = name.unwrap_or(DEFAULT_GROUP);
    if let Ok(number) = wanted.parse() {
        return Ok(Some(number));
    }
    let failed = |why: String| DaemonError::Group { name: wanted.to_owned(), why };
    match std::fs::read_to_string("/etc/group") {
        Ok(text) => match (group_id(&text, wanted), name) {
            (Some(id), _) => Ok(Some(id)),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(failed("/etc/group does not name it".to_owned())),
        },
        Err(error) if name.is_some() => Err(failed(format!("read /etc/group: {error}"))),
        Err(_no_groups) => Ok(None),
    }
}

/// `docker:x:999:alice,bob` is group 999.
fn group_id(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// Lets us have many descriptors, and returns the limit for guests that ask for none.
///
/// Guests would inherit ours, and a large one slows programs that close every descriptor they might
/// have; so they are given Docker's (1,024, and 524,288 for those that raise theirs), as far as we may.
fn raise_descriptors() -> Option<Rlimit> {
    const SOFT: u64 = 1_024;
    const HARD: u64 = 524_288;
    let was = getrlimit(Limit::Nofile);
    if was.current.is_some_and(|soft| soft < DESCRIPTORS) {
        let want = was.maximum.map_or(DESCRIPTORS, |hard| hard.min(DESCRIPTORS));
        let raised = rustix::process::Rlimit { current: Some(want), maximum: was.maximum };
        if let Err(error) = setrlimit(Limit::Nofile, raised) {
            tracing::warn!(%error, want, "raise the limit of open files");
        }
    }
    let hard = was.maximum.map_or(HARD, |hard| hard.min(HARD));
    Some(Rlimit { resource: Resource::Nofile, soft: Some(SOFT.min(hard)), hard: Some(hard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_or_number() {
        let text = "root:x:0:\n# docker:x:1:\ndocker:x:999:a,b\nbad\nodd:x:y:\n";
        assert_eq!(group_id(text, "docker"), Some(999));
        assert_eq!(group_id(text, "odd"), None);
        assert_eq!(group_id(text, "bad"), None);
        assert_eq!(group(Some("1234")).unwrap(), Some(1234));
        let missing = group(Some("no-such-group-of-hull")).unwrap_err().to_string();
        assert!(missing.contains("/etc/group does not name it"), "{missing}");
    }
}
