//! `GET /containers/json`: which containers, in which order, and one line about each.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hull_model::image::Digest;
use hull_model::life::State;
use hull_model::record::GuestRecord;
use hull_model::time::Timestamp;
use serde::Serialize;

use super::inspect::{MountBody, mounts};
use super::namespaces::network_mode;
use super::settings::{EndpointSettings, networks};
use super::view::{ContainerView, exit_code, health, is_running, status};
use crate::filters::{Filters, invalid_value};
use crate::query::Query;
use crate::refusal::{Kind, Refusal, Result, quote};
use crate::version::ApiVersion;

/// Filters that Docker knows (moby `daemon/list.go`).
const FILTERS: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Docker's words for a container's state.
const STATUSES: [&str; 7] =
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// Which containers a client wants to see.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Whether sizes are wanted, which takes a walk over the files.
    pub size: bool,
    all: bool,
    limit: Option<usize>,
    filters: Filters,
    exited: BTreeSet<u8>,
    is_task: bool,
}

impl ListQuery {
    /// Reads the parameters of a list.
    pub fn parse(query: &Query) -> Result<Self> {
        let filters = query.filters(&FILTERS)?;
        check_words(&filters, "status", &STATUSES)?;
        check_words(&filters, "health", &["none", "starting", "healthy", "unhealthy"])?;
        for port in filters.values("expose").chain(filters.values("publish")) {
            port_range(port).ok_or_else(|| invalid_value("expose", port))?;
        }
        let code = |text: &str| text.parse().map_err(|_not_a_code| invalid_value("exited", text));
        let limit = query.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.filter(|limit| *limit > 0);
        Ok(Self {
            size: query.flag("size"),
            all: query.flag("all") || limit.is_some() || !filters.allows_all("status"),
            limit,
            exited: filters.values("exited").map(code).collect::<Result<_>>()?,
            is_task: filters.flag("is-task", false)?,
            filters,
        })
    }

    /// The images of the `ancestor` filter, as the client named them. The caller finds each of
    /// them, and all that are built upon them, for [`ListQuery::select`].
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.filters.values("ancestor")
    }

    /// The containers of `records` that are wanted, newest first.
    ///
    /// `images` are the ones [`ListQuery::ancestors`] stands for.
    pub fn select<R: Borrow<GuestRecord>>(
        &self,
        mut records: Vec<R>,
        images: &BTreeSet<Digest>,
    ) -> Result<Vec<R>> {
        records.sort_by_key(|record| {
            let record: &GuestRecord = record.borrow();
            (std::cmp::Reverse(record.created), record.id)
        });
        let bound = |name| {
            let wanted = self.filters.values(name).next();
            wanted.map(|text| find(&records, text).map(|record| record.created)).transpose()
        };
        let (before, since) = (bound("before")?, bound("since")?);
        records.retain(|record| {
            let record: &GuestRecord = record.borrow();
            before.is_none_or(|before| record.created < before)
                && since.is_none_or(|since| record.created > since)
                && (self.all || is_running(record) || record.restarting)
                && (self.filters.allows_all("ancestor") || images.contains(&record.image))
                && self.accepts(record)
        });
        records.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(records)
    }

    fn accepts(&self, record: &GuestRecord) -> bool {
        let filters = &self.filters;
        let name = record.name.as_str();
        let ended = matches!(record.state, State::Exited(_));
        !self.is_task
            && filters.is("status", status(record))
            && filters.is("health", health(record).map_or("none", |health| health.status.name()))
            && filters.any("isolation", |wanted| matches!(wanted, "" | "default"))
            && (self.exited.is_empty() || (ended && self.exited.contains(&exit_code(record))))
            && filters.matches("id", &record.id.to_string())
            && (filters.matches("name", name) || filters.matches("name", &format!("/{name}")))
            && filters.has_labels("label", &record.spec.labels)
            && filters.any("network", |wanted| is_on(record, wanted))
            && filters.any("volume", |wanted| has_mount(record, wanted))
            && filters.any("expose", |wanted| exposes(record, wanted))
            && filters.allows_all("publish")
    }
}

fn check_words(filters: &Filters, name: &str, words: &[&str]) -> Result<()> {
    match filters.values(name).find(|value| !words.contains(value)) {
        None => Ok(()),
        Some(value) => Err(invalid_value(name, value)),
    }
}

/// The container that `text` names: its name, its id, or the beginning of only one id.
fn find<'r, R: Borrow<GuestRecord>>(records: &'r [R], text: &str) -> Result<&'r GuestRecord> {
    let bare = text.strip_prefix('/').unwrap_or(text);
    let all = || records.iter().map(Borrow::borrow);
    let missing =
        || Refusal { kind: Kind::Missing, message: format!("No such container: {}", quote(text)) };
    let exact =
        |record: &&GuestRecord| record.name.as_str() == bare || record.id.to_string() == bare;
    if let Some(record) = all().find(exact) {
        return Ok(record);
    }
    let mut begins = all().filter(|r| !bare.is_empty() && r.id.to_string().starts_with(bare));
    match (begins.next(), begins.next()) {
        (Some(record), None) => Ok(record),
        _ => Err(missing()),
    }
}

fn is_on(record: &GuestRecord, wanted: &str) -> bool {
    let id = record.endpoint.as_ref().map_or("", |endpoint| &endpoint.network_id);
    let name = record.endpoint.as_ref().map(|endpoint| endpoint.network.clone());
    let name = name.unwrap_or_else(|| network_mode(&record.spec.namespaces.network));
    wanted == name || (!wanted.is_empty() && id.starts_with(wanted))
}

fn has_mount(record: &GuestRecord, wanted: &str) -> bool {
    let is = |mount: &MountBody| mount.source_or_name() == wanted || mount.destination() == wanted;
    mounts(record).iter().any(is)
}

/// A port or a range of ports with its protocol.
fn port_range(text: &str) -> Option<(u16, u16, String)> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (known && first <= last).then(|| (first, last, protocol.to_owned()))
}

fn exposes(record: &GuestRecord, wanted: &str) -> bool {
    let Some((first, last, protocol)) = port_range(wanted) else { return false };
    record
        .spec
        .exposed_ports
        .iter()
        .filter_map(|port| port_range(port))
        .any(|own| own.2 == protocol && own.0 <= last && own.1 >= first)
}

/// One line about a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSummary {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: u64,
    ports: Vec<PortSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostSummary,
    network_settings: NetworkSummary,
    mounts: Vec<MountBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PortSummary {
    private_port: u16,
    r#type: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostSummary {
    network_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSummary {
    networks: BTreeMap<String, EndpointSettings>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthSummary {
    status: &'static str,
    failing_streak: u32,
}

/// The line about `view` for a client of `version`.
pub fn summary(view: &ContainerView<'_>, version: ApiVersion, now: Timestamp) -> ContainerSummary {
    let record = view.record;
    let annotations = &record.spec.annotations;
    let shown = version.is_at_least(46) && !annotations.is_empty();
    ContainerSummary {
        id: record.id.to_string(),
        names: vec![format!("/{}", record.name)],
        image: record.spec.image.clone(),
        image_id: record.image.to_string(),
        command: command(&record.spec.process.args()),
        created: record.created.as_secs(),
        ports: ports(record),
        size_rw: view.size.map(|size| size.rw),
        size_root_fs: view.size.map(|size| size.root_fs),
        labels: record.spec.labels.clone(),
        state: status(record),
        status: status_line(record, now),
        host_config: HostSummary {
            network_mode: network_mode(&record.spec.namespaces.network),
            annotations: shown.then(|| annotations.clone()),
        },
        network_settings: NetworkSummary { networks: networks(record, version) },
        mounts: mounts(record),
        health: version.is_at_least(52).then(|| {
            let health = health(record);
            HealthSummary {
                status: health.map_or("none", |health| health.status.name()),
                failing_streak: health.map_or(0, |health| health.failing_streak),
            }
        }),
    }
}

/// The words as a person would type them; ones with blanks in quotes.
fn command(words: &[String]) -> String {
    let quoted = |word: &String| match word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn ports(record: &GuestRecord) -> Vec<PortSummary> {
    if !is_running(record) {
        return Vec::new();
    }
    // An image may declare ranges; listing each port of many of them would take all memory.
    let ports = record.spec.exposed_ports.iter().filter_map(|port| port_range(port));
    ports
        .filter(|(first, last, _)| first == last)
        .map(|(private_port, _, r#type)| PortSummary { private_port, r#type })
        .collect()
}

/// `Up 3 minutes`, `Exited (0) 2 hours ago` (moby `container/state.go`, `State.String`).
fn status_line(record: &GuestRecord, now: Timestamp) -> String {
    let up = || human(now.since(record.started.unwrap_or(now)));
    let ended = || human(now.since(record.exit.map_or(now, |exit| exit.at)));
    let code = exit_code(record);
    match record.state {
        _ if record.restarting => format!("Restarting ({code}) {} ago", ended()),
        State::Running => match health(record) {
            Some(health) => format!("Up {} ({})", up(), health.status),
            None => format!("Up {}", up()),
        },
        State::Paused => format!("Up {} (Paused)", up()),
        State::Created | State::Starting => "Created".to_owned(),
        State::Exited(_) => format!("Exited ({code}) {} ago", ended()),
        State::Removing => "Removal In Progress".to_owned(),
    }
}

/// A length of time in words (go-units `HumanDuration`).
pub(crate) fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds / 60;
    // Go rounds hours, and nothing else.
    let hours = (seconds + 1_800) / 3_600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3_600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use hull_model::exit::Exit;
    use hull_model::guest::GuestSpec;
    use hull_model::id::GuestId;
    use hull_model::name::Name;

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

    /// Named `name`, created `age` seconds ago.
    fn record(name: &str, age: u64, state: State) -> GuestRecord {
        let at = |seconds| Timestamp::from_nanos(NOW.as_nanos() - seconds * 1_000_000_000);
        let exit = match state {
            State::Exited(exit) => Some(exit),
            State::Created | State::Starting | State::Running | State::Paused | State::Removing => {
                None
            }
        };
        let mut spec = GuestSpec { image: "debian".to_owned(), ..GuestSpec::default() };
        spec.labels.insert("name".to_owned(), name.to_owned());
        spec.exposed_ports = vec!["80/tcp".to_owned(), "1-65535/udp".to_owned()];
        GuestRecord {
            id: GuestId::from_random([u8::try_from(age % 256).unwrap(); 32]),
            name: Name::new(name).unwrap(),
            created: at(age),
            spec,
            image: Digest::from_sha256([1; 32]),
            state,
            pid: None,
            started: Some(at(age)),
            exit,
            out_of_memory: false,
            error: String::new(),
            stopped_by_user: false,
            restarts: 0,
            restarting: false,
            id_range: None,
            host_user: None,
            endpoint: None,
            mounts: Vec::new(),
            health: None,
        }
    }

    fn exited(code: u8) -> State {
        State::Exited(Exit { code, oom_killed: false, at: NOW })
    }

    /// The names listed for these parameters.
    fn listed(text: &str, filters: &str) -> String {
        let records = vec![
            record("old", 300, exited(3)),
            record("web-1", 20, State::Running),
            record("web-2", 10, State::Paused),
            record("new", 5, State::Created),
        ];
        let filters = form_urlencoded::byte_serialize(filters.as_bytes()).collect::<String>();
        let query = Query::parse(Some(&format!("{text}&filters={filters}")));
        let selected = ListQuery::parse(&query).and_then(|query| {
            query.select(records, &BTreeSet::from([Digest::from_sha256([1; 32])]))
        });
        match selected {
            Ok(records) => {
                records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>().join(" ")
            }
            Err(refusal) => format!("{} {}", refusal.status(), refusal.message),
        }
    }

    #[test]
    fn lists_are_newest_first_and_of_running_ones_unless_told_otherwise() {
        assert_eq!(listed("", ""), "web-2 web-1");
        assert_eq!(listed("all=1", ""), "new web-2 web-1 old");
        assert_eq!(listed("limit=1", ""), "new");
        assert_eq!(listed("limit=-1", ""), "web-2 web-1");
        assert!(listed("limit=x", "").starts_with("400 "));
    }

    #[test]
    fn filters_select_as_in_docker() {
        for (filters, names) in [
            (r#"{"status":["exited"]}"#, "old"),
            (r#"{"status":["created","paused"]}"#, "new web-2"),
            (r#"{"name":["^/web"]}"#, "web-2 web-1"),
            (r#"{"name":["^web-1$"]}"#, "web-1"),
            (r#"{"id":["^a0|^a5|^b4"]}"#, "web-1"),
            (r#"{"label":["name=web-2"]}"#, "web-2"),
            (r#"{"label":["name","x"]}"#, ""),
            (r#"{"health":["none"]}"#, "web-2 web-1"),
            (r#"{"health":["healthy"]}"#, ""),
            (r#"{"network":["bridge"]}"#, "web-2 web-1"),
            (r#"{"network":["other"]}"#, ""),
            (r#"{"expose":["79-81"]}"#, "web-2 web-1"),
            (r#"{"expose":["81/tcp"]}"#, ""),
            (r#"{"publish":["80"]}"#, ""),
            (r#"{"is-task":["true"]}"#, ""),
            (r#"{"ancestor":["debian"]}"#, "web-2 web-1"),
            (r#"{"before":["web-2"]}"#, "web-1"),
            (r#"{"since":["/web-1"]}"#, "web-2"),
        ] {
            assert_eq!(listed("", filters), names, "{filters}");
        }
        assert_eq!(listed("all=1", r#"{"exited":["3"]}"#), "old");
        assert_eq!(listed("", r#"{"x":["3"]}"#), "400 invalid filter 'x'");
        assert_eq!(listed("", r#"{"status":["x"]}"#), "400 invalid filter 'status=x'");
        assert_eq!(listed("", r#"{"exited":["x"]}"#), "400 invalid filter 'exited=x'");
        assert_eq!(listed("", r#"{"before":["x"]}"#), "404 No such container: x");
    }

    #[test]
    fn statuses_are_sentences() {
        let line = |record: &GuestRecord| status_line(record, NOW);
        assert_eq!(line(&record("aa", 65, State::Running)), "Up About a minute");
        assert_eq!(line(&record("aa", 3 * 3_600, State::Paused)), "Up 3 hours (Paused)");
        assert_eq!(line(&record("aa", 5, exited(7))), "Exited (7) Less than a second ago");
        assert_eq!(line(&record("aa", 5, State::Created)), "Created");
        let waits = GuestRecord { restarting: true, ..record("aa", 5, exited(1)) };
        assert_eq!(line(&waits), "Restarting (1) Less than a second ago");
        let long = [
            (119, "About a minute"),
            (120, "2 minutes"),
            (5_399, "About an hour"),
            (47 * 3_600, "47 hours"),
            (48 * 3_600, "2 days"),
            (15 * 86_400, "2 weeks"),
            (90 * 86_400, "3 months"),
            (800 * 86_400, "2 years"),
        ];
        for (seconds, words) in long {
            assert_eq!(human(Duration::from_secs(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn a_range_of_ports_is_not_listed_port_by_port() {
        assert_eq!(ports(&record("aa", 5, State::Running)).len(), 1);
    }
}
