//! `GET /containers/{id}/explain`: hull's own, nothing of Docker's.

use hull_model::explain::{Explanation, Fact, Topic};
use hull_model::record::GuestRecord;
use serde::Serialize;

use super::view::status;

/// What separates one container from its host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerExplain {
    id: String,
    name: String,
    status: &'static str,
    topics: Vec<TopicBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TopicBody {
    name: &'static str,
    facts: Vec<FactBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FactBody {
    name: String,
    value: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// The answer about the container of `record`.
pub fn write(record: &GuestRecord, explanation: Explanation) -> ContainerExplain {
    let fact = |Fact { name, value, why }| FactBody { name, value, why };
    let topic =
        |Topic { name, facts }| TopicBody { name, facts: facts.into_iter().map(fact).collect() };
    ContainerExplain {
        id: record.id.to_string(),
        name: record.name.to_string(),
        status: status(record),
        topics: explanation.topics.into_iter().map(topic).collect(),
    }
}
