//! Users and groups by name or number, from the guest's own `/etc/passwd` and `/etc/group`.
//!
//! Both files are hostile: read up to a bound, line by line, and what does not parse is skipped.
//! The rules are Docker's (moby `sys/user`, `GetExecUser`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use rustix::fs::{FileType, Mode, OFlags};

use crate::failure::{Failure, Kind};
use crate::plan::Identity;
use crate::weakened::{Defence, stands};

/// The most that is read of either file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Longer lines are skipped.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The most groups one user gets: the kernel's own limit, `NGROUPS_MAX`.
const GROUPS_MAX: usize = 65_536;
/// The highest id that Docker accepts.
const ID_MAX: u32 = 0x7fff_ffff;

/// Who a process is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, the first one included.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Who `identity` is.
pub(crate) fn find(identity: &Identity) -> Result<User, Failure> {
    match identity {
        Identity::Named { user, groups } => find_in(user, groups, ("/etc/passwd", "/etc/group")),
        Identity::Numbers { uid, gid, groups } => Ok(numbered((*uid, *gid), groups, "/etc/passwd")),
    }
}

/// Just these ids; the file only says where home is.
fn numbered((uid, gid): (u32, u32), groups: &[u32], passwd: &str) -> User {
    let mut home = None;
    each_line(passwd, |fields| {
        let [_, _, number, _, _, path] = fields.get(..6)? else { return None };
        (id(number)? == uid).then(|| home = Some((*path).to_owned()))
    });
    let home = home.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned());
    User { uid, gid, groups: groups.to_vec(), home }
}

/// [`find`], in these files instead of the guest's.
pub(crate) fn find_in(
    text: &str,
    further: &[String],
    files: (&str, &str),
) -> Result<User, Failure> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user);
    let mut entry = None;
    each_line(files.0, |fields| {
        let [name, _, uid, gid, _, home] = fields.get(..6)? else { return None };
        let (uid, gid) = (id(uid)?, id(gid)?);
        if number.map_or(*name == user, |number| number == uid) {
            entry = Some((uid, gid, (*name).to_owned(), (*home).to_owned()));
        }
        entry.as_ref().map(drop)
    });
    let (uid, mut gid, name, home) = match (entry, number) {
        (Some(entry), _) => entry,
        (None, Some(uid)) => (uid, 0, String::new(), String::new()),
        (None, None) => return Err(unknown("user", user, "passwd")),
    };
    let mut groups = Vec::new();
    if group.is_empty() {
        each_line(files.1, |fields| {
            let [_, _, gid, members] = fields.get(..4)? else { return None };
            let gid = id(gid)?;
            if !name.is_empty() && members.split(',').any(|member| member == name) {
                groups.push(gid);
            }
            (groups.len() >= GROUPS_MAX).then_some(())
        });
    } else {
        gid = find_group(group, files.1)?;
    }
    groups.insert(0, gid);
    for group in further {
        groups.push(find_group(group, files.1)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|gid| seen.insert(*gid));
    groups.truncate(GROUPS_MAX);
    let home = if home.is_empty() { "/".to_owned() } else { home };
    Ok(User { uid, gid, groups, home })
}

fn find_group(group: &str, file: &str) -> Result<u32, Failure> {
    let number = id(group);
    let mut found = None;
    each_line(file, |fields| {
        let [name, _, gid] = fields.get(..3)? else { return None };
        let gid = id(gid)?;
        if number.map_or(*name == group, |number| number == gid) {
            found = Some(gid);
        }
        found.map(drop)
    });
    found.or(number).ok_or_else(|| unknown("group", group, "group"))
}

fn unknown(what: &str, name: &str, file: &str) -> Failure {
    let message = match name.parse::<i64>() {
        Ok(_) => "uids and gids must be in range 0-2147483647".to_owned(),
        Err(_) => format!("unable to find {what} {name}: no matching entries in {file} file"),
    };
    Failure::new(Kind::NoSuchUser, message)
}

/// `text` as an id: digits only, in Docker's range.
fn id(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|id| *id <= ID_MAX)
}

/// Calls `each` with the fields of every line until it gives `Some`. A file that is missing, or
/// no regular file, has no lines.
fn each_line(file: &str, mut each: impl FnMut(&[&str]) -> Option<()>) {
    // Not blocking: it could be a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(file, flags, Mode::empty()) else { return };
    let regular = rustix::fs::fstat(&fd)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !regular {
        return;
    }
    let most = if stands(Defence::UserFiles) { FILE_BYTES_MAX } else { u64::MAX };
    let mut reader = BufReader::with_capacity(8 << 10, File::from(fd).take(most));
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line);
        if !read.is_ok_and(|length| length > 0) {
            return;
        }
        if line.last() != Some(&b'\n') && line.len() >= LINE_BYTES_MAX {
            if !skip_line(&mut reader) {
                return;
            }
            continue;
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let fields: Vec<&str> = text.trim_end().split(':').collect();
        if each(&fields).is_some() {
            return;
        }
    }
}

/// Reads past the end of the line; `false` at the end of the file.
fn skip_line(reader: &mut impl BufRead) -> bool {
    loop {
        let Ok(buffer) = reader.fill_buf() else { return false };
        if buffer.is_empty() {
            return false;
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                reader.consume(at + 1);
                return true;
            }
            None => {
                let length = buffer.len();
                reader.consume(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\n:::\nwww-data:x:33:33:w:/var/www:/x\n\
                          1234:x:77:78:odd:/odd:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwww-data:x:33:\nadm:x:4:www-data,root\nlog:x:5:other,www-data\nbad:x:no:www-data\n";

    fn say(passwd: &str, group: &str, user: &str, further: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(at("p"), passwd).unwrap();
        fs::write(at("g"), group).unwrap();
        let further: Vec<String> = further.iter().map(|&text| text.to_owned()).collect();
        match find_in(user, &further, (&at("p"), &at("g"))) {
            Ok(user) => format!("{}:{} {:?} {}", user.uid, user.gid, user.groups, user.home),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn users_and_groups_are_found_as_docker_does() {
        let say = |user, further: &[&str]| say(PASSWD, GROUP, user, further);
        assert_eq!(say("", &[]), "0:0 [0, 4] /root");
        assert_eq!(say("www-data", &[]), "33:33 [33, 4, 5] /var/www");
        assert_eq!(say("33", &[]), "33:33 [33, 4, 5] /var/www");
        assert_eq!(say("33:adm", &[]), "33:4 [4] /var/www");
        assert_eq!(say("1000", &[]), "1000:0 [0] /");
        assert_eq!(say("1000:1000", &["adm", "99"]), "1000:1000 [1000, 4, 99] /");
        assert_eq!(say(":5", &[]), "0:5 [5] /root");
        // A number is an id, even where a user has it as a name.
        assert_eq!(say("1234", &[]), "1234:0 [0] /");
        assert_eq!(say("foo", &[]), "unable to find user foo: no matching entries in passwd file");
        assert_eq!(
            say("0:foo", &[]),
            "unable to find group foo: no matching entries in group file"
        );
        assert_eq!(
            say("0", &["nope"]),
            "unable to find group nope: no matching entries in group file"
        );
        for bad in ["4294967295", "-1", "2147483648"] {
            assert_eq!(say(bad, &[]), "uids and gids must be in range 0-2147483647", "{bad}");
        }
    }

    #[test]
    fn hostile_files_end_nothing() {
        let long = format!("{}:x:5:5::/:\nme:x:6:6::/me:\n", "a".repeat(200_000));
        assert_eq!(say(&long, "", "me", &[]), "6:6 [6] /me");
        let endless = "x".repeat(9 << 20);
        assert!(say(&endless, &endless, "me", &[]).starts_with("unable to find user me"));
        assert_eq!(say("\u{0}\u{ff}:::::::", ":::", "0", &[]), "0:0 [0] /");
        assert!(find_in("me", &[], ("/dev/zero", "/dev/zero")).is_err());
        assert_eq!(find_in("7", &[], ("/none", "/none")).unwrap().home, "/");
    }
}
