//! Messages of work that reports while it runs: one JSON object each.

use serde::Serialize;

/// One message. What is not said is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Text to print as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How far it is; `{}` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// To what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// The same, for old clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far something is, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ProgressDetail {
    /// So much is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// Of so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Why work ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// In words.
    pub message: String,
}

/// The last message of work that failed after its answer had begun.
pub fn failure(message: &str) -> Message {
    Message {
        error_detail: Some(ErrorDetail { message: message.to_owned() }),
        error: Some(message.to_owned()),
        ..Message::default()
    }
}

/// Text to print as it is.
pub fn text(text: impl Into<String>) -> Message {
    Message { stream: Some(text.into()), ..Message::default() }
}

/// A line about the whole.
pub fn status(status: impl Into<String>) -> Message {
    Message { status: Some(status.into()), ..Message::default() }
}
