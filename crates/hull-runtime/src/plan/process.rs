//! `process`: a program and everything about it.

use hull_container::plan::{
    Affinity, Identity, IoPriority, Label, MemoryPolicy, Process, Rlimit, Scheduler, Seccomp,
};
use hull_container::seccomp;
use hull_model::limits::Resource;

use super::{Context, capabilities, security};
use crate::config::{self, Linux};
use crate::failure::Failure;

/// The limit that means none, `RLIM_INFINITY`.
const UNLIMITED: u64 = u64::MAX;

/// The program that `wanted` describes, in the container of `linux`.
pub(crate) fn process(
    wanted: &config::Process,
    linux: &Linux,
    cx: &Context<'_>,
    warnings: &mut Vec<String>,
) -> Result<Process, Failure> {
    let args = wanted.args.clone().unwrap_or_default();
    if args.is_empty() {
        return Err(Failure::new("process.args: missing or empty"));
    }
    if !wanted.cwd.starts_with('/') {
        let cwd = &wanted.cwd;
        return Err(Failure::new(format!("process.cwd: {cwd:?} is not absolute")));
    }
    let capabilities = capabilities(wanted.capabilities.as_ref(), cx.host, warnings)?;
    let seccomp = match &linux.seccomp {
        None => Seccomp::default(),
        Some(profile) => {
            let host = seccomp::Host { kernel: cx.host.kernel };
            seccomp::compile(profile.get(), capabilities.bounding, &host)
                .map_err(|error| Failure::new(format!("linux.seccomp: {error}")))?
        }
    };
    Ok(Process {
        args,
        env: wanted.env.clone().unwrap_or_default(),
        cwd: wanted.cwd.clone(),
        make_cwd: true,
        identity: Identity::Numbers {
            uid: wanted.user.uid,
            gid: wanted.user.gid,
            groups: wanted.user.additional_gids.clone().unwrap_or_default(),
        },
        capabilities,
        no_new_privileges: wanted.no_new_privileges,
        seccomp,
        label: label(wanted)?,
        rlimits: rlimits(wanted)?,
        umask: wanted.user.umask.unwrap_or(0o022) & 0o777,
        terminal: wanted.terminal,
        personality: security::personality(linux)?,
        scheduler: wanted.scheduler.as_ref().map(scheduler).transpose()?,
        io_priority: wanted.io_priority.as_ref().map(io_priority).transpose()?,
        affinity: affinity(wanted)?,
        memory_policy: memory_policy(linux)?,
        preserved: 0,
        keeps_keyring: cx.keep_keyring,
        outlives_launcher: true,
    })
}

fn label(wanted: &config::Process) -> Result<Option<Label>, Failure> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (some(&wanted.apparmor_profile), some(&wanted.selinux_label)) {
        (Some(_), Some(_)) => Err(Failure::new(
            "process.selinuxLabel: there is an apparmorProfile too, and a process has one label",
        )),
        (Some(profile), None) => Ok(Some(Label::AppArmor(profile))),
        (None, Some(context)) => Ok(Some(Label::SeLinux(context))),
        (None, None) => Ok(None),
    }
}

fn rlimits(wanted: &config::Process) -> Result<Vec<Rlimit>, Failure> {
    let mut all: Vec<Rlimit> = Vec::new();
    for (at, limit) in wanted.rlimits.iter().flatten().enumerate() {
        let name = limit.r#type.strip_prefix("RLIMIT_").unwrap_or_default();
        let resource = Resource::from_name(&name.to_ascii_lowercase())
            .filter(|_| name.bytes().all(|byte| byte.is_ascii_uppercase()))
            .ok_or_else(|| {
                let kind = &limit.r#type;
                Failure::new(format!("process.rlimits[{at}].type: {kind:?} is no limit of Linux"))
            })? as u8;
        if limit.soft > limit.hard {
            let config::Rlimit { soft, hard, .. } = limit;
            return Err(Failure::new(format!(
                "process.rlimits[{at}].soft: {soft} is greater than hard, {hard}"
            )));
        }
        if all.iter().any(|known| known.resource == resource) {
            let kind = &limit.r#type;
            return Err(Failure::new(format!(
                "process.rlimits[{at}].type: {kind:?} is listed twice"
            )));
        }
        let number = |number: u64| (number != UNLIMITED).then_some(number);
        all.push(Rlimit { resource, soft: number(limit.soft), hard: number(limit.hard) });
    }
    Ok(all)
}

/// `linux/sched.h`.
const POLICIES: [(&str, u32); 6] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];
/// `linux/sched.h`.
const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

fn scheduler(wanted: &config::Scheduler) -> Result<Scheduler, Failure> {
    let field = "process.scheduler";
    let policy = number_of(&POLICIES, &wanted.policy, &format!("{field}.policy"))?;
    let mut flags = 0;
    for flag in wanted.flags.iter().flatten() {
        flags |= number_of(&SCHEDULER_FLAGS, flag, &format!("{field}.flags"))?;
    }
    let priority = wanted.priority.unwrap_or(0);
    let nice = wanted.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return Err(Failure::new(format!("{field}.nice: {nice} is not from -20 to 19")));
    }
    Ok(Scheduler {
        policy,
        flags,
        nice,
        priority: u32::try_from(priority).map_err(|_negative| {
            Failure::new(format!("{field}.priority: {priority} is negative"))
        })?,
        runtime: wanted.runtime.unwrap_or(0),
        deadline: wanted.deadline.unwrap_or(0),
        period: wanted.period.unwrap_or(0),
    })
}

fn io_priority(wanted: &config::IoPriority) -> Result<IoPriority, Failure> {
    const CLASSES: [(&str, u8); 3] =
        [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
    let class = number_of(&CLASSES, &wanted.class, "process.ioPriority.class")?;
    let priority = u8::try_from(wanted.priority).ok().filter(|priority| *priority < 8);
    let priority = priority.ok_or_else(|| {
        let priority = wanted.priority;
        Failure::new(format!("process.ioPriority.priority: {priority} is not from 0 to 7"))
    })?;
    Ok(IoPriority { class, priority })
}

fn affinity(wanted: &config::Process) -> Result<Affinity, Failure> {
    let Some(wanted) = &wanted.exec_cpu_affinity else { return Ok(Affinity::default()) };
    let list = |text: &Option<String>, name: &str| match text {
        None => Ok(Vec::new()),
        Some(text) => numbers(text, &format!("process.execCPUAffinity.{name}")),
    };
    Ok(Affinity {
        initial: list(&wanted.initial, "initial")?,
        last: list(&wanted.r#final, "final")?,
    })
}

fn memory_policy(linux: &Linux) -> Result<Option<MemoryPolicy>, Failure> {
    /// `linux/mempolicy.h`.
    const MODES: [(&str, u32); 7] = [
        ("MPOL_DEFAULT", 0),
        ("MPOL_PREFERRED", 1),
        ("MPOL_BIND", 2),
        ("MPOL_INTERLEAVE", 3),
        ("MPOL_LOCAL", 4),
        ("MPOL_PREFERRED_MANY", 5),
        ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ];
    const FLAGS: [(&str, u32); 3] = [
        ("MPOL_F_STATIC_NODES", 1 << 15),
        ("MPOL_F_RELATIVE_NODES", 1 << 14),
        ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ];
    let Some(wanted) = &linux.memory_policy else { return Ok(None) };
    let mut mode = number_of(&MODES, &wanted.mode, "linux.memoryPolicy.mode")?;
    for flag in wanted.flags.iter().flatten() {
        mode |= number_of(&FLAGS, flag, "linux.memoryPolicy.flags")?;
    }
    let nodes = wanted.nodes.as_deref().unwrap_or_default();
    Ok(Some(MemoryPolicy { mode, nodes: numbers(nodes, "linux.memoryPolicy.nodes")? }))
}

/// What `name` is in `table`.
fn number_of<T: Copy>(table: &[(&str, T)], name: &str, field: &str) -> Result<T, Failure> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number).ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        Failure::new(format!("{field}: {name:?} is none of {}", known.join(", ")))
    })
}

/// A list such as `0-2,7`.
fn numbers(text: &str, field: &str) -> Result<Vec<u32>, Failure> {
    /// More than any machine has.
    const MAX: u32 = 8_192;
    let bad = || Failure::new(format!("{field}: {text:?} is no list of numbers such as 0-2,7"));
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number =
            |text: &str| text.trim().parse().ok().filter(|number| *number < MAX).ok_or_else(bad);
        let (first, last): (u32, u32) = (number(first)?, number(last)?);
        if first > last {
            return Err(bad());
        }
        all.extend(first..=last);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(json: &str) -> T {
        crate::config::from_json(json).unwrap()
    }

    fn said<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn limits_of_processes_are_checked() {
        let limits = |json: &str| said(rlimits(&read(&format!(r#"{{"rlimits":[{json}]}}"#))));
        assert_eq!(
            limits(r#"{"type":"RLIMIT_NOFILE","soft":1,"hard":18446744073709551615}"#),
            "[Rlimit { resource: 7, soft: Some(1), hard: None }]"
        );
        let one = r#"{"type":"RLIMIT_CORE","soft":1,"hard":1}"#;
        assert!(limits(&format!("{one},{one}")).contains("[1].type: \"RLIMIT_CORE\" is listed"));
        assert!(limits(r#"{"type":"RLIMIT_X","soft":1,"hard":1}"#).contains("no limit of Linux"));
        assert!(limits(r#"{"type":"RLIMIT_core","soft":1,"hard":1}"#).contains("no limit"));
        assert!(limits(r#"{"type":"RLIMIT_CORE","soft":2,"hard":1}"#).contains("2 is greater"));
    }

    #[test]
    fn scheduling_is_by_the_kernels_numbers() {
        let sched = |json: &str| said(scheduler(&read(json)));
        assert_eq!(
            sched(r#"{"policy":"SCHED_FIFO","priority":5,"flags":["SCHED_FLAG_RESET_ON_FORK"]}"#),
            "Scheduler { policy: 1, flags: 1, nice: 0, priority: 5, runtime: 0, deadline: 0, \
             period: 0 }"
        );
        assert!(sched(r#"{"policy":"SCHED_ISO"}"#).contains("\"SCHED_ISO\" is none of"));
        assert!(sched(r#"{"policy":"SCHED_OTHER","nice":20}"#).contains("nice: 20"));
        assert!(sched(r#"{"policy":"SCHED_RR","priority":-1}"#).contains("-1 is negative"));
        let io = |json: &str| said(io_priority(&read(json)));
        assert_eq!(
            io(r#"{"class":"IOPRIO_CLASS_BE","priority":7}"#),
            "IoPriority { class: 2, priority: 7 }"
        );
        assert!(io(r#"{"class":"IOPRIO_CLASS_BE","priority":8}"#).contains("8 is not from 0"));
    }

    #[test]
    fn lists_of_numbers_are_bounded() {
        let list = |text| said(numbers(text, "f"));
        assert_eq!(list("0-2, 7,"), "[0, 1, 2, 7]");
        assert_eq!(list(""), "[]");
        for bad in ["2-1", "x", "1-", "-1", "0-4294967295"] {
            assert!(list(bad).contains("is no list"), "{bad}");
        }
    }

    #[test]
    fn memory_policies_are_by_the_kernels_numbers() {
        let policy =
            |json: &str| said(memory_policy(&read(&format!(r#"{{"memoryPolicy":{json}}}"#))));
        assert_eq!(
            policy(r#"{"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]}"#),
            "Some(MemoryPolicy { mode: 32770, nodes: [0, 1] })"
        );
        assert!(policy(r#"{"mode":"MPOL_X"}"#).contains("linux.memoryPolicy.mode: \"MPOL_X\""));
    }
}
