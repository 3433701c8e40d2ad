//! What fuzz targets need to reach; nobody else does.

use crate::process::users;

/// The ids (user, group, further groups) of `user` with `groups`, looked up in these two files.
pub fn user(user: &str, groups: &[String], files: (&str, &str)) -> Option<Vec<u32>> {
    let found = users::find_in(user, groups, files).ok()?;
    Some([found.uid, found.gid].into_iter().chain(found.groups).collect())
}
