//! How a command ends when it does not end well: what is printed, and the exit status.

/// The status of a command that could not be carried out, where Docker has no other.
pub(crate) const GENERAL: u8 = 1;
/// The status of `run`, `create` and of wrong flags when the engine or the CLI is to blame.
pub(crate) const ENGINE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Why a command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Print this and leave with this status.
    Message {
        /// What the user reads, on stderr.
        text: String,
        /// The exit status.
        status: u8,
    },
    /// Everything was said already (or it was the guest's status): only leave.
    Status(u8),
}

impl Failure {
    /// A failure with status 1, which is what most commands give.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Message { text: text.into(), status: GENERAL }
    }

    /// The failure of `run`, `create` or `exec`: as Docker words it, with a pointer to the help.
    pub(crate) fn of_command(text: &str, status: u8, command: &str) -> Self {
        let text = format!("hull: {text}\n\nRun 'hull {command} --help' for more information");
        Self::Message { text, status }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::new(text)
    }
}

/// The status of a start that failed, read off the engine's words as Docker's CLI does.
///
/// 127: the command is not in the image; 126: it is there and cannot be executed; 125: the rest.
pub(crate) fn start_status(message: &str) -> u8 {
    let has = |part: &str| message.contains(part);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        NOT_FOUND
    } else if has("is a directory") || has("permission denied") {
        NOT_EXECUTABLE
    } else {
        ENGINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_start_has_the_status_shells_use() {
        for (message, status) in [
            ("exec: \"x\": executable file not found in $PATH", 127),
            ("exec /x: no such file or directory", 127),
            ("exec /etc: permission denied", 126),
            ("exec: \"/etc\": is a directory", 126),
            ("driver failed", 125),
        ] {
            assert_eq!(start_status(message), status, "{message}");
        }
    }
}
