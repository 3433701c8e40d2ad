//! Programs as a test runs them: with a deadline, their output as text, their status as a number.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{eventually, within};

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(90);

/// A program to be run.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    input: Vec<u8>,
    what: String,
}

/// What a program did.
#[derive(Debug)]
pub struct Done {
    /// Its exit status; 128 and the signal's number if one ended it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The command line.
    pub what: String,
}

impl Tool {
    /// A program, with arguments as a shell would split `words`; quotes group, nothing expands.
    pub fn new(program: impl AsRef<Path>, words: &str) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.args(split(words)).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: Vec::new(), what: format!("{} {words}", program.display()) }
    }

    /// One more argument, as it is.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        let argument = argument.into();
        self.what.push_str(&format!(" {argument:?}"));
        self.command.arg(argument);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started, or does not end in time.
    pub fn run(self) -> Done {
        self.run_within(LIMIT)
    }

    /// Runs it to its end, which may take so long.
    ///
    /// # Panics
    /// If it cannot be started, or does not end in time.
    pub fn run_within(mut self, limit: Duration) -> Done {
        let input = std::mem::take(&mut self.input);
        let mut running = self.spawn();
        if let Some(mut stdin) = running.stdin.take() {
            // Whoever does not read its input closes it; that is not our failure.
            stdin.write_all(&input).unwrap_or_default();
        }
        running.finish_within(limit)
    }

    /// Runs it to its end and gives what it printed, without white space around.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok(self) -> String {
        let done = self.run();
        assert_eq!(done.status, 0, "{done:#?}");
        done.stdout.trim().to_owned()
    }

    /// Runs it to its end and gives what it complained.
    ///
    /// # Panics
    /// If its exit status is another.
    pub fn fails(self, status: i32) -> String {
        let done = self.run();
        assert_eq!(done.status, status, "{done:#?}");
        done.stderr
    }

    /// Starts it, with its input open.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(mut self) -> Running {
        let started = self.command.stdin(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        Running {
            stdin: child.stdin.take(),
            stdout: Collected::of(child.stdout.take().unwrap()),
            stderr: Collected::of(child.stderr.take().unwrap()),
            child,
            what: self.what,
        }
    }
}

/// A program that runs. Ended when dropped.
#[derive(Debug)]
pub struct Running {
    /// Its standard input; drop it for an end of file.
    pub stdin: Option<ChildStdin>,
    child: Child,
    stdout: Collected,
    stderr: Collected,
    what: String,
}

impl Running {
    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output has `text`.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn expect(&self, text: &str) {
        let seen = || self.stdout().contains(text).then_some(());
        if within(crate::wait::PATIENCE, seen).is_none() {
            panic!("{}: no {text:?} in {:?} {:?}", self.what, self.stdout(), self.stderr());
        }
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// If it does not take it.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, once it has ended.
    pub fn status(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(code)
    }

    /// Closes its input and waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn finish(self) -> Done {
        self.finish_within(LIMIT)
    }

    fn finish_within(mut self, limit: Duration) -> Done {
        drop(self.stdin.take());
        let ended = within(limit, || self.child.try_wait().unwrap());
        let status = ended.unwrap_or_else(|| {
            let seen = (self.stdout(), self.stderr());
            panic!("did not end within {limit:?}: {} {seen:?}", self.what)
        });
        let what = self.what.clone();
        let (stdout, stderr) = (self.stdout.whole(), self.stderr.whole());
        Done { status: code(status), stdout, stderr, what }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().unwrap_or_default();
        }
        self.child.wait().ok();
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// A stream, read by a thread as it comes.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it: the process has ended, but somebody may still hold the other end.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take()
            && within(Duration::from_secs(2), || reader.is_finished().then_some(())).is_some()
        {
            reader.join().unwrap();
        }
        self.text()
    }
}

/// Words as a shell splits them: blanks part, single and double quotes group.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (' ' | '\n', None) => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(letter),
        }
    }
    assert!(quote.is_none(), "a quote is open: {text}");
    words.extend(word);
    words
}

/// Waits until a process is gone, whoever its parent is.
///
/// # Panics
/// If it stays.
pub fn gone(pid: u32) {
    eventually(&format!("process {pid} ends"), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or('Z', |(_, rest)| rest.chars().next().unwrap());
        (state == 'Z').then_some(())
    });
}
