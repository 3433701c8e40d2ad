//! `GET /images/json`.

use std::collections::BTreeMap;

use hull_model::reference::Reference;
use hull_model::time::Timestamp;
use serde::Serialize;

use super::view::{ImageView, names};
use crate::container::prune::until;
use crate::filters::Filters;
use crate::query::Query;
use crate::refusal::Result;
use crate::version::ApiVersion;

/// One line about an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageSummary {
    id: String,
    parent_id: &'static str,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    created: u64,
    size: u64,
    shared_size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    labels: BTreeMap<String, String>,
    containers: i64,
}

/// The line about `view` for a client of `version`.
pub fn summary(view: &ImageView<'_>, version: ApiVersion) -> ImageSummary {
    let number = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
    let (mut repo_tags, mut repo_digests) = (names(view.tags), names(view.digests));
    if !version.is_at_least(43) && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    ImageSummary {
        id: view.id.to_string(),
        parent_id: "",
        repo_tags,
        repo_digests,
        created: view.created().as_secs(),
        size: view.size,
        shared_size: number(view.shared),
        virtual_size: (!version.is_at_least(44)).then_some(view.size),
        labels: view.config.config.as_ref().map(|run| run.labels.clone()).unwrap_or_default(),
        containers: number(view.containers),
    }
}

/// Which images a client wants to see.
#[derive(Clone, Debug)]
pub struct ImageQuery {
    /// Whether shared sizes are wanted, which takes a look at all images.
    pub shared_size: bool,
    filters: Filters,
    dangling: Option<bool>,
    until: Option<Timestamp>,
}

/// When the images of the `before` and `since` filters were made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Only older ones.
    pub before: Option<Timestamp>,
    /// Only newer ones.
    pub since: Option<Timestamp>,
}

impl ImageQuery {
    /// Reads the parameters of a list at `now`. `filter` is the old form of the filter `reference`.
    pub fn parse(query: &Query, version: ApiVersion, now: Timestamp) -> Result<Self> {
        let known = ["before", "dangling", "label", "label!", "reference", "since", "until"];
        let mut filters = query.filters(&known)?;
        if !version.is_at_least(41) && !query.text("filter").is_empty() {
            filters.add("reference", query.text("filter"));
        }
        let asked = !filters.allows_all("dangling");
        Ok(Self {
            shared_size: query.flag("shared-size"),
            dangling: asked.then(|| filters.flag("dangling", false)).transpose()?,
            until: until(&filters, now)?,
            filters,
        })
    }

    /// The image of the filter `before`, as the client named it.
    pub fn before(&self) -> Option<&str> {
        self.filters.values("before").next()
    }

    /// The image of the filter `since`, as the client named it.
    pub fn since(&self) -> Option<&str> {
        self.filters.values("since").next()
    }

    /// Whether this image is wanted.
    pub fn accepts(&self, view: &ImageView<'_>, bounds: Bounds) -> bool {
        let created = view.created();
        let labels = view.config.config.as_ref().map(|run| &run.labels);
        let none = BTreeMap::new();
        let labels = labels.unwrap_or(&none);
        bounds.before.is_none_or(|before| created < before)
            && bounds.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created <= until)
            && self.dangling.is_none_or(|dangling| dangling == view.tags.is_empty())
            && self.filters.has_labels("label", labels)
            && self.filters.lacks_labels("label!", labels)
            && self.filters.any("reference", |pattern| {
                view.tags.iter().chain(view.digests).any(|name| names_match(pattern, name))
            })
    }
}

/// Whether a pattern fits a name, with its tag or without (distribution `FamiliarMatch`).
fn names_match(pattern: &str, name: &Reference) -> bool {
    glob(pattern.as_bytes(), name.to_string().as_bytes())
        || glob(pattern.as_bytes(), name.familiar_name().as_bytes())
}

/// Go's `path.Match` without classes: `*` and `?` stand for anything but a slash.
///
/// Goes back to the last `*` only, so the time is at most the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') if text[t] != b'/' => (p, t) = (p + 1, t + 1),
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) if text[from] != b'/' => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_go() {
        let fits = |pattern, name| names_match(pattern, &Reference::parse(name).unwrap());
        for (pattern, name) in [
            ("debian", "debian:12"),
            ("deb*:1?", "debian:12"),
            ("*", "debian:12"),
            ("a/*", "a/b:1"),
            ("*/*", "a/b:1"),
            ("*:1", "b:1"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("deb", "debian:12"), ("*", "a/b:1"), ("debian:13", "debian:12"), ("", "a:1")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!glob("*a".repeat(1_000).as_bytes(), "a".repeat(900).as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a*?/]{0,20}", text in "[a/]{0,20}") {
            glob(pattern.as_bytes(), text.as_bytes());
        }
    }
}
