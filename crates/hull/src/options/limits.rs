//! How much of the machine the container may use.

use super::parse;
use crate::wire::create::{CreateRequest, Ulimit};

/// Flags that limit resources.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Resource options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes_or_unlimited, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Tune container memory swappiness (0 to 100)
    #[arg(long, value_name = "PERCENT", default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    memory_swappiness: i64,
    /// Kernel memory limit (accepted and ignored: kernels no longer have it)
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, hide = true)]
    kernel_memory: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "DECIMAL", value_parser = parse::nano_cpus, allow_hyphen_values = true)]
    cpus: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(
        short,
        long,
        value_name = "WEIGHT",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    cpu_shares: i64,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(
        long,
        value_name = "MICROSECONDS",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    cpu_period: i64,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(
        long,
        value_name = "MICROSECONDS",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    cpu_quota: i64,
    /// Limit CPU real-time period
    #[arg(
        long,
        value_name = "MICROSECONDS",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    cpu_rt_period: i64,
    /// Limit CPU real-time runtime
    #[arg(
        long,
        value_name = "MICROSECONDS",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    cpu_rt_runtime: i64,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cpuset_cpus: String,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cpuset_mems: String,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pids_limit: i64,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<Ulimit>,
    /// Disable OOM Killer
    #[arg(long)]
    oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(
        long,
        value_name = "SCORE",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    oom_score_adj: i64,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true)]
    shm_size: Option<i64>,
    /// Sysctl options
    #[arg(long, value_name = "NAME=VALUE", value_parser = sysctl)]
    sysctl: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    cgroup_parent: String,
}

impl Flags {
    pub(super) fn apply(&self, request: &mut CreateRequest) -> Result<(), String> {
        let swappiness = self.memory_swappiness;
        if swappiness != -1 && !(0..=100).contains(&swappiness) {
            return Err(format!(
                "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
            ));
        }
        let host = &mut request.host_config;
        let resources = &mut host.resources;
        resources.memory = self.memory.unwrap_or(0);
        resources.memory_swap = self.memory_swap.unwrap_or(0);
        resources.memory_reservation = self.memory_reservation.unwrap_or(0);
        resources.memory_swappiness = swappiness;
        resources.nano_cpus = self.cpus.unwrap_or(0);
        resources.cpu_shares = self.cpu_shares;
        resources.cpu_period = self.cpu_period;
        resources.cpu_quota = self.cpu_quota;
        resources.cpu_realtime_period = self.cpu_rt_period;
        resources.cpu_realtime_runtime = self.cpu_rt_runtime;
        resources.cpuset_cpus.clone_from(&self.cpuset_cpus);
        resources.cpuset_mems.clone_from(&self.cpuset_mems);
        resources.pids_limit = self.pids_limit;
        resources.oom_kill_disable = self.oom_kill_disable;
        resources.cgroup_parent.clone_from(&self.cgroup_parent);
        // The last one of a name wins, and the order is that of the names: as Docker sends them.
        let ulimits: std::collections::BTreeMap<_, _> =
            self.ulimit.iter().map(|ulimit| (&ulimit.name, ulimit)).collect();
        resources.ulimits = ulimits.into_values().cloned().collect();
        host.oom_score_adj = self.oom_score_adj;
        host.shm_size = self.shm_size.unwrap_or(0);
        host.sysctls = parse::map(&self.sysctl);
        Ok(())
    }
}

/// The limits `setrlimit` knows by name.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `nofile=1024:2048`; the hard limit is the soft one when it is not given.
fn ulimit(text: &str) -> Result<Ulimit, String> {
    let invalid = || format!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(invalid)?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number =
        |text: &str| text.parse::<i64>().map_err(|_error: std::num::ParseIntError| invalid());
    let (soft, hard) = match values.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(values)?, number(values)?),
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// Lets through the settings which belong to a namespace: the others would change the host.
fn sysctl(text: &str) -> Result<String, String> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.domainname",
    ];
    let refused = || format!("sysctl '{text}' is not allowed");
    let (name, _) = text.split_once('=').ok_or_else(refused)?;
    let namespaced = name.starts_with("net.") || name.starts_with("fs.mqueue.");
    if namespaced || IPC.contains(&name) { Ok(text.to_owned()) } else { Err(refused()) }
}
