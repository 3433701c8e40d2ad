//! What the tests share: a scripted server for faults, the real registry, small images.

pub(crate) mod image;
pub(crate) mod real;
pub(crate) mod scripted;

use std::time::Duration;

use hull_model::reference::Reference;
use hull_registry::{Client, Config, Credentials, Repository, Retry, Timeouts};

/// A configuration that does not let a test wait for long.
pub(crate) fn quick() -> Config {
    let second = Duration::from_secs(1);
    Config {
        retry: Retry { repeats: 3, base: Duration::from_millis(5), longest: second },
        timeouts: Timeouts { connect: second * 5, answer: second, stall: second / 2 },
        ..Config::default()
    }
}

pub(crate) fn repository(config: &Config, reference: &str) -> Repository {
    repository_as(config, reference, Credentials::Anonymous)
}

pub(crate) fn repository_as(config: &Config, reference: &str, who: Credentials) -> Repository {
    let reference = Reference::parse(reference).unwrap();
    Client::new(config).unwrap().repository(&reference, who).unwrap()
}

pub(crate) fn password(username: &str, password: &str) -> Credentials {
    Credentials::Basic { username: username.to_owned(), password: password.to_owned() }
}

/// The error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
