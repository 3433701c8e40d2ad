//! `GET /events`.

use std::collections::BTreeMap;

use hull_model::event::{Occurrence, Subject};
use hull_model::time::Timestamp;
use serde::Serialize;

use crate::filters::Filters;
use crate::query::Query;
use crate::refusal::Result;
use crate::version::ApiVersion;

/// Filters that Docker knows; those about a swarm match nothing here.
const FILTERS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// Below 1.52: the action, once more, of containers and images.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    /// Below 1.52: the object's id, once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// Below 1.52: a container's image, once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: u64,
    #[serde(rename = "timeNano")]
    time_nano: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

/// The message about `occurrence` for a client of `version`.
pub fn write(occurrence: &Occurrence, version: ApiVersion) -> Event<'_> {
    let Occurrence { at, subject, action, id, attributes } = occurrence;
    let repeats =
        version.has_legacy_fields() && matches!(subject, Subject::Container | Subject::Image);
    let image = attributes.get("image").filter(|_| *subject == Subject::Container);
    Event {
        status: repeats.then_some(action.as_str()),
        id: repeats.then_some(id.as_str()),
        from: image.filter(|_| repeats).map(String::as_str),
        kind: subject.name(),
        action,
        actor: Actor { id, attributes },
        scope: "local",
        time: at.as_secs(),
        time_nano: at.as_nanos(),
    }
}

/// Which events a client wants.
#[derive(Clone, Debug)]
pub struct EventsQuery {
    /// Those that were, from this on; `None` for none.
    pub since: Option<Timestamp>,
    /// None after this; `None` to go on for ever.
    pub until: Option<Timestamp>,
    filters: Filters,
}

impl EventsQuery {
    /// Reads the parameters of a request for events at `now`.
    pub fn parse(query: &Query, now: Timestamp) -> Result<Self> {
        let (since, until) = (query.time("since", now)?, query.time("until", now)?);
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(crate::refusal::Refusal::invalid(format_args!(
                "`since` time ({}) cannot be after `until` time ({})",
                since.as_secs(),
                until.as_secs()
            )));
        }
        Ok(Self { since, until, filters: query.filters(&FILTERS)? })
    }

    /// Whether this event is wanted; the times are the caller's business, who may have to wait.
    pub fn accepts(&self, occurrence: &Occurrence) -> bool {
        let filters = &self.filters;
        let names = |filter, subject| self.is_about(filter, subject, occurrence);
        // `exec_create: ls` is an `exec_create`.
        let bare = occurrence.action.split_once(':').map_or("", |(bare, _)| bare);
        filters.any("event", |wanted| wanted == occurrence.action || wanted == bare)
            && filters.is("type", occurrence.subject.name())
            && filters.is("scope", "local")
            && names("container", Subject::Container)
            && names("volume", Subject::Volume)
            && names("network", Subject::Network)
            && names("daemon", Subject::Daemon)
            && self.is_of_image(occurrence)
            && filters.has_labels("label", &occurrence.attributes)
            && ["config", "node", "plugin", "secret", "service"]
                .iter()
                .all(|absent| filters.allows_all(absent))
    }

    /// By id, the beginning of an id, or name (moby `daemon/events/filter.go`).
    fn is_about(&self, filter: &str, subject: Subject, occurrence: &Occurrence) -> bool {
        self.filters.any(filter, |wanted| {
            occurrence.subject == subject
                && (occurrence.id.starts_with(wanted)
                    || occurrence.attributes.get("name").is_some_and(|n| n.starts_with(wanted)))
        })
    }

    /// Events of the image itself and of its containers, with its tag or without.
    fn is_of_image(&self, occurrence: &Occurrence) -> bool {
        let name = match occurrence.subject {
            Subject::Image => occurrence.attributes.get("name"),
            Subject::Container => occurrence.attributes.get("image"),
            Subject::Volume | Subject::Network | Subject::Daemon => None,
        };
        let name = name.map_or("", String::as_str);
        let slash = name.rfind('/').map_or(0, |slash| slash + 1);
        let bare = match name[slash..].find(':') {
            Some(colon) => &name[..slash + colon],
            None => name,
        };
        let id = if occurrence.subject == Subject::Image { occurrence.id.as_str() } else { "" };
        self.filters.any("image", |wanted| {
            !wanted.is_empty() && (wanted == id || wanted == name || wanted == bare)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence() -> Occurrence {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Occurrence {
            at: Timestamp::from_nanos(1_700_000_000_000_000_005),
            subject: Subject::Container,
            action: "exec_create: ls -l".to_owned(),
            id: "abcdef".to_owned(),
            attributes: [pair("name", "web"), pair("image", "host:5/nginx:1"), pair("k", "v")]
                .into(),
        }
    }

    #[test]
    fn old_clients_get_the_actor_twice() {
        let event = occurrence();
        let json =
            |version: &str| serde_json::to_value(write(&event, version.parse().unwrap())).unwrap();
        let old = json("1.51");
        assert_eq!(
            (old["id"].as_str(), old["from"].as_str()),
            (Some("abcdef"), Some("host:5/nginx:1"))
        );
        let new = json("1.52");
        assert!(new.get("id").is_none() && new.get("status").is_none());
        assert_eq!(new["Actor"]["ID"], "abcdef");
        assert_eq!(new["timeNano"], 1_700_000_000_000_000_005_u64);
    }

    #[test]
    fn filters_select() {
        let accepts = |filters: &str| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("filters", filters)
                .finish();
            let query = Query::parse(Some(&query));
            EventsQuery::parse(&query, Timestamp::EPOCH).unwrap().accepts(&occurrence())
        };
        for yes in [
            r#"{}"#,
            r#"{"event":["exec_create"]}"#,
            r#"{"container":["web"]}"#,
            r#"{"container":["abc"]}"#,
            r#"{"image":["host:5/nginx"]}"#,
            r#"{"image":["host:5/nginx:1"]}"#,
            r#"{"label":["k=v"]}"#,
            r#"{"type":["container"],"scope":["local"]}"#,
        ] {
            assert!(accepts(yes), "{yes}");
        }
        for no in [
            r#"{"event":["exec"]}"#,
            r#"{"container":["db"]}"#,
            r#"{"image":["host"]}"#,
            r#"{"label":["x"]}"#,
            r#"{"type":["image"]}"#,
            r#"{"volume":["abc"]}"#,
            r#"{"service":["a"]}"#,
        ] {
            assert!(!accepts(no), "{no}");
        }
        let query = Query::parse(Some("since=5&until=3"));
        assert!(EventsQuery::parse(&query, Timestamp::EPOCH).is_err());
    }
}
