//! Every command and every flag; the help is made of this.

use super::{Command, Flag, Order};

const fn value(
    name: &'static str,
    short: Option<&'static str>,
    placeholder: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, short, value: Some(placeholder), help }
}

const fn switch(name: &'static str, short: Option<&'static str>, help: &'static str) -> Flag {
    Flag { name, short, value: None, help }
}

/// Before the command.
pub(crate) const GLOBAL: &[Flag] = &[
    switch("debug", None, "write debug messages to the log"),
    value("log", None, "FILE", "append messages to this file too"),
    value("log-format", None, "FORMAT", "format of the log: text or json [default: text]"),
    value("root", None, "DIR", "where state is kept, best on a tmpfs [default: /run/hull-runtime]"),
    value("criu", None, "PATH", "for checkpoints, which are not supported"),
    switch("systemd-cgroup", None, "have systemd make cgroups: cgroupsPath is slice:prefix:name"),
    value(
        "rootless",
        None,
        "MODE",
        "go on where cgroups are not ours to make: true, false or auto",
    ),
    switch("help", Some("h"), "show help"),
    switch("version", Some("v"), "show the version"),
];

const BUNDLE: Flag = value(
    "bundle",
    Some("b"),
    "DIR",
    "the bundle, a directory with config.json [default: the current one]",
);
const CONSOLE_SOCKET: Flag = value(
    "console-socket",
    None,
    "PATH",
    "a unix socket that is sent the controlling side of the terminal",
);
const PID_FILE: Flag = value("pid-file", None, "FILE", "write the process's number to this file");
const PRESERVE_FDS: Flag = value(
    "preserve-fds",
    None,
    "N",
    "pass N more descriptors after the standard streams and those of LISTEN_FDS [default: 0]",
);
const NO_PIVOT: Flag = switch("no-pivot", None, "not supported: a container could leave its root");
const NO_KEYRING: Flag =
    switch("no-new-keyring", None, "leave the process in the caller's session keyring");
const DETACH: Flag = switch("detach", Some("d"), "do not wait for the process");
const FORMAT: Flag = value("format", Some("f"), "FORMAT", "table or json [default: table]");
const HELP: Flag = switch("help", Some("h"), "show help");

const CREATE: &[Flag] =
    &[BUNDLE, CONSOLE_SOCKET, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE_FDS, HELP];

const RUN: &[Flag] = &[
    BUNDLE,
    CONSOLE_SOCKET,
    DETACH,
    switch("keep", None, "do not delete the container when its process has ended"),
    PID_FILE,
    switch("no-subreaper", None, "do not adopt processes whose parents have ended"),
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE_FDS,
    HELP,
];

const EXEC: &[Flag] = &[
    CONSOLE_SOCKET,
    value("cwd", None, "DIR", "working directory inside"),
    value("env", Some("e"), "KEY=VALUE", "set a variable; may be given several times"),
    switch("tty", Some("t"), "give the process a terminal"),
    value("user", Some("u"), "UID[:GID]", "who the process is"),
    value("additional-gids", Some("g"), "GID", "a further group; may be given several times"),
    value("process", Some("p"), "FILE", "a file with the process as in config.json"),
    DETACH,
    PID_FILE,
    value("process-label", None, "LABEL", "SELinux label of the process"),
    value("apparmor", None, "PROFILE", "AppArmor profile of the process"),
    switch("no-new-privs", None, "it cannot gain privileges by executing"),
    value("cap", Some("c"), "CAPABILITY", "a further capability; may be given several times"),
    PRESERVE_FDS,
    value("cgroup", None, "[CONTROLLER:]PATH", "run in this existing cgroup below the container's"),
    switch("ignore-paused", None, "start it in a paused container too, where it then waits"),
    HELP,
];

const KILL: &[Flag] =
    &[switch("all", Some("a"), "every process of the container, not only the first"), HELP];
const DELETE: &[Flag] =
    &[switch("force", Some("f"), "kill it first if it lives; no error if there is none"), HELP];
const LIST: &[Flag] = &[FORMAT, switch("quiet", Some("q"), "only the ids"), HELP];
const PS: &[Flag] = &[FORMAT, HELP];
const EVENTS: &[Flag] = &[
    value("interval", None, "DURATION", "time between two statistics [default: 5s]"),
    switch("stats", None, "show the statistics once and end"),
    HELP,
];
const UPDATE: &[Flag] = &[
    value(
        "resources",
        Some("r"),
        "FILE",
        "linux.resources as JSON, - for standard input; other flags then do not count",
    ),
    value("blkio-weight", None, "WEIGHT", "relative weight of block I/O, 10 to 1000"),
    value("cpu-period", None, "MICROSECONDS", "period of the quota"),
    value("cpu-quota", None, "MICROSECONDS", "processor time in a period"),
    value("cpu-burst", None, "MICROSECONDS", "what unused quota may add up to"),
    value("cpu-share", None, "SHARES", "relative weight of processor time"),
    value("cpu-rt-period", None, "MICROSECONDS", "period of real-time processes"),
    value("cpu-rt-runtime", None, "MICROSECONDS", "time of real-time processes in a period"),
    value("cpu-idle", None, "0|1", "run only when nothing else wants to (cgroup v2)"),
    value("cpuset-cpus", None, "LIST", "processors it may use"),
    value("cpuset-mems", None, "LIST", "memory nodes it may use"),
    value("memory", None, "BYTES", "most memory"),
    value("memory-reservation", None, "BYTES", "memory kept for it under pressure"),
    value("memory-swap", None, "BYTES", "most memory and swap together; -1 for no limit"),
    value("pids-limit", None, "COUNT", "most processes and threads"),
    value("l3-cache-schema", None, "SCHEMA", "Intel RDT: level 3 cache"),
    value("mem-bw-schema", None, "SCHEMA", "Intel RDT: memory bandwidth"),
    HELP,
];
const SPEC: &[Flag] =
    &[BUNDLE, switch("rootless", None, "with a user namespace of the caller's own id"), HELP];
const CHECKPOINT: &[Flag] = &[
    value("image-path", None, "DIR", "where the images would be"),
    value("work-path", None, "DIR", "where work files would be"),
    switch("leave-running", None, "do not end the processes"),
    HELP,
];
const NONE: &[Flag] = &[HELP];

const fn command(
    name: &'static str,
    about: &'static str,
    count: (usize, usize),
    flags: &'static [Flag],
) -> Command {
    Command { name, operands: "CONTAINER", count, about, order: Order::Any, flags }
}

/// After `hull runtime`.
pub(crate) const COMMANDS: &[Command] = &[
    command("create", "set a container up without starting its program", (1, 1), CREATE),
    command("start", "start the program of a container that was created", (1, 1), NONE),
    command("run", "create and start a container", (1, 1), RUN),
    Command {
        operands: "CONTAINER [COMMAND [ARGUMENT...]]",
        order: Order::FlagsFirst,
        ..command("exec", "run a further program in a container", (1, usize::MAX), EXEC)
    },
    command("state", "show a container's state as JSON", (1, 1), NONE),
    Command {
        operands: "CONTAINER [SIGNAL]",
        ..command("kill", "send a signal (default: TERM) to a container", (1, 2), KILL)
    },
    command("delete", "remove everything that belongs to a container", (1, 1), DELETE),
    Command { operands: "", ..command("list", "list containers", (0, 0), LIST) },
    command("pause", "stop all processes of a container where they are", (1, 1), NONE),
    command("resume", "let a paused container go on", (1, 1), NONE),
    command("update", "change a container's limits", (1, 1), UPDATE),
    Command {
        operands: "CONTAINER [PS-OPTION...]",
        order: Order::FlagsFirst,
        ..command("ps", "show the processes of a container", (1, usize::MAX), PS)
    },
    command("events", "show out-of-memory events and statistics as JSON", (1, 1), EVENTS),
    Command { operands: "", ..command("spec", "write a config.json to start from", (0, 0), SPEC) },
    Command {
        operands: "",
        ..command("features", "show what this runtime can do, as JSON", (0, 0), NONE)
    },
    command("checkpoint", "not supported", (1, 1), CHECKPOINT),
    command("restore", "not supported", (1, 1), CHECKPOINT),
];
