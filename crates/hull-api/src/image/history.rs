//! `GET /images/{name}/history`.

use hull_model::image::Digest;
use hull_model::reference::Reference;
use hull_model::time::Timestamp;
use serde::Serialize;

use super::view::names;

/// One step of an image's making.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'a> {
    /// The image, for the last step only.
    pub id: Option<Digest>,
    /// RFC 3339, as the image has it.
    pub created: Option<&'a str>,
    /// The command.
    pub created_by: &'a str,
    /// Free text.
    pub comment: &'a str,
    /// Bytes it added.
    pub size: u64,
    /// The image's names, for the last step only.
    pub tags: &'a [Reference],
}

/// One row of the answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryItem {
    id: String,
    created: u64,
    created_by: String,
    tags: Option<Vec<String>>,
    size: u64,
    comment: String,
}

/// The row about `step`.
pub fn write(step: &StepView<'_>) -> HistoryItem {
    HistoryItem {
        id: step.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        created: step.created.and_then(Timestamp::parse_rfc3339).unwrap_or_default().as_secs(),
        created_by: step.created_by.to_owned(),
        tags: (!step.tags.is_empty()).then(|| names(step.tags)),
        size: step.size,
        comment: step.comment.to_owned(),
    }
}
