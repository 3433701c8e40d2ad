//! Where a `Location` leads, and whether to go there. Pure; the header is hostile.

use http::Uri;

use crate::host::Origin;

/// The URL that `location` means at `base` (RFC 3986 section 5, without dot segments, which
/// servers resolve themselves).
///
/// Refused are other schemes than http and https, a step from https down to http, and names or
/// passwords in the URL.
pub(crate) fn resolve(base: &Uri, location: &str) -> Result<Uri, &'static str> {
    let location = location.split('#').next().unwrap_or_default();
    let origin = Origin::of(base).ok_or("it is relative to no URL")?;
    let text = if is_absolute(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", origin.scheme)
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if location.starts_with('?') {
        format!("{origin}{}{location}", base.path())
    } else {
        let folder = base.path().rfind('/').map_or("/", |slash| &base.path()[..=slash]);
        format!("{origin}{folder}{location}")
    };
    let url: Uri = text.parse().map_err(|_not_a_url| "it is no URL")?;
    let target = Origin::of(&url).ok_or("it is neither http nor https")?;
    if target.is_plain() && !origin.is_plain() {
        return Err("it leads from https to http");
    }
    let authority = url.authority().ok_or("it names no host")?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err("it names no host, or a user");
    }
    Ok(url)
}

/// Whether it begins with a scheme.
fn is_absolute(location: &str) -> bool {
    let Some((scheme, _)) = location.split_once(':') else { return false };
    !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(base: &str, location: &str) -> String {
        match resolve(&base.parse().unwrap(), location) {
            Ok(url) => url.to_string(),
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn locations_are_resolved_and_never_lead_down() {
        let base = "https://a:5000/v2/x/blobs?q=1";
        for (location, expected) in [
            ("https://cdn.example/x?sig=a%2Fb", "https://cdn.example/x?sig=a%2Fb"),
            ("/y?z#f", "https://a:5000/y?z"),
            ("y", "https://a:5000/v2/x/y"),
            ("?y", "https://a:5000/v2/x/blobs?y"),
            ("//b/y", "https://b/y"),
            ("http://a:5000/y", "it leads from https to http"),
            ("HTTP://a/y", "it leads from https to http"),
            ("file:///etc/passwd", "it is no URL"),
            ("ftp://x/y", "it is neither http nor https"),
            ("https://u:p@b/", "it names no host, or a user"),
            ("https:///y", "it is no URL"),
            ("/a b", "it is no URL"),
        ] {
            assert_eq!(read(base, location), expected, "{location}");
        }
        assert_eq!(read("http://a/", "https://b/"), "https://b/");
        assert_eq!(read("http://a/", "http://b/"), "http://b/");
    }

    proptest! {
        #[test]
        fn no_location_panics_or_leads_down(location in "\\PC{0,60}|(https?:|/|@|[?#a]){0,20}") {
            if let Ok(url) = resolve(&"https://a/b".parse().unwrap(), &location) {
                prop_assert_eq!(url.scheme_str(), Some("https"));
            }
        }
    }
}
