//! The part of a request's address behind the question mark.

use hull_model::time::Timestamp;

use crate::filters::Filters;
use crate::refusal::{Refusal, Result, quote};

/// The parameters of one request, decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads `a=1&b=2`; `None` and an empty text hold nothing. Wrong escapes stay as they are.
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self { pairs: pairs.into_owned().collect() }
    }

    /// The first value of `name`, as Go's `Form.Get`; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// All values of `name`, in order.
    pub fn values<'q>(&'q self, name: &str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether `name` is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// Docker's `BoolValue`: everything is true except nothing, `0`, `no`, `false` and `none`.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.text(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// As [`Query::flag`], with `default` where `name` is missing.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.has(name) { self.flag(name) } else { default }
    }

    /// A whole number; `None` where `name` is missing or empty.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_not_a_number| {
                Refusal::invalid(format_args!(
                    "invalid {name}: strconv.ParseInt: parsing {:?}: invalid syntax",
                    quote(text)
                ))
            }),
        }
    }

    /// An instant in one of Docker's notations; `None` where `name` is missing, empty or 0.
    pub fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>> {
        match self.text(name) {
            "" | "0" => Ok(None),
            text => Timestamp::parse_docker(text, now).map(Some).ok_or_else(|| {
                Refusal::invalid(format_args!("invalid value for {name:?}: {:?}", quote(text)))
            }),
        }
    }

    /// The `filters`, of which only `known` ones are taken.
    pub fn filters(&self, known: &[&str]) -> Result<Filters> {
        Filters::parse(self.text("filters"), known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_true_unless_they_say_no() {
        let flag = |text| Query::parse(Some(text)).flag("f");
        for no in ["", "f", "f=", "f=0", "f=no", "f=False", "f=none", "f=%20", "g=1"] {
            assert!(!flag(no), "{no}");
        }
        for yes in ["f=1", "f=true", "f=x", "f=-1", "f=1&f=0"] {
            assert!(flag(yes), "{yes}");
        }
        assert!(Query::default().flag_or("f", true));
    }

    #[test]
    fn values_are_decoded_and_numbers_checked() {
        let query = Query::parse(Some("a=%2Fx+y&n=-5&m=x&b=%zz&t=1700000000"));
        assert_eq!((query.text("a"), query.text("b"), query.text("c")), ("/x y", "%zz", ""));
        assert_eq!((query.number("n"), query.number("c")), (Ok(Some(-5)), Ok(None)));
        assert!(query.number("m").unwrap_err().message.contains("parsing \"x\""));
        assert_eq!(query.time("t", Timestamp::EPOCH).unwrap().unwrap().as_secs(), 1_700_000_000);
        assert!(query.time("m", Timestamp::EPOCH).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(text in "\\PC{0,60}") {
            Query::parse(Some(&text)).filters(&["a"]).ok();
        }
    }
}
