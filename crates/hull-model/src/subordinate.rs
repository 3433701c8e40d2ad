//! Ids that the host's administrator has given to somebody: `/etc/subuid` and `/etc/subgid`.

use crate::id_range::{IdRange, Span};

/// The name under which an administrator can give hull its ids.
pub const OWN_NAME: &str = "hull";

/// One line of `subuid(5)` or `subgid(5)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Whose they are: a user's name or number.
    pub owner: String,
    /// Which.
    pub span: Span,
}

/// The entries of a file's text. What is no entry is passed over, as `newuidmap(1)` does.
pub fn parse(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.trim().split(':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        if owner.is_empty() || owner.starts_with('#') || fields.next().is_some() {
            return None;
        }
        let (start, count) = (start.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        let span = Span { start: start.into(), end: u64::from(start) + u64::from(count) };
        (count > 0).then(|| Entry { owner: owner.to_owned(), span })
    };
    text.lines().filter_map(entry).collect()
}

/// The ids that are others' than `own`.
pub fn of_others(entries: &[Entry], own: &str) -> Vec<Span> {
    entries.iter().filter(|entry| entry.owner != own).map(|entry| entry.span).collect()
}

/// The first users and the first groups of `names` (a user by name and by number), as one range:
/// what `userns-remap` means. As many as there are of both.
pub fn range_of(users: &[Entry], groups: &[Entry], names: [&[String]; 2]) -> Option<IdRange> {
    let first = |entries: &[Entry], names: &[String]| {
        entries.iter().find(|entry| names.contains(&entry.owner)).map(|entry| entry.span)
    };
    let (uids, gids) = (first(users, names[0])?, first(groups, names[1])?);
    let size = (uids.end - uids.start).min(gids.end - gids.start);
    Some(IdRange {
        base: u32::try_from(uids.start).ok()?,
        gid_base: u32::try_from(gids.start).ok()?,
        size: u32::try_from(size).ok()?,
        kept: None,
    })
}

/// The first range that `name` has in both files with the same numbers: users and groups of a pool
/// are alike. `None` if it has no entry at all; an error if it has, but none of this kind.
pub fn pool_of(users: &[Entry], groups: &[Entry], name: &str) -> Result<Option<Span>, NoPool> {
    let own = |entries: &[Entry]| -> Vec<Span> {
        entries.iter().filter(|entry| entry.owner == name).map(|entry| entry.span).collect()
    };
    let (users, groups) = (own(users), own(groups));
    match users.iter().find(|span| groups.contains(span)) {
        Some(span) => Ok(Some(*span)),
        None if users.is_empty() && groups.is_empty() => Ok(None),
        None => Err(NoPool),
    }
}

/// The entries of a name in the two files do not agree.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the entries \"{OWN_NAME}\" of /etc/subuid and /etc/subgid name no range in common; hint: give \
     it the same START:COUNT in both, or take it out of both"
)]
pub struct NoPool;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "alice:100000:65536\n# hull:1:1\n\nhull:200000:131072\n1000:400000:10\n\
                        bad\nbob:x:1\nzero:5:0\nlong:1:2:3\nbig:4294967290:4294967295\n";

    #[test]
    fn entries_are_read_and_nonsense_is_passed_over() {
        let entries = parse(TEXT);
        let owners: Vec<_> = entries.iter().map(|entry| entry.owner.as_str()).collect();
        assert_eq!(owners, ["alice", "hull", "1000", "big"]);
        assert_eq!(entries[0].span, Span { start: 100_000, end: 165_536 });
        assert_eq!(of_others(&entries, OWN_NAME).len(), 3);
    }

    #[test]
    fn a_users_range_is_found_by_name_or_number() {
        let (users, groups) = (parse(TEXT), parse("alice:500000:1000\nstaff:7000000:20\n"));
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let range = |user: &[&str], group: &[&str]| {
            range_of(&users, &groups, [&names(user), &names(group)])
                .map(|range| (range.base, range.gid_base, range.size))
        };
        assert_eq!(range(&["alice"], &["alice"]), Some((100_000, 500_000, 1_000)));
        assert_eq!(range(&["joe", "1000"], &["staff"]), Some((400_000, 7_000_000, 10)));
        assert_eq!(range(&["alice"], &["nobody"]), None);
    }

    #[test]
    fn hulls_own_entry_must_be_in_both_files() {
        let users = parse(TEXT);
        let pool = |groups: &str| pool_of(&users, &parse(groups), OWN_NAME);
        let span = Span { start: 200_000, end: 331_072 };
        assert_eq!(pool("hull:1:1\nhull:200000:131072\n"), Ok(Some(span)));
        assert_eq!(pool("hull:1:1\n"), Err(NoPool));
        assert_eq!(pool(""), Err(NoPool));
        assert_eq!(pool_of(&[], &[], OWN_NAME), Ok(None));
    }
}
