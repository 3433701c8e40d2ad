//! Parameters of the requests that change one container.

use hull_model::guest::StopTimeout;
use hull_model::name::Name;
use hull_model::signal::Signal;

use super::create::read_name;
use super::life::read_stop_timeout;
use crate::query::Query;
use crate::refusal::{Refusal, Result, quote};

/// `signal` and `t` (seconds) of stop and restart; what is not said is the container's own.
pub fn stop(query: &Query) -> Result<(Option<Signal>, Option<StopTimeout>)> {
    let signal = match query.text("signal") {
        "" => None,
        text => Some(read_signal(text)?),
    };
    Ok((signal, query.number("t")?.map(read_stop_timeout)))
}

/// `signal` of kill; SIGKILL where it is not said.
pub fn kill(query: &Query) -> Result<Signal> {
    match query.text("signal") {
        "" => Ok(Signal::KILL),
        text => read_signal(text),
    }
}

fn read_signal(text: &str) -> Result<Signal> {
    let bad = |_bad_signal| Refusal::invalid(format_args!("invalid signal: {}", quote(text)));
    text.parse().map_err(bad)
}

/// `name` of rename.
pub fn rename(query: &Query) -> Result<Name> {
    match query.text("name") {
        "" => Err(Refusal::invalid("Neither old nor new names may be empty")),
        text => read_name(text),
    }
}

/// `h` and `w` of resize: rows and columns.
pub fn resize(query: &Query) -> Result<(u16, u16)> {
    let side = |name: &str, what: &str| {
        let text = query.text(name);
        text.parse::<u16>().map_err(|_out_of_range| {
            Refusal::invalid(format_args!(
                "invalid resize {what} {:?}: expected a number from 0 to 65535",
                quote(text)
            ))
        })
    };
    Ok((side("h", "height")?, side("w", "width")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text))
    }

    #[test]
    fn parameters_are_checked() {
        let (signal, timeout) = stop(&query("signal=INT&t=5")).unwrap();
        assert_eq!(signal.unwrap().number(), 2);
        assert_eq!(timeout, Some(StopTimeout::After(Duration::from_secs(5))));
        assert_eq!(stop(&query("")), Ok((None, None)));
        assert_eq!(stop(&query("t=-1")).unwrap().1, Some(StopTimeout::Never));
        assert!(stop(&query("t=x")).is_err());
        assert_eq!(kill(&query("")), Ok(Signal::KILL));
        assert_eq!(kill(&query("signal=FOO")).unwrap_err().message, "invalid signal: FOO");
        assert_eq!(rename(&query("name=/web")).unwrap().as_str(), "web");
        assert_eq!(
            rename(&query("")).unwrap_err().message,
            "Neither old nor new names may be empty"
        );
        assert!(
            rename(&query("name=a/b"))
                .unwrap_err()
                .message
                .starts_with("Invalid container name (a/b)")
        );
        assert_eq!(resize(&query("h=24&w=80")), Ok((24, 80)));
        for bad in ["", "h=1", "h=-1&w=1", "h=1&w=65536", "h=x&w=1"] {
            assert!(resize(&query(bad)).is_err(), "{bad}");
        }
    }
}
