//! Processes added to a container: `/containers/{id}/exec` and `/exec/{id}`.

use hull_model::id::{ExecId, GuestId};
use hull_model::process::{ExecSpec, Streams};
use serde::{Deserialize, Serialize};

use crate::container::config::{read_env, read_window};
use crate::json::{Words, decode, decode_or_default};
use crate::refusal::{Refusal, Result, quote};
use crate::version::ApiVersion;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ExecBody {
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    detach_keys: String,
    tty: bool,
    env: Vec<String>,
    cmd: Words,
    privileged: bool,
    user: String,
    working_dir: String,
    console_size: [u16; 2],
}

/// Reads the body of a create. `ConsoleSize` counts from 1.42 on.
pub fn read(body: &[u8], version: ApiVersion) -> Result<ExecSpec> {
    let body: ExecBody = decode(body, "ExecConfig")?;
    if body.cmd.0.is_empty() {
        return Err(Refusal::invalid("No exec command specified"));
    }
    let cwd = match body.working_dir.as_str() {
        "" => None,
        path if path.starts_with('/') => Some(path.to_owned()),
        other => {
            return Err(Refusal::invalid(format_args!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                quote(other)
            )));
        }
    };
    let window = read_window(body.console_size).filter(|_| body.tty && version.is_at_least(42));
    Ok(ExecSpec {
        args: body.cmd.0,
        env: read_env(&body.env)?,
        cwd,
        user: body.user,
        streams: Streams {
            tty: body.tty,
            stdin: body.attach_stdin,
            stdin_once: true,
            attach: [body.attach_stdin, body.attach_stdout, body.attach_stderr],
            window,
        },
        privileged: body.privileged,
        detach_keys: body.detach_keys,
    })
}

/// The answer to a create.
#[derive(Clone, Debug, Serialize)]
pub struct ExecCreated {
    #[serde(rename = "Id")]
    id: String,
}

/// The answer when `id` was made.
pub fn created(id: ExecId) -> ExecCreated {
    ExecCreated { id: id.to_string() }
}

/// How an exec is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExecStart {
    /// Answer at once, without its streams.
    pub detach: bool,
    /// Rows and columns its terminal begins with.
    pub size: Option<(u16, u16)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct StartBody {
    detach: bool,
    /// Whether there is a terminal was decided at create; clients repeat it here.
    tty: bool,
    console_size: Option<[u16; 2]>,
}

/// Reads the body of a start of `spec`.
pub fn read_start(body: &[u8], spec: &ExecSpec) -> Result<ExecStart> {
    let body: StartBody = decode_or_default(body, "ExecStartConfig")?;
    let asked = body.console_size.and_then(read_window);
    if asked.is_some() && !body.tty && !spec.streams.tty {
        return Err(Refusal::invalid("console size is only supported when TTY is enabled"));
    }
    let window = asked.or(spec.streams.window).filter(|_| spec.streams.tty);
    let size = window.map(|window| (window.rows, window.columns));
    Ok(ExecStart { detach: body.detach, size })
}

/// Where an exec is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// How it ended.
    pub exit_code: Option<u8>,
    /// On the host; 0 if it never ran.
    pub pid: u32,
}

/// Everything about one exec.
#[derive(Clone, Debug, Serialize)]
pub struct ExecInspect {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Running")]
    running: bool,
    #[serde(rename = "ExitCode")]
    exit_code: Option<u8>,
    #[serde(rename = "ProcessConfig")]
    process: ProcessConfig,
    #[serde(rename = "OpenStdin")]
    open_stdin: bool,
    #[serde(rename = "OpenStderr")]
    open_stderr: bool,
    #[serde(rename = "OpenStdout")]
    open_stdout: bool,
    #[serde(rename = "CanRemove")]
    can_remove: bool,
    #[serde(rename = "ContainerID")]
    container_id: String,
    #[serde(rename = "DetachKeys")]
    detach_keys: String,
    #[serde(rename = "Pid")]
    pid: u32,
}

#[derive(Clone, Debug, Serialize)]
struct ProcessConfig {
    tty: bool,
    entrypoint: String,
    arguments: Vec<String>,
    privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
}

/// The answer about exec `id` in `guest`.
pub fn inspect(id: ExecId, guest: GuestId, spec: &ExecSpec, state: State) -> ExecInspect {
    let [_, stdout, stderr] = spec.streams.attach;
    ExecInspect {
        id: id.to_string(),
        running: state.running,
        exit_code: state.exit_code,
        process: ProcessConfig {
            tty: spec.streams.tty,
            entrypoint: spec.args.first().cloned().unwrap_or_default(),
            arguments: spec.args.iter().skip(1).cloned().collect(),
            privileged: spec.privileged,
            user: spec.user.clone(),
        },
        open_stdin: spec.streams.stdin,
        open_stderr: stderr,
        open_stdout: stdout,
        can_remove: state.exit_code.is_some(),
        container_id: guest.to_string(),
        detach_keys: spec.detach_keys.clone(),
        pid: state.pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"AttachStdin":true,"AttachStdout":true,"Tty":true,"Cmd":["sh","-c","x"],
        "Env":["A=1"],"User":"1:2","WorkingDir":"/w","Privileged":true,"DetachKeys":"ctrl-a",
        "ConsoleSize":[24,80]}"#;

    #[test]
    fn execs_are_read_and_shown() {
        let spec = read(FULL.as_bytes(), ApiVersion::MAX).unwrap();
        assert_eq!(spec.args, ["sh", "-c", "x"]);
        assert_eq!(spec.streams.attach, [true, true, false]);
        assert_eq!(read_start(b"", &spec).unwrap().size, Some((24, 80)));
        assert_eq!(read_start(br#"{"ConsoleSize":[5,6]}"#, &spec).unwrap().size, Some((5, 6)));
        let old = read(FULL.as_bytes(), ApiVersion::MIN).unwrap();
        assert_eq!(old.streams.window, None);
        let id = ExecId::from_random([1; 32]);
        let state = State { running: false, exit_code: Some(3), pid: 7 };
        let shown = inspect(id, GuestId::from_random([2; 32]), &spec, state);
        let json = serde_json::to_value(shown).unwrap();
        assert_eq!(json["ProcessConfig"]["entrypoint"], "sh");
        assert_eq!(json["ExitCode"], 3);
        assert_eq!(json["DetachKeys"], "ctrl-a");
    }

    #[test]
    fn wrong_execs_are_refused() {
        let refused = |text: &str| read(text.as_bytes(), ApiVersion::MAX).unwrap_err().message;
        assert_eq!(refused("{}"), "No exec command specified");
        assert!(refused(r#"{"Cmd":["a"],"WorkingDir":"w"}"#).contains("absolute path"));
        assert!(refused(r#"{"Cmd":["a"],"Env":["=x"]}"#).contains("invalid environment variable"));
        assert!(refused(r#"{"Cmd":["a"],"Tty":1}"#).contains("ExecConfig.Tty of type bool"));
        let plain = read(br#"{"Cmd":"a"}"#, ApiVersion::MAX).unwrap();
        assert!(read_start(br#"{"ConsoleSize":[5,6]}"#, &plain).is_err());
    }
}
