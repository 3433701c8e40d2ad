//! `GET /containers/{id}/top`.

use serde::Serialize;

/// Processes of a container as `ps` shows them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Top {
    titles: Vec<String>,
    processes: Vec<Vec<String>>,
}

/// The answer with these columns and rows.
pub fn write(titles: Vec<String>, processes: Vec<Vec<String>>) -> Top {
    Top { titles, processes }
}
