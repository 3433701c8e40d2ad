//! The daemon killed at any moment: another program opens an engine and makes, starts, stops and
//! removes guests without a pause, until it is killed. What it was told to be done must be so, what
//! it was about to do must be done or undone, and nothing may be left over.

#![expect(
    clippy::unwrap_used,
    reason = "this is test code, in functions clippy does not know as tests"
)]

mod ground;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ground::{Ground, config, shell};
use hull_engine::{Create, Engine, Guest, LogQuery, WaitFor};
use hull_model::guest::StopTimeout;
use hull_model::id::GuestId;
use hull_model::life::State;
use hull_model::mount::{Mount, Origin, Source, Target};
use hull_model::name::Name;
use hull_model::namespace::Network;

/// Names the directory of the engine to the program that is killed.
const DIRECTORY: &str = "HULL_ENGINE_CRASH_DIRECTORY";
const ROUNDS: u32 = 100;
/// No further round begins after this; a slow machine tests less.
const TIME: Duration = Duration::from_secs(15);
/// Counts without an end. Each number must be in the log.
const COUNTS: &str = "i=0; while :; do echo $i; i=$((i+1)); usleep 3000; done";
const SLEEPS: &str = "while :; do sleep 1; done";
const LINES: &str = "echo one; echo two; exit 7";

/// What the killed program said it had done, or was about to do, by the guest's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Removing,
    Removed,
}

impl Word {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "created" => Self::Created,
            "starting" => Self::Starting,
            "started" => Self::Started,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "removing" => Self::Removing,
            "removed" => Self::Removed,
            _ => return None,
        })
    }
}

/// Not a test by itself: what the other one runs, and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test beside it"]
async fn the_program_that_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let engine = Engine::open(config(Path::new(&dir))).await.unwrap();
    say("open", "");
    let mut workers = tokio::task::JoinSet::new();
    for (worker, script) in [SLEEPS, LINES, SLEEPS].into_iter().enumerate() {
        let engine = engine.clone();
        workers.spawn(async move {
            for turn in 0_u32.. {
                live(&engine, &format!("w{worker}-{turn}-{}", std::process::id()), script).await;
            }
        });
    }
    workers.join_next().await;
}

/// One guest's whole life.
async fn live(engine: &Engine, name: &str, script: &str) {
    let mut spec = shell(script);
    if script == SLEEPS {
        spec.namespaces.network = Network::Bridge;
    }
    spec.mounts.push(Mount {
        target: Target::new("/data").unwrap(),
        source: Source::Volume { name: None, copy: true },
        read_only: false,
        origin: Origin::Mounts,
    });
    let request = Create { name: Some(Name::new(name).unwrap()), spec };
    let id = engine.create(request).await.unwrap().id;
    let guest = engine.guest(&id.to_string()).unwrap();
    say("created", name);
    say("starting", name);
    guest.start().await.unwrap();
    say("started", name);
    say("stopping", name);
    // A guest that has ended by itself is stopped as well.
    guest.stop(None, Some(StopTimeout::After(Duration::ZERO))).await.ok();
    say("stopped", name);
    say("removing", name);
    guest.remove(true, true).await.unwrap();
    say("removed", name);
}

fn say(word: &str, name: &str) {
    // One write, so that no word is cut.
    std::io::stderr().write_all(format!("{word} {name}\n").as_bytes()).unwrap();
}

/// Starts the program on `dir`, kills it `after` a while, and gives what it said last of each guest.
fn run_and_kill(dir: &Path, after: Duration) -> BTreeMap<String, Word> {
    #[expect(clippy::disallowed_methods, reason = "a test that needs another process to kill")]
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_program_that_is_killed", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let mut lines = BufReader::new(program.0.stderr.take().unwrap()).lines();
    let mut words = BTreeMap::new();
    let mut begun = None;
    while let Some(line) = lines.next() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("open", _)) => {
                begun = Some(Instant::now());
                let pid = rustix::process::Pid::from_child(&program.0);
                std::thread::spawn(move || {
                    std::thread::sleep(after);
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                });
            }
            Some((word, name)) if Word::parse(word).is_some() => {
                words.extend(Word::parse(word).map(|word| (name.to_owned(), word)));
            }
            _ => {
                let rest: Vec<String> = lines.map_while(Result::ok).collect();
                panic!("it failed: {line}{}", rest.join("\n"));
            }
        }
    }
    assert!(begun.is_some(), "it did not come to its work");
    words
}

/// Is dead when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_at_any_moment_loses_and_leaks_nothing() {
    let Some(ground) = Ground::with_shell().await else { return };
    let request = Create { name: Some(Name::new("counter").unwrap()), spec: shell(COUNTS) };
    let counter = ground.engine.create(request).await.unwrap().id;
    ground.engine.guest(&counter.to_string()).unwrap().start().await.unwrap();
    let mut dir = ground.leave().await;
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS && begun.elapsed() < TIME {
        // Spread evenly without a random number: the golden ratio never repeats itself.
        let after = Duration::from_micros((u64::from(rounds) * 61_803) % 100_000);
        let path = dir.path().to_owned();
        let said = tokio::task::spawn_blocking(move || run_and_kill(&path, after)).await;
        let opening = Instant::now();
        let ground = Ground::open(dir).await;
        // Not before: the ground stops the guests if this fails.
        let said = said.unwrap();
        assert!(opening.elapsed() < Duration::from_secs(5), "{:?}", opening.elapsed());
        let round = format!("round {rounds}, killed after {after:?}: {said:?}");
        assert_true(&ground, &said, counter, &round).await;
        for guest in ground.engine.guests().into_iter().filter(|guest| guest.id() != counter) {
            guest.remove(true, true).await.unwrap();
        }
        dir = ground.leave().await;
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds} rounds only");
    finish(Ground::open(dir).await, counter).await;
}

/// What was said is so, and what is there belongs to somebody.
async fn assert_true(
    ground: &Ground,
    said: &BTreeMap<String, Word>,
    counter: GuestId,
    round: &str,
) {
    let guests: BTreeMap<String, Guest> = ground
        .engine
        .guests()
        .into_iter()
        .map(|guest| (guest.record().name.to_string(), guest))
        .collect();
    assert_eq!(guests["counter"].record().state, State::Running, "{round}");
    for (name, word) in said {
        let state = guests.get(name).map(|guest| guest.record().state);
        let lines = name.starts_with("w1-");
        let fits = match (word, state) {
            (Word::Created | Word::Starting, Some(State::Created)) => true,
            (Word::Starting | Word::Started | Word::Stopping, Some(State::Running)) => true,
            (Word::Starting | Word::Started | Word::Stopped, Some(State::Exited(exit)))
                if lines =>
            {
                exit.code == 7
            }
            (Word::Stopping | Word::Stopped | Word::Removing, Some(State::Exited(exit))) => {
                [137, 143].contains(&exit.code) || (lines && exit.code == 7)
            }
            (Word::Removing | Word::Removed, None) => true,
            _ => false,
        };
        assert!(fits, "{name} was {word:?} and is {state:?}; {round}");
    }
    for guest in guests.values() {
        let record = guest.record();
        if let Some(pid) = record.pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // It ended just now, by itself or by the signal that was its killed daemon's last deed.
            let ended =
                tokio::time::timeout(Duration::from_secs(2), guest.wait(WaitFor::NotRunning));
            assert!(ended.await.is_ok(), "{pid} is gone: {record:?}; {round}");
        }
        let record = guest.record();
        if record.exit.is_some_and(|exit| exit.code == 7) {
            assert_eq!(log(guest).await, ["one\n", "two\n"], "{round}");
        }
    }
    assert!(guests["counter"].id() == counter, "{round}");
    assert_nothing_leaks(ground, round).await;
}

/// Each thing in the kernel and on disk is some guest's. What goes by itself has a moment for it.
async fn assert_nothing_leaks(ground: &Ground, round: &str) {
    let (engine, dir) = (&ground.engine, ground.dir.path());
    let names = |guests: &[Guest]| -> BTreeSet<String> {
        guests.iter().map(|guest| guest.id().to_string()).collect()
    };
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let guests = engine.guests();
        let (alive, _): (Vec<_>, Vec<_>) =
            guests.iter().cloned().partition(|guest| guest.record().state.is_alive());
        let on_bridge = alive.iter().filter(|guest| guest.record().endpoint.is_some()).count();
        let links = engine.networks().bridge.map_or(0, |bridge| {
            entries(&Path::new("/sys/class/net").join(bridge.name).join("brif")).len()
        });
        let mut wrong = Vec::new();
        let mut compare = |what: &str, found: BTreeSet<String>, expected: BTreeSet<String>| {
            if found != expected {
                wrong.push(format!("{what}: {found:?} instead of {expected:?}"));
            }
        };
        compare("files", entries(&dir.join("data/guests")), names(&guests));
        compare("run directories", entries(&dir.join("exec/guests")), names(&alive));
        compare("shims", shims(dir), names(&alive));
        let volumes = engine.volumes().list().unwrap().into_iter().map(|one| one.name.to_string());
        let used = guests.iter().flat_map(|guest| guest.record().mounts.clone());
        let used = used.filter_map(|mount| Some(mount.volume?.to_string())).collect();
        compare("volumes", volumes.collect(), used);
        for hierarchy in &engine.host().cgroups {
            let parent = hierarchy.mount.join(dir.file_name().unwrap());
            let found = directories(&parent);
            if parent.exists() && !found.is_empty() {
                compare("cgroups", found, names(&alive));
            }
        }
        if links != on_bridge {
            wrong.push(format!("{links} links for {on_bridge} guests"));
        }
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{wrong:#?}; {round}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The counter has run through all of it, and everything goes when it goes.
async fn finish(ground: Ground, counter: GuestId) {
    let guest = ground.engine.guest(&counter.to_string()).unwrap();
    guest.stop(None, Some(StopTimeout::After(Duration::ZERO))).await.unwrap();
    let counted = log(&guest).await;
    assert!(counted.len() > 100, "{} lines", counted.len());
    for (number, line) in counted.iter().enumerate() {
        assert_eq!(*line, format!("{number}\n"));
    }
    guest.remove(false, true).await.unwrap();
    assert_nothing_leaks(&ground, "the end").await;
    ground.close().await;
}

async fn log(guest: &Guest) -> Vec<String> {
    let query = LogQuery { stdout: true, stderr: true, ..LogQuery::default() };
    let mut stream = guest.logs(query).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = stream.next().await.unwrap() {
        lines.push(line.text);
    }
    lines
}

fn entries(dir: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeSet::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn directories(dir: &Path) -> BTreeSet<String> {
    entries(dir).into_iter().filter(|name| dir.join(name).is_dir()).collect()
}

/// The guests whose shims run, by their command lines.
fn shims(dir: &Path) -> BTreeSet<String> {
    let run_dirs = format!("{}/", dir.join("exec/guests").display());
    let of_process = |pid: String| {
        let line = fs::read(Path::new("/proc").join(pid).join("cmdline")).ok()?;
        let line = String::from_utf8(line).ok()?;
        let run_dir = line.split('\0').nth(1)?.strip_prefix(&run_dirs)?;
        Some(run_dir.to_owned())
    };
    entries(Path::new("/proc")).into_iter().filter_map(of_process).collect()
}
