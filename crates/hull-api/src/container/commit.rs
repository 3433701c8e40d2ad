//! `POST /commit`: an image of a container.

use hull_model::image::{Digest, Nothing, RunConfig};
use hull_model::reference::Reference;
use serde::Serialize;

use super::config::Config;
use crate::image::requests::named;
use crate::json::decode;
use crate::query::Query;
use crate::refusal::{Refusal, Result};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRequest {
    /// The container.
    pub container: String,
    /// What the image is called; `None` for its id alone.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Its history's text.
    pub comment: String,
    /// Freeze the container meanwhile; the default.
    pub pause: bool,
    /// Instructions of a Dockerfile.
    pub changes: Vec<String>,
    /// How to run the image; `None` takes the container's.
    pub config: Option<RunConfig>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommitResponse {
    /// The image.
    pub id: String,
}

impl CommitResponse {
    /// The answer for this image.
    pub fn new(id: Digest) -> Self {
        Self { id: id.to_string() }
    }
}

/// Reads a request.
pub fn read(query: &Query, body: &[u8]) -> Result<CommitRequest> {
    let container = query.text("container");
    if container.is_empty() {
        return Err(Refusal::invalid("bad parameter: 'container' cannot be empty"));
    }
    let name = match query.text("repo") {
        "" => None,
        repo => Some(named(repo, query.text("tag"))?),
    };
    Ok(CommitRequest {
        container: container.to_owned(),
        name,
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        pause: query.flag_or("pause", true),
        changes: query.values("changes").flat_map(str::lines).map(str::to_owned).collect(),
        config: read_config(body)?,
    })
}

/// Docker's CLI sends an object without anything in it, or nothing at all.
fn read_config(body: &[u8]) -> Result<Option<RunConfig>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let config: Option<Config> = decode(body, "Config")?;
    Ok(config.map(|config| RunConfig {
        user: config.user,
        exposed_ports: keys(config.exposed_ports),
        env: config.env.unwrap_or_default(),
        entrypoint: config.entrypoint.map(|words| words.0),
        cmd: config.cmd.map(|words| words.0),
        volumes: keys(config.volumes),
        working_dir: config.working_dir,
        labels: config.labels.unwrap_or_default(),
        stop_signal: config.stop_signal,
        healthcheck: config.healthcheck,
        on_build: config.on_build,
        shell: config.shell.map(|words| words.0),
    }))
}

fn keys<T>(
    set: Option<std::collections::BTreeMap<String, T>>,
) -> std::collections::BTreeMap<String, Nothing> {
    set.into_iter().flatten().map(|(key, _)| (key, Nothing {})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_dockers_defaults() {
        let read = |query: &str, body: &str| read(&Query::parse(Some(query)), body.as_bytes());
        let plain = read("container=c", "").unwrap();
        assert!(plain.pause && plain.name.is_none() && plain.config.is_none());
        assert_eq!(read("container=c", "null").unwrap().config, None);
        let full = read(
            "container=c&repo=a/b&tag=1&pause=0&changes=CMD+a%0AUSER+b&changes=ENV+A%3D1",
            r#"{"Cmd":"sh","Env":null,"Volumes":{"/v":{}}}"#,
        )
        .unwrap();
        assert_eq!(full.name.unwrap().to_string(), "a/b:1");
        assert!(!full.pause);
        assert_eq!(full.changes, ["CMD a", "USER b", "ENV A=1"]);
        let config = full.config.unwrap();
        assert_eq!(config.cmd, Some(vec!["sh".to_owned()]));
        assert!(config.volumes.contains_key("/v"));
        for (query, body) in [("", ""), ("container=c&repo=X", ""), ("container=c", "{")] {
            assert!(read(query, body).is_err(), "{query} {body}");
        }
    }
}
