//! This machine's apt sources: where it gets the packages of a suite from. Pure.

/// One place packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uri: String,
    /// `bookworm`, `bookworm-updates`.
    pub(crate) suite: String,
    components: String,
    signed_by: Option<String>,
}

impl Source {
    /// As a line of sources.list, which mmdebstrap takes as a mirror.
    pub(crate) fn line(&self) -> String {
        let options =
            self.signed_by.as_ref().map(|key| format!("[signed-by={key}] ")).unwrap_or_default();
        format!("deb {options}{} {} {}", self.uri, self.suite, self.components)
    }

    /// Where the suite's signed description is.
    pub(crate) fn release(&self) -> String {
        format!("{}/dists/{}/InRelease", self.uri.trim_end_matches('/'), self.suite)
    }
}

/// The sources of a suite in a `.sources` file (deb822, see sources.list(5)).
pub(crate) fn deb822(text: &str, suite: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            });
            line.unwrap_or_default()
        };
        let off = field("Enabled").eq_ignore_ascii_case("no");
        if off || !field("Types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        // A key written into the stanza itself cannot be passed on; mmdebstrap finds its own.
        let signed_by = Some(field("Signed-By")).filter(|key| key.starts_with('/'));
        for uri in field("URIs").split_whitespace() {
            for name in field("Suites").split_whitespace() {
                sources.push(Source {
                    uri: uri.to_owned(),
                    suite: name.to_owned(),
                    components: field("Components").to_owned(),
                    signed_by: signed_by.map(str::to_owned),
                });
            }
        }
    }
    sources.retain(|source| belongs(source, suite));
    sources
}

/// The sources of a suite in a `.list` file.
pub(crate) fn one_line(text: &str, suite: &str) -> Vec<Source> {
    let mut sources: Vec<Source> = text.lines().filter_map(entry).collect();
    sources.retain(|source| belongs(source, suite));
    sources
}

fn entry(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim().strip_prefix("deb")?;
    let line = line.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, line) = match line.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", line),
    };
    let mut words = line.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .filter(|key| key.starts_with('/'));
    Some(Source {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: words.collect::<Vec<_>>().join(" "),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// Whether a source is part of the distribution's suite: itself, its updates, its security.
fn belongs(source: &Source, suite: &str) -> bool {
    let rest = source.suite.strip_prefix(suite);
    let is_part = rest.is_some_and(|rest| matches!(rest, "" | "-updates" | "-security"));
    let is_main = source.components.split(' ').any(|component| component == "main");
    let is_web = source.uri.starts_with("http://") || source.uri.starts_with("https://");
    is_part && is_main && is_web
}

/// The date of a `Release` file, in seconds of Unix time.
pub(crate) fn release_date(text: &str) -> Option<u64> {
    let date = text.lines().find_map(|line| line.strip_prefix("Date:"))?.trim();
    // Debian writes UTC where RFC 2822 knows only GMT and numbers.
    let date = date.replace("UTC", "+0000");
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).ok()?;
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_the_suite_are_found_in_both_formats() {
        let text = "Types: deb\n# c\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
                    Types: deb-src\nURIs: http://s\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb\nURIs: http://o\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
                    Types: deb\nURIs: http://x\nSuites: nodistro\nComponents: main\n";
        let lines: Vec<String> = deb822(text, "bookworm").iter().map(Source::line).collect();
        assert_eq!(
            lines,
            [
                "deb [signed-by=/k.gpg] http://m/debian bookworm main",
                "deb [signed-by=/k.gpg] http://m/debian bookworm-updates main",
            ]
        );
        let text = "# x\ndeb http://m/debian bookworm main contrib # c\ndeb-src http://m bookworm main\n\
                    deb [arch=amd64 signed-by=/k] https://s bookworm-security main\ndeb http://g cloud-bookworm main\n\
                    deb cdrom:[x]/ bookworm main\ndeb\ndeb [\n";
        let lines: Vec<String> = one_line(text, "bookworm").iter().map(Source::line).collect();
        assert_eq!(
            lines,
            [
                "deb http://m/debian bookworm main contrib",
                "deb [signed-by=/k] https://s bookworm-security main",
            ]
        );
        assert!(deb822(text, "trixie").is_empty());
    }

    #[test]
    fn the_date_of_a_release() {
        assert_eq!(release_date("Origin: x\nDate: Thu, 01 Jan 1970 00:01:40 UTC\n"), Some(100));
        assert_eq!(release_date("Date: nonsense"), None);
        assert_eq!(release_date(""), None);
    }
}
