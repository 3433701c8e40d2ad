//! `POST /containers/prune`.

use hull_model::record::GuestRecord;
use hull_model::time::Timestamp;
use serde::Serialize;

use crate::filters::{Filters, invalid_value};
use crate::query::Query;
use crate::refusal::Result;

/// Which of the containers that do not run are to go.
#[derive(Clone, Debug)]
pub struct PruneQuery {
    filters: Filters,
    until: Option<Timestamp>,
}

impl PruneQuery {
    /// Reads the parameters of a prune at `now`.
    pub fn parse(query: &Query, now: Timestamp) -> Result<Self> {
        let filters = query.filters(&["until", "label", "label!"])?;
        let until = until(&filters, now)?;
        Ok(Self { filters, until })
    }

    /// Whether the filters let this container go; whether it runs is the caller's business.
    pub fn accepts(&self, record: &GuestRecord) -> bool {
        let labels = &record.spec.labels;
        self.until.is_none_or(|until| record.created <= until)
            && self.filters.has_labels("label", labels)
            && self.filters.lacks_labels("label!", labels)
    }
}

/// The one value of `until`.
pub(crate) fn until(filters: &Filters, now: Timestamp) -> Result<Option<Timestamp>> {
    let values: Vec<&str> = filters.values("until").collect();
    match values[..] {
        [] => Ok(None),
        [text] => match Timestamp::parse_docker(text, now) {
            Some(at) => Ok(Some(at)),
            None => Err(invalid_value("until", text)),
        },
        _ => Err(invalid_value("until", &values.join(","))),
    }
}

/// What went.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pruned {
    containers_deleted: Option<Vec<String>>,
    space_reclaimed: u64,
}

/// The answer when these containers went and gave back so many bytes.
pub fn write(ids: Vec<String>, bytes: u64) -> Pruned {
    Pruned { containers_deleted: (!ids.is_empty()).then_some(ids), space_reclaimed: bytes }
}
