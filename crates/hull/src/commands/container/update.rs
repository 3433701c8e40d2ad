//! `hull update`: limits and the restart policy of containers that exist.

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::each::Failures;
use crate::failure::Failure;
use crate::options::{life, parse};
use crate::output;
use crate::wire::create::RestartPolicy;

/// Flags of `update`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Update {
    /// Block IO (relative weight), between 10 and 1000, or 0 to leave it
    #[arg(long, value_name = "WEIGHT", default_value_t = 0, hide_default_value = true)]
    blkio_weight: u16,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Limit the CPU real-time period
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_rt_period: Option<i64>,
    /// Limit the CPU real-time runtime
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "WEIGHT", allow_negative_numbers = true)]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "DECIMAL", value_parser = parse::nano_cpus, allow_hyphen_values = true)]
    cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cpuset_cpus: String,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cpuset_mems: String,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes_or_unlimited, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "POLICY", default_value = "", hide_default_value = true)]
    restart: String,
    /// Containers by name or id
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

/// What is to change; what is not said stays.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    blkio_weight: u16,
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpu_shares: i64,
    nano_cpus: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    memory: i64,
    memory_reservation: i64,
    memory_swap: i64,
    /// 0 would be no limit.
    pids_limit: Option<i64>,
    restart_policy: RestartPolicy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

impl Update {
    fn request(&self) -> Result<Request, String> {
        let request = Request {
            blkio_weight: self.blkio_weight,
            cpu_period: self.cpu_period.unwrap_or(0),
            cpu_quota: self.cpu_quota.unwrap_or(0),
            cpu_realtime_period: self.cpu_rt_period.unwrap_or(0),
            cpu_realtime_runtime: self.cpu_rt_runtime.unwrap_or(0),
            cpu_shares: self.cpu_shares.unwrap_or(0),
            nano_cpus: self.cpus.unwrap_or(0),
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            memory: self.memory.unwrap_or(0),
            memory_reservation: self.memory_reservation.unwrap_or(0),
            memory_swap: self.memory_swap.unwrap_or(0),
            pids_limit: self.pids_limit,
            restart_policy: match self.restart.as_str() {
                "" => RestartPolicy::default(),
                text => life::restart_policy(text)?,
            },
        };
        if request == Request::default() {
            return Err("you must provide one or more flags when using this command".to_owned());
        }
        Ok(request)
    }
}

/// Changes each container named.
pub(crate) async fn update(client: &Client, args: &Update) -> Result<(), Failure> {
    let request = args.request().map_err(Failure::new)?;
    let mut failures = Failures::default();
    for name in &args.names {
        let call = Call::post(&["containers", name, "update"])
            .json(&request)
            .map_err(|error| Failure::new(format!("write the request: {error}")))?;
        match client.json::<Answer>(call).await {
            Ok(answer) => {
                output::line(name)?;
                answer.warnings.iter().flatten().for_each(output::talk);
            }
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn request(words: &str) -> Result<Request, String> {
        let words = format!("update {words} web");
        Line::try_parse_from(words.split_whitespace()).unwrap().update.request()
    }

    #[test]
    fn flags_become_the_fields_docker_sends() {
        assert_eq!(request("-m 64m --memory-swap -1").unwrap().memory_swap, -1);
        let both = request("--cpus 1.5 --pids-limit 0 --restart on-failure:3").unwrap();
        assert_eq!((both.nano_cpus, both.pids_limit), (1_500_000_000, Some(0)));
        let policy = RestartPolicy { name: "on-failure".to_owned(), maximum_retry_count: 3 };
        assert_eq!(both.restart_policy, policy);
        let json = serde_json::to_value(request("-c 5").unwrap()).unwrap();
        assert_eq!((&json["CpuShares"], &json["PidsLimit"]), (&5.into(), &serde_json::Value::Null));
        assert!(request("").unwrap_err().starts_with("you must provide one or more flags"));
        assert!(request("--restart on-failure:x").is_err());
    }
}
