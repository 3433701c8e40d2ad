//! When the container starts again, stops, goes, is healthy, and where its output is logged.

use super::parse;
use crate::wire::create::{CreateRequest, Healthcheck, RestartPolicy};

/// Flags for the life of a container.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Life-cycle options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Automatically remove the container and its anonymous volumes when it exits
    #[arg(long)]
    pub(crate) rm: bool,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: String,
    /// Signal to stop the container
    #[arg(long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    stop_signal: String,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
    /// Command to run to check health
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between running the check
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    health_interval: Option<i64>,
    /// Maximum time to allow one check to run
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    health_timeout: Option<i64>,
    /// Start period for the container to initialize before counting failures
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    health_start_period: Option<i64>,
    /// Time between running the check during the start period
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, allow_hyphen_values = true)]
    health_start_interval: Option<i64>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    health_retries: Option<i64>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Logging driver for the container
    #[arg(long, value_name = "DRIVER", default_value = "", hide_default_value = true)]
    log_driver: String,
    /// Log driver options
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
}

impl Flags {
    pub(super) fn apply(&self, request: &mut CreateRequest) -> Result<(), String> {
        let host = &mut request.host_config;
        host.restart_policy = restart_policy(&self.restart)?;
        host.auto_remove = self.rm;
        if self.rm && host.restart_policy.name != "no" {
            return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
        }
        if self.log_driver == "none" && !self.log_opt.is_empty() {
            return Err("invalid logging opts for driver none".to_owned());
        }
        host.log_config.r#type.clone_from(&self.log_driver);
        host.log_config.config = parse::map(&self.log_opt);
        request.stop_signal.clone_from(&self.stop_signal);
        request.stop_timeout = self.stop_timeout;
        request.healthcheck = self.healthcheck()?;
        Ok(())
    }

    fn healthcheck(&self) -> Result<Option<Healthcheck>, String> {
        let times = [
            ("interval", self.health_interval),
            ("timeout", self.health_timeout),
            ("start-period", self.health_start_period),
            ("start-interval", self.health_start_interval),
            ("retries", self.health_retries),
        ];
        let given = times.iter().any(|(_, value)| value.unwrap_or(0) != 0);
        let command = self.health_cmd.as_deref().filter(|command| !command.is_empty());
        if self.no_healthcheck {
            if given || command.is_some() {
                return Err("--no-healthcheck conflicts with --health-* options".to_owned());
            }
            return Ok(Some(Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() }));
        }
        if !given && command.is_none() {
            return Ok(None);
        }
        if let Some((name, _)) = times.iter().find(|(_, value)| value.is_some_and(|v| v < 0)) {
            return Err(format!("--health-{name} cannot be negative"));
        }
        let test = command.map(|command| vec!["CMD-SHELL".to_owned(), command.to_owned()]);
        Ok(Some(Healthcheck {
            test: test.unwrap_or_default(),
            interval: self.health_interval.unwrap_or(0),
            timeout: self.health_timeout.unwrap_or(0),
            start_period: self.health_start_period.unwrap_or(0),
            start_interval: self.health_start_interval.unwrap_or(0),
            retries: self.health_retries.unwrap_or(0),
        }))
    }
}

/// Reads `no`, `always`, `unless-stopped` or `on-failure[:COUNT]`.
///
/// The name itself is left to the server, which knows what it supports.
pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let wrong = |why: &str| Err(format!("invalid restart policy format: {why}"));
    let (name, count) = match text.split_once(':') {
        None => (text, 0),
        Some(("", _)) => return wrong("no policy provided before colon"),
        Some((name, count)) => match count.parse() {
            Ok(count) => (name, count),
            Err(_) => return wrong("maximum retry count must be an integer"),
        },
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count: count })
}
