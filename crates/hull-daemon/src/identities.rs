//! Which host ids guests get: the daemon's settings and what the host's files say, put together.

use std::fs;
use std::io;

use hull_model::id_range::{IdPool, IdPoolError, IdRange, Span};
use hull_model::namespace::UsersDefault;
use hull_model::subordinate::{Entry, NoPool, OWN_NAME, of_others, parse, pool_of, range_of};

use crate::config::{Settings, UsersSetting};

/// Docker's name for `userns-remap: default`.
const DOCKERS_NAME: &str = "dockremap";

/// The ids, decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identities {
    /// What guests get that ask for nothing.
    pub(crate) users: UsersDefault,
    /// Where ranges come from.
    pub(crate) pool: IdPool,
    /// Ids that are others', in the pool or not.
    pub(crate) taken: Vec<Span>,
}

/// The ids cannot be decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentitiesError {
    /// A file of the host is there and cannot be read.
    #[error("read {path}")]
    File { path: &'static str, source: io::Error },
    /// `hull` has ids that are no pool.
    #[error(transparent)]
    Entry(#[from] NoPool),
    /// `hull` has ids that are no pool.
    #[error("the entry \"{OWN_NAME}\" of /etc/subuid cannot be used")]
    Pool(#[from] IdPoolError),
    /// Fewer than one guest needs.
    #[error(
        "the entry \"{OWN_NAME}\" of /etc/subuid has {0} ids; hint: a container needs 65536, so \
         give it a multiple of that"
    )]
    Small(u64),
    /// Nobody's.
    #[error(
        "userns-remap {0:?}: no such ids; hint: give the user a line NAME:START:COUNT in \
         /etc/subuid and in /etc/subgid"
    )]
    Remap(String),
    /// Other people's.
    #[error(
        "userns-pool: its ids overlap {} - {}, which /etc/subuid or /etc/subgid give to somebody \
         else; hint: choose other ones", .0.start, .0.end - 1
    )]
    Overlap(Span),
}

/// The host's files that say whose ids are whose.
#[derive(Debug, Default)]
struct Files {
    passwd: String,
    group: String,
    subuid: String,
    subgid: String,
}

impl Identities {
    /// Reads the host's files and decides.
    pub(crate) fn read(settings: &Settings) -> Result<Self, IdentitiesError> {
        let files = Files {
            passwd: text_of("/etc/passwd")?,
            group: text_of("/etc/group")?,
            subuid: text_of("/etc/subuid")?,
            subgid: text_of("/etc/subgid")?,
        };
        decide(&settings.users, settings.id_pool, &files)
    }
}

fn text_of(path: &'static str) -> Result<String, IdentitiesError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(IdentitiesError::File { path, source }),
    }
}

fn decide(
    users: &UsersSetting,
    pool: Option<IdPool>,
    files: &Files,
) -> Result<Identities, IdentitiesError> {
    let (uids, gids) = (parse(&files.subuid), parse(&files.subgid));
    let mut taken = of_others(&uids, OWN_NAME);
    taken.extend(of_others(&gids, OWN_NAME));
    let users = match users {
        UsersSetting::Own => UsersDefault::Own,
        UsersSetting::Host => UsersDefault::Host,
        UsersSetting::Remap(who) => remap(who, (&uids, &gids), files)?,
    };
    let pool = match pool {
        Some(pool) => {
            let overlap = taken.iter().find(|span| span.overlaps(&pool.span()));
            overlap.map_or(Ok(()), |span| Err(IdentitiesError::Overlap(*span)))?;
            pool
        }
        None => own_pool(&uids, &gids)?,
    };
    Ok(Identities { users, pool, taken })
}

fn own_pool(uids: &[Entry], gids: &[Entry]) -> Result<IdPool, IdentitiesError> {
    let Some(Span { start, end }) = pool_of(uids, gids, OWN_NAME)? else {
        return Ok(IdPool::default());
    };
    let (length, unit) = (end - start, u64::from(IdRange::SIZE));
    let numbers = (u32::try_from(start), u32::try_from(length / unit));
    match numbers {
        (Ok(base), Ok(count)) if count > 0 => Ok(IdPool::new(base, count)?),
        _ => Err(IdentitiesError::Small(length)),
    }
}

/// Docker's `userns-remap`: `default`, `USER`, `UID`, or one of them with `:GROUP` or `:GID`.
fn remap(
    who: &str,
    (uids, gids): (&[Entry], &[Entry]),
    files: &Files,
) -> Result<UsersDefault, IdentitiesError> {
    let (user, group) = match who {
        "default" => (DOCKERS_NAME, DOCKERS_NAME),
        who => who.split_once(':').unwrap_or((who, who)),
    };
    // An owner of ids is written by name or by number, here and there.
    let user_names = names(user, &files.passwd);
    let group_names = if group == user { user_names.clone() } else { names(group, &files.group) };
    match range_of(uids, gids, [&user_names, &group_names]) {
        Some(range) => Ok(UsersDefault::Shared(range)),
        // Docker would make such a user now. Ranges of their own are better than one for all.
        None if who == "default" => Ok(UsersDefault::Own),
        None => Err(IdentitiesError::Remap(who.to_owned())),
    }
}

/// `who` and its other name by `passwd(5)` or `group(5)`.
fn names(who: &str, file: &str) -> Vec<String> {
    let mut all = vec![who.to_owned()];
    for line in file.lines() {
        let fields: Vec<&str> = line.splitn(4, ':').collect();
        match fields[..] {
            [name, _, number, ..] if name == who => all.push(number.to_owned()),
            [name, _, number, ..] if number == who => all.push(name.to_owned()),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(subuid: &str, subgid: &str) -> Files {
        Files {
            passwd: "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n".to_owned(),
            group: "staff:x:50:alice\n".to_owned(),
            subuid: subuid.to_owned(),
            subgid: subgid.to_owned(),
        }
    }

    #[test]
    fn the_pool_is_configured_or_hulls_own_or_the_default() {
        let pool = |given, subuid: &str, subgid: &str| {
            decide(&UsersSetting::Own, given, &files(subuid, subgid))
                .map(|ids| (ids.pool.span().start, ids.pool.span().end))
                .map_err(|error| error.to_string())
        };
        let default = IdPool::default().span();
        assert_eq!(pool(None, "", ""), Ok((default.start, default.end)));
        let own = "alice:100000:65536\nhull:1000000:150000\n";
        assert_eq!(pool(None, own, own), Ok((1_000_000, 1_131_072)));
        let given = Some(IdPool::new(2_000_000, 1).unwrap());
        assert_eq!(pool(given, own, own), Ok((2_000_000, 2_065_536)));
        let near = Some(IdPool::new(65_536, 1).unwrap());
        assert!(pool(near, own, own).unwrap_err().contains("overlap 100000 - 165535"));
        assert!(pool(None, own, "").unwrap_err().contains("/etc/subgid"));
        let small = "hull:1000000:65535\n";
        assert!(pool(None, small, small).unwrap_err().contains("65535 ids"));
    }

    #[test]
    fn userns_remap_means_what_it_means_to_docker() {
        let entries =
            ("alice:100000:65536\n7:300000:10\n", "alice:200000:65536\nstaff:400000:20\n");
        let range = |who: &str| {
            let users = UsersSetting::Remap(who.to_owned());
            decide(&users, None, &files(entries.0, entries.1))
                .map(|ids| match ids.users {
                    UsersDefault::Shared(range) => (range.base, range.gid_base, range.size),
                    UsersDefault::Own | UsersDefault::Host => (0, 0, 0),
                })
                .map_err(|error| error.to_string())
        };
        assert_eq!(range("alice"), Ok((100_000, 200_000, 65_536)));
        assert_eq!(range("1000:staff"), Ok((100_000, 400_000, 20)));
        assert_eq!(range("7:50"), Ok((300_000, 400_000, 10)));
        assert_eq!(range("default"), Ok((0, 0, 0)));
        assert!(range("bob").unwrap_err().contains("/etc/subuid"));
    }

    #[test]
    fn other_peoples_ids_are_taken() {
        let ids = decide(
            &UsersSetting::Own,
            None,
            &files("a:5:5\nhull:100000:65536", "b:9:9\nhull:100000:65536"),
        );
        assert_eq!(ids.unwrap().taken.len(), 2);
    }
}
