//! The answer of `POST /containers/{id}/wait`.

use serde::Serialize;

/// How a container ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Waited {
    status_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WaitError>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WaitError {
    message: String,
}

/// The answer for a container that ended with `code`, or whose wait failed.
pub fn write(code: i64, error: Option<&str>) -> Waited {
    let error = error.map(|message| WaitError { message: message.to_owned() });
    Waited { status_code: code, error }
}
