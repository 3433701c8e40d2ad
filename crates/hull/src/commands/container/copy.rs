//! `cp`: files between a container and here.

mod place;
mod transfer;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use hull_api::container::archive::{PathStat, STAT_HEADER};
use hull_store::layer::{Owner, Rules};
use hull_store::tree::{IdMap, Ids};

use crate::client::call::Call;
use crate::client::{Client, body};
use crate::commands::image::archive::{copy as copy_out, to_terminal};
use crate::failure::Failure;
use crate::output;
use place::{Place, base, follow, join, local, parent, split};

/// Flags of `cp`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal
    /// is attached
    #[arg(short, long)]
    quiet: bool,
    /// A path here, - for standard input, or CONTAINER:PATH
    #[arg(value_name = "SRC_PATH")]
    source: String,
    /// A path here, - for standard output, or CONTAINER:PATH
    #[arg(value_name = "DEST_PATH")]
    target: String,
}

/// Copies.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let quiet = args.quiet || !io::stdout().is_terminal();
    match (split(&args.source), split(&args.target)) {
        (Place::Inside(..), Place::Inside(..)) => {
            Err(Failure::new("copying between containers is not supported"))
        }
        (Place::Here(_), Place::Here(_)) => {
            Err(Failure::new("must specify at least one container source"))
        }
        (Place::Inside(container, path), Place::Here(target)) => {
            Out { client, args, quiet, container, path }.run(target).await
        }
        (Place::Here(source), Place::Inside(container, path)) => {
            In { client, args, quiet, container, path }.run(source).await
        }
    }
}

/// From a container.
struct Out<'a> {
    client: &'a Client,
    args: &'a Args,
    quiet: bool,
    container: &'a str,
    path: &'a str,
}

impl Out<'_> {
    async fn run(&self, target: &str) -> Result<(), Failure> {
        let (mut path, mut name) = (self.path.to_owned(), base(self.path).to_owned());
        if self.args.follow_link
            && let Some(stat) = stat(self.client, self.container, &path).await?
            && stat.is_symlink()
        {
            path = follow(&path, &stat.link_target);
            name = base(&path).to_owned();
        }
        if target == "-" && to_terminal() {
            let text = "cowardly refusing to copy to a terminal. Use a file or redirect";
            return Err(Failure::new(text));
        }
        let call = Call::get(&["containers", self.container, "archive"]).query("path", &path);
        let answer = self.client.stream(call).await?;
        let stat = read_stat(answer.headers())?;
        if target == "-" {
            return copy_out(answer.into_body(), &mut io::stdout().lock()).await;
        }
        // With -L the name that was asked for stays.
        let wanted = base(self.path);
        let (directory, rename) = place_here(target, wanted, stat.is_directory())?;
        let rules = Rules {
            ids: Ids::default(),
            owner: self.owner(),
            keep_kinds: true,
            rename: Some((name.into_bytes(), rename.into_bytes())),
        };
        let bytes = transfer::receive(answer.into_body(), &directory, rules).await?;
        if !self.quiet {
            output::talk(format_args!("Successfully copied {} to {target}", size(bytes)));
        }
        Ok(())
    }

    /// Whoever copies owns the copy, unless owners are copied too.
    fn owner(&self) -> Owner {
        if self.args.archive {
            return Owner::Archived;
        }
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        Owner::Given(user.as_raw(), group.as_raw())
    }
}

/// To a container.
struct In<'a> {
    client: &'a Client,
    args: &'a Args,
    quiet: bool,
    container: &'a str,
    path: &'a str,
}

impl In<'_> {
    async fn run(&self, source: &str) -> Result<(), Failure> {
        let mut path = self.path.to_owned();
        let mut there = stat(self.client, self.container, &path).await?;
        if let Some(link) = there.as_ref().filter(|stat| stat.is_symlink()) {
            path = follow(&path, &link.link_target);
            there = stat(self.client, self.container, &path).await?;
        }
        if source == "-" {
            if !there.as_ref().is_some_and(PathStatExt::is_directory) {
                let (container, path) = (self.container, self.path);
                let text = format!("destination \"{container}:{path}\" must be a directory");
                return Err(Failure::new(text));
            }
            let body = body::stream(io::stdin())?;
            return self.send(&path, body).await;
        }
        let source_place = local(Path::new(source), self.args.follow_link)?;
        let is_directory = source_place.is_directory;
        let (directory, name) = match &there {
            Some(stat) if stat.is_directory() => (path.clone(), base(source).to_owned()),
            Some(_) if is_directory => return Err(Failure::new("cannot copy directory")),
            Some(_) => (parent(&path), base(&path).to_owned()),
            None if !is_directory && (path.ends_with('/') || path.ends_with("/.")) => {
                return Err(Failure::new("no such directory"));
            }
            None => (parent(&path), base(&path).to_owned()),
        };
        let users = if self.args.archive { IdMap::default() } else { IdMap::always(0) };
        let ids = Ids { users: users.clone(), groups: users };
        let (body, count) = transfer::offer(&source_place, name.into_bytes(), ids)?;
        self.send(&directory, body).await?;
        if !self.quiet {
            let bytes = count.load(std::sync::atomic::Ordering::Relaxed);
            let (container, path) = (self.container, join(&path));
            output::talk(format_args!("Successfully copied {} to {container}:{path}", size(bytes)));
        }
        Ok(())
    }

    async fn send(&self, directory: &str, body: body::Body) -> Result<(), Failure> {
        let call = Call::put(&["containers", self.container, "archive"])
            .query("path", directory)
            .query("noOverwriteDirNonDir", "true")
            .body(body, "application/x-tar");
        self.client.bytes(call).await?;
        Ok(())
    }
}

/// What a path in a container is; `None` if there is nothing.
async fn stat(client: &Client, container: &str, path: &str) -> Result<Option<PathStat>, Failure> {
    let call = Call::head(&["containers", container, "archive"]).query("path", path);
    match client.stream(call).await {
        Ok(answer) => {
            let stat = read_stat(answer.headers())?;
            answer.into_body().collect().await?;
            Ok(Some(stat))
        }
        // Which of the two is missing, the request that follows says.
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_stat(headers: &hyper::HeaderMap) -> Result<PathStat, Failure> {
    let value = headers.get(STAT_HEADER).and_then(|value| value.to_str().ok());
    value.and_then(PathStat::from_header).ok_or_else(|| {
        Failure::new(format!("the daemon's answer has no {STAT_HEADER} that can be read"))
    })
}

/// What a mode says.
trait PathStatExt {
    fn is_directory(&self) -> bool;
    fn is_symlink(&self) -> bool;
}

impl PathStatExt for PathStat {
    fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

/// The directory here that an archive goes into, and what its first name becomes.
fn place_here(target: &str, name: &str, is_directory: bool) -> Result<(PathBuf, String), Failure> {
    let path = Path::new(target);
    let asserts = target.ends_with('/') || target.ends_with("/.");
    if path.is_dir() {
        return Ok((path.to_owned(), name.to_owned()));
    }
    if path.exists() && is_directory {
        return Err(Failure::new("cannot copy directory"));
    }
    if !path.exists() && asserts && !is_directory {
        return Err(Failure::new("no such directory"));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    if !directory.is_dir() {
        let text = format!("invalid output path: directory {directory:?} does not exist");
        return Err(Failure::new(text));
    }
    Ok((directory.to_owned(), base(target).to_owned()))
}

fn size(bytes: u64) -> String {
    crate::output::units::size(i64::try_from(bytes).unwrap_or(i64::MAX))
}
