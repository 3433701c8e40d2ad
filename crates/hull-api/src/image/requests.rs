//! Parameters of the requests that bring, name and take images.

use hull_model::image::{Digest, Platform};
use hull_model::reference::Reference;
use serde::Deserialize;

use crate::container::create::read_platform;
use crate::json::decode;
use crate::query::Query;
use crate::refusal::{Refusal, Result, quote};

/// What `POST /images/create` is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ImageCreate {
    /// Fetch from a registry.
    Pull {
        /// By tag or digest.
        reference: Reference,
        /// For this platform; `None` for the host's.
        platform: Option<Platform>,
    },
    /// Make one of the archive in the body.
    Import(Import),
}

/// An image to be made of an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Import {
    /// What it is called; `None` for its id alone.
    pub name: Option<Reference>,
    /// Its history's text.
    pub message: String,
    /// Instructions of a Dockerfile.
    pub changes: Vec<String>,
    /// What it is for; `None` for the host's.
    pub platform: Option<Platform>,
}

/// Reads the parameters of `POST /images/create`.
pub fn create(query: &Query) -> Result<ImageCreate> {
    let platform = read_platform(query.text("platform"))?;
    let image = query.text("fromImage");
    if !image.is_empty() {
        return Ok(ImageCreate::Pull { reference: pulled(image, query.text("tag"))?, platform });
    }
    match query.text("fromSrc") {
        "-" => {}
        "" => return Err(Refusal::invalid("neither fromImage nor fromSrc is given")),
        url => return Err(Refusal::unsupported("fromSrc", url)),
    }
    let name = match query.text("repo") {
        "" => None,
        repo => Some(named(repo, query.text("tag"))?),
    };
    Ok(ImageCreate::Import(Import {
        name,
        message: query.text("message").to_owned(),
        changes: query.values("changes").map(str::to_owned).collect(),
        platform,
    }))
}

/// A repository with the tag or digest that `tag` says. Without any, Docker pulls every tag.
fn pulled(image: &str, tag: &str) -> Result<Reference> {
    let reference = parse(image)?;
    match (tag, reference.tag().is_some() || reference.digest().is_some()) {
        ("", true) => Ok(reference),
        ("", false) => Err(Refusal::unsupported("fromImage without a tag (all tags)", image)),
        (tag, _) => match tag.parse::<Digest>() {
            Ok(digest) => Ok(reference.with_digest(digest)),
            Err(_no_digest) => reference.with_tag(tag).map_err(Refusal::invalid),
        },
    }
}

fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(Refusal::invalid)
}

/// `repo` with `tag`, or its own tag, or `latest`.
pub(crate) fn named(repo: &str, tag: &str) -> Result<Reference> {
    let reference = parse(repo)?;
    if reference.digest().is_some() {
        return Err(Refusal::invalid("refusing to create a tag with a digest reference"));
    }
    match tag {
        "" => Ok(reference.or_latest()),
        tag => reference.with_tag(tag).map_err(Refusal::invalid),
    }
}

/// Reads `repo` and `tag` of `POST /images/{name}/tag`.
pub fn tag(query: &Query) -> Result<Reference> {
    named(query.text("repo"), query.text("tag"))
}

/// Reads the `platform` of load and save, a JSON object; from 1.48 on. Several are not supported.
pub fn platform_object(query: &Query) -> Result<Option<Platform>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Object {
        os: String,
        architecture: String,
        variant: String,
    }
    let mut texts = query.values("platform").filter(|text| !text.is_empty());
    let Some(text) = texts.next() else { return Ok(None) };
    if texts.next().is_some() {
        return Err(Refusal::unsupported("platform", "several"));
    }
    let Object { os, architecture, variant } = decode(text.as_bytes(), "Platform")?;
    if os.is_empty() || architecture.is_empty() {
        return Err(Refusal::invalid(format_args!(
            "invalid platform {}: both OS and Architecture must be provided",
            quote(text)
        )));
    }
    Ok(Some(Platform { os, architecture, variant }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match create(&Query::parse(Some(text))) {
            Ok(ImageCreate::Pull { reference, .. }) => format!("pull {reference}"),
            Ok(ImageCreate::Import(import)) => {
                let name = import.name.map_or_else(|| "-".to_owned(), |name| name.to_string());
                format!("import {name} {:?}", import.changes)
            }
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn creates_are_pulls_or_imports() {
        assert_eq!(read("fromImage=debian&tag=12"), "pull debian:12");
        assert_eq!(read("fromImage=debian:12"), "pull debian:12");
        assert_eq!(read("fromImage=docker.io/library/debian:11&tag=12"), "pull debian:12");
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(read(&format!("fromImage=a/b&tag={digest}")), format!("pull a/b@{digest}"));
        assert_eq!(
            read("fromSrc=-&repo=x&changes=CMD+a&changes=ENV+b=c"),
            r#"import x:latest ["CMD a", "ENV b=c"]"#
        );
        assert_eq!(read("fromSrc=-"), "import - []");
        assert_eq!(
            read("fromImage=Debian&tag=1"),
            "invalid reference format: repository name (Debian) must be lowercase"
        );
        assert_eq!(read("fromImage=a&tag=-"), "invalid reference format");
        assert!(read("fromImage=a").contains("all tags"));
        assert!(read("fromSrc=http://x/y.tar").contains("hull does not support fromSrc"));
        assert!(read("").contains("neither"));
        assert!(read("fromImage=a:1&platform=windows/amd64").contains("linux images only"));
    }

    #[test]
    fn tags_need_a_repository() {
        let read = |text| tag(&Query::parse(Some(text))).map(|name| name.to_string());
        assert_eq!(read("repo=x&tag=1"), Ok("x:1".to_owned()));
        assert_eq!(read("repo=x"), Ok("x:latest".to_owned()));
        assert_eq!(read("repo=host:5/x:2"), Ok("host:5/x:2".to_owned()));
        assert!(
            read("tag=1").is_err() && read("repo=X").is_err() && read("repo=x&tag=a/b").is_err()
        );
    }

    #[test]
    fn platforms_are_objects_or_words() {
        let object = |text: &str| platform_object(&Query::parse(Some(text)));
        let json = "platform={\"os\":\"linux\",\"architecture\":\"arm64\"}";
        assert_eq!(object(json).unwrap().unwrap().to_string(), "linux/arm64");
        assert_eq!(object("").unwrap(), None);
        assert!(object("platform=linux").is_err() && object("platform={}").is_err());
        let words = |text| read_platform(text).map(|p| p.map(|p| p.to_string()));
        assert_eq!(words("linux/x86_64").unwrap().unwrap(), "linux/amd64");
        assert_eq!(words("linux/arm/v7").unwrap().unwrap(), "linux/arm/v7");
        for bad in ["linux/", "/", "linux/a/b/c", "linux/a b", "darwin/arm64"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
