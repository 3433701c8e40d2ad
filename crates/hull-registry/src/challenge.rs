//! `WWW-Authenticate`: which proof a registry asks for. Pure; the header is hostile.

/// Longest header that is looked at.
const LENGTH_MAX: usize = 8192;

/// One way a registry accepts to be convinced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token, to be had at `realm`.
    Bearer {
        /// Where tokens are given out: a URL, not checked.
        realm: String,
        /// The name the token server knows the registry by.
        service: Option<String>,
        /// What the refused request would have needed.
        scope: Option<String>,
        /// `insufficient_scope`, `invalid_token`: why the token that came along was not enough.
        error: Option<String>,
    },
}

/// The challenges in one header, in its order; schemes hull does not know and whatever does not
/// follow RFC 9110 section 11.6.1 are passed over.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    if header.len() > LENGTH_MAX {
        return found;
    }
    let mut text = Scanner(header);
    while !text.0.is_empty() {
        text.skip(|c| matches!(c, ' ' | '\t' | ','));
        let scheme = text.token();
        if scheme.is_empty() {
            // Not a token where a scheme must be: go on after it, so that the loop ends.
            text.advance();
            continue;
        }
        let parameters = text.parameters();
        found.extend(challenge(scheme, &parameters));
    }
    found
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let value = |name: &str| {
        let named = parameters.iter().find(|(key, _)| key == name);
        named.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(Challenge::Bearer {
        realm: value("realm")?,
        service: value("service"),
        scope: value("scope"),
        error: value("error"),
    })
}

/// What is left of the header.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn advance(&mut self) {
        let mut rest = self.0.chars();
        rest.next();
        self.0 = rest.as_str();
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(skipped);
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// `name=value` pairs up to the next scheme; names in lower case.
    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        loop {
            self.skip(|c| matches!(c, ' ' | '\t' | ','));
            let start = self.0;
            let name = self.token();
            self.skip(|c| matches!(c, ' ' | '\t'));
            if name.is_empty() || !self.0.starts_with('=') {
                // The next scheme, or nonsense: the caller's turn.
                self.0 = start;
                return found;
            }
            self.advance();
            self.skip(|c| matches!(c, ' ' | '\t'));
            let value = match self.0.starts_with('"') {
                true => self.quoted(),
                false => self.token().to_owned(),
            };
            found.push((name.to_ascii_lowercase(), value));
        }
    }

    /// A quoted string without its quotes and backslashes; one that never ends reaches to the end.
    fn quoted(&mut self) -> String {
        self.advance();
        let mut value = String::new();
        loop {
            let next = self.0.chars().next();
            self.advance();
            match next {
                None | Some('"') => return value,
                Some('\\') => {
                    value.extend(self.0.chars().next());
                    self.advance();
                }
                Some(other) => value.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(header: &str) -> String {
        let each = parse(header).into_iter().map(|challenge| match challenge {
            Challenge::Basic => "basic".to_owned(),
            Challenge::Bearer { realm, service, scope, .. } => {
                format!("{realm}|{}|{}", service.unwrap_or_default(), scope.unwrap_or_default())
            }
        });
        each.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        assert_eq!(
            read(
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ),
            "https://auth.docker.io/token|registry.docker.io|repository:a/b:pull,push"
        );
        assert_eq!(read(r#"Basic realm="basic-realm""#), "basic");
        assert_eq!(read("BASIC"), "basic");
        assert_eq!(read(r#"bearer REALM = "x" , service=y"#), "x|y|");
        assert_eq!(read(r#"Bearer realm="a\"b\\c""#), r#"a"b\c||"#);
        assert_eq!(read(r#"Negotiate, Basic realm="x", Bearer realm="y""#), "basic; y||");
        assert_eq!(read(r#"Negotiate YWJj==, Bearer realm="y""#), "y||");
    }

    #[test]
    fn what_says_nothing_gives_nothing() {
        for header in ["", " , ,", "=", "\"", "Bearer", "Bearer realm", "Bearer realm=\"\"", "é=é"]
        {
            assert_eq!(read(header), "", "{header:?}");
        }
        assert_eq!(read(r#"Bearer realm="never ends"#), "never ends||");
        assert_eq!(read(&format!("Basic x={}", "a".repeat(LENGTH_MAX))), "");
    }

    proptest! {
        #[test]
        fn no_header_panics_or_hangs(header in "\\PC{0,200}") {
            parse(&header);
        }

        #[test]
        fn no_near_miss_panics_or_hangs(header in "(Bearer|Basic|realm|scope|[=\", \\\\éa]){0,60}") {
            parse(&header);
        }

        #[test]
        fn what_is_quoted_is_read_back(realm in "[ -~]{1,60}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let challenge = parse(&format!("Bearer service=s, realm=\"{quoted}\""));
            prop_assert_eq!(challenge, vec![Challenge::Bearer {
                realm,
                service: Some("s".to_owned()),
                scope: None,
                error: None,
            }]);
        }
    }
}
