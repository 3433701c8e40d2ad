//! A terminal with a program in it, as a person would sit before.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::wait::{PATIENCE, eventually, within};

/// A program in a pseudo-terminal. Ended when dropped.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program in a new terminal of 24 rows and 80 columns.
    ///
    /// `setsid --ctty` makes the terminal the program's own, so Ctrl-C and window sizes arrive.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &Path, arguments: &[String], environment: &[(&str, String)]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments).env("TERM", "xterm");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(slave.try_clone().unwrap()));
        command.stdout(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::from(slave));
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, kept) = (master.try_clone().unwrap(), Arc::clone(&seen));
        let terminal = Self { master, child: command.spawn().unwrap(), seen };
        // It keeps the slave's descriptors, and without them gone no end of the terminal is seen.
        drop(command);
        terminal.resize(24, 80);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // EIO: the last process has left the terminal.
            while let Ok(length @ 1..) = screen.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        terminal
    }

    /// Types.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Changes the window's size.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// All that was printed so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until `text` was printed.
    ///
    /// # Panics
    /// If it is not.
    pub fn expect(&self, text: &str) {
        let found = within(PATIENCE, || self.seen().contains(text).then_some(()));
        assert!(found.is_some(), "no {text:?} in {:?}", self.seen());
    }

    /// Waits for the program's end and gives its status.
    ///
    /// # Panics
    /// If it does not end.
    pub fn finish(&mut self) -> i32 {
        let status = within(PATIENCE, || self.child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| panic!("still there: {:?}", self.seen()));
        status.code().unwrap_or(-1)
    }

    /// Waits until a condition about the program's output holds.
    pub fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        eventually(what, || holds(&self.seen()).then_some(()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().unwrap_or_default();
        }
        self.child.wait().ok();
    }
}
