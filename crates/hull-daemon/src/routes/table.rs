//! Which route a request means. Pure, so the whole API is a table in the tests.

use http::Method;

/// A route, with what its path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// Something hull does.
    System(System),
    /// A guest, or all of them.
    Container(Container),
    /// A further process of a guest, by its id.
    Exec(Exec, String),
    /// An image, or all of them.
    Image(Image),
    /// A volume, or all of them.
    Volume(Volume),
    /// A network, or all of them.
    Network(Network),
    /// Part of Docker's API that hull does not do yet: what it would be.
    Unsupported(&'static str),
    /// Part of Docker's API that needs a swarm, which hull never is in.
    Swarm,
    /// Not part of the API, or not with this method.
    Unknown,
}

/// Routes about the daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum System {
    Ping,
    Version,
    Info,
    Events,
    DiskUsage,
}

/// Routes about guests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Container {
    List,
    Create,
    Prune,
    /// hull's own.
    AllStats,
    /// An image of one, which the query names.
    Commit,
    One(ContainerAction, String),
}

/// What to do with one guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ContainerAction {
    Inspect,
    Explain,
    Top,
    Stats,
    Logs,
    Start,
    Stop,
    Restart,
    Kill,
    Rename,
    Update,
    Pause,
    Unpause,
    Wait,
    Attach,
    Resize,
    Exec,
    Remove,
    /// What a path is.
    Stat,
    /// A path's archive.
    Pack,
    /// An archive to a path.
    Unpack,
    Changes,
    Export,
}

/// What to do with one exec.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exec {
    Start,
    Resize,
    Inspect,
}

/// Routes about images.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Image {
    List,
    /// Pull or import.
    Create,
    Load,
    Prune,
    /// Several, named in the query.
    SaveMany,
    Save(String),
    Inspect(String),
    History(String),
    Tag(String),
    Remove(String),
}

/// Routes about volumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Volume {
    List,
    Create,
    Prune,
    Inspect(String),
    Remove(String),
}

/// Routes about networks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Network {
    List,
    Inspect(String),
}

/// The route of `method` on `path`: decoded, without a version, beginning with a slash.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let Some(path) = path.strip_prefix('/') else { return Route::Unknown };
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["containers", rest @ ..] => containers(method.as_str(), rest),
        ["exec", rest @ ..] => exec(method.as_str(), rest),
        ["images", rest @ ..] => images(method.as_str(), rest),
        ["volumes", rest @ ..] => volumes(method.as_str(), rest),
        ["networks", rest @ ..] => networks(method.as_str(), rest),
        ["hull", rest @ ..] => own(method.as_str(), rest),
        rest => system(method.as_str(), rest),
    }
}

fn system(method: &str, path: &[&str]) -> Route {
    match (method, path) {
        ("GET" | "HEAD", ["_ping"]) => Route::System(System::Ping),
        ("GET", ["version"]) => Route::System(System::Version),
        ("GET", ["info"]) => Route::System(System::Info),
        ("GET", ["events"]) => Route::System(System::Events),
        ("GET", ["system", "df"]) => Route::System(System::DiskUsage),
        ("POST", ["auth"]) => Route::Unsupported("checking credentials with a registry"),
        ("POST", ["build"] | ["build", "prune" | "cancel"]) => {
            Route::Unsupported("building images")
        }
        ("POST", ["commit"]) => Route::Container(Container::Commit),
        ("POST", ["session"] | ["grpc"]) => Route::Unsupported("BuildKit"),
        ("GET", ["distribution", .., "json"]) => {
            Route::Unsupported("asking a registry about an image without pulling it")
        }
        (_, ["plugins", ..]) => Route::Unsupported("plugins"),
        (_, ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", ..]) => Route::Swarm,
        _ => Route::Unknown,
    }
}

/// What Docker's API has no words for.
fn own(method: &str, path: &[&str]) -> Route {
    match (method, path) {
        ("GET", ["containers", "stats"]) => Route::Container(Container::AllStats),
        _ => Route::Unknown,
    }
}

fn containers(method: &str, path: &[&str]) -> Route {
    use ContainerAction as A;
    let one = |action, name: &[&str]| match name.join("/") {
        name if name.is_empty() => Route::Unknown,
        name => Route::Container(Container::One(action, name)),
    };
    match (method, path) {
        ("GET", ["json"]) => Route::Container(Container::List),
        ("POST", ["create"]) => Route::Container(Container::Create),
        ("POST", ["prune"]) => Route::Container(Container::Prune),
        ("GET", [name @ .., "json"]) => one(A::Inspect, name),
        ("GET", [name @ .., "explain"]) => one(A::Explain, name),
        ("GET", [name @ .., "top"]) => one(A::Top, name),
        ("GET", [name @ .., "stats"]) => one(A::Stats, name),
        ("GET", [name @ .., "logs"]) => one(A::Logs, name),
        ("POST", [name @ .., "start"]) => one(A::Start, name),
        ("POST", [name @ .., "stop"]) => one(A::Stop, name),
        ("POST", [name @ .., "restart"]) => one(A::Restart, name),
        ("POST", [name @ .., "kill"]) => one(A::Kill, name),
        ("POST", [name @ .., "rename"]) => one(A::Rename, name),
        ("POST", [name @ .., "pause"]) => one(A::Pause, name),
        ("POST", [name @ .., "unpause"]) => one(A::Unpause, name),
        ("POST", [name @ .., "wait"]) => one(A::Wait, name),
        ("POST", [name @ .., "attach"]) => one(A::Attach, name),
        ("POST", [name @ .., "resize"]) => one(A::Resize, name),
        ("POST", [name @ .., "exec"]) => one(A::Exec, name),
        ("POST", [name @ .., "update"]) => one(A::Update, name),
        ("GET", [name @ .., "changes"]) => one(A::Changes, name),
        ("GET", [name @ .., "export"]) => one(A::Export, name),
        ("GET", [_, .., "attach", "ws"]) => Route::Unsupported("attaching by WebSocket"),
        ("HEAD", [name @ .., "archive"]) => one(A::Stat, name),
        ("GET", [name @ .., "archive"]) => one(A::Pack, name),
        ("PUT", [name @ .., "archive"]) => one(A::Unpack, name),
        ("GET" | "POST", [_, .., "checkpoints"]) | ("DELETE", [_, .., "checkpoints", _]) => {
            Route::Unsupported("checkpoints")
        }
        ("DELETE", name) => one(A::Remove, name),
        _ => Route::Unknown,
    }
}

fn exec(method: &str, path: &[&str]) -> Route {
    match (method, path) {
        ("POST", [id, "start"]) => Route::Exec(Exec::Start, (*id).to_owned()),
        ("POST", [id, "resize"]) => Route::Exec(Exec::Resize, (*id).to_owned()),
        ("GET", [id, "json"]) => Route::Exec(Exec::Inspect, (*id).to_owned()),
        _ => Route::Unknown,
    }
}

fn images(method: &str, path: &[&str]) -> Route {
    let one = |action: fn(String) -> Image, name: &[&str]| match name.join("/") {
        name if name.is_empty() => Route::Unknown,
        name => Route::Image(action(name)),
    };
    match (method, path) {
        ("GET", ["json"]) => Route::Image(Image::List),
        ("POST", ["create"]) => Route::Image(Image::Create),
        ("POST", ["load"]) => Route::Image(Image::Load),
        ("POST", ["prune"]) => Route::Image(Image::Prune),
        ("GET", ["get"]) => Route::Image(Image::SaveMany),
        ("GET", ["search"]) => Route::Unsupported("searching a registry"),
        ("GET", [name @ .., "get"]) => one(Image::Save, name),
        ("GET", [name @ .., "json"]) => one(Image::Inspect, name),
        ("GET", [name @ .., "history"]) => one(Image::History, name),
        ("POST", [name @ .., "tag"]) => one(Image::Tag, name),
        ("POST", [_, .., "push"]) => Route::Unsupported("pushing images"),
        ("GET", [_, .., "attestations"]) => Route::Unsupported("attestations of images"),
        ("DELETE", name) => one(Image::Remove, name),
        _ => Route::Unknown,
    }
}

fn volumes(method: &str, path: &[&str]) -> Route {
    match (method, path) {
        ("GET", []) => Route::Volume(Volume::List),
        ("POST", ["create"]) => Route::Volume(Volume::Create),
        ("POST", ["prune"]) => Route::Volume(Volume::Prune),
        ("GET", [name]) if !name.is_empty() => Route::Volume(Volume::Inspect((*name).to_owned())),
        ("DELETE", [name]) if !name.is_empty() => Route::Volume(Volume::Remove((*name).to_owned())),
        ("PUT", [_]) => Route::Unsupported("changing volumes of a cluster"),
        _ => Route::Unknown,
    }
}

fn networks(method: &str, path: &[&str]) -> Route {
    const OWN: &str = "making networks and connecting containers to them";
    match (method, path) {
        ("GET", []) => Route::Network(Network::List),
        ("GET", [name]) if !name.is_empty() => Route::Network(Network::Inspect((*name).to_owned())),
        ("POST", ["create" | "prune"] | [_, "connect" | "disconnect"]) | ("DELETE", [_]) => {
            Route::Unsupported(OWN)
        }
        _ => Route::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        format!("{:?}", route(&method.parse().unwrap(), path))
    }

    #[test]
    fn requests_mean_their_routes() {
        for (request, want) in [
            ("GET /_ping", "System(Ping)"),
            ("HEAD /_ping", "System(Ping)"),
            ("GET /version", "System(Version)"),
            ("GET /info", "System(Info)"),
            ("GET /events", "System(Events)"),
            ("GET /system/df", "System(DiskUsage)"),
            ("GET /containers/json", "Container(List)"),
            ("POST /containers/create", "Container(Create)"),
            ("POST /containers/prune", "Container(Prune)"),
            ("GET /containers/a/json", "Container(One(Inspect, \"a\"))"),
            ("GET /containers/json/json", "Container(One(Inspect, \"json\"))"),
            ("GET /containers//a/json", "Container(One(Inspect, \"/a\"))"),
            ("GET /containers/a/top", "Container(One(Top, \"a\"))"),
            ("GET /containers/a/logs", "Container(One(Logs, \"a\"))"),
            ("GET /containers/a/stats", "Container(One(Stats, \"a\"))"),
            ("GET /hull/containers/stats", "Container(AllStats)"),
            ("POST /containers/a/start", "Container(One(Start, \"a\"))"),
            ("POST /containers/create/start", "Container(One(Start, \"create\"))"),
            ("POST /containers/a/stop", "Container(One(Stop, \"a\"))"),
            ("POST /containers/a/restart", "Container(One(Restart, \"a\"))"),
            ("POST /containers/a/kill", "Container(One(Kill, \"a\"))"),
            ("POST /containers/a/rename", "Container(One(Rename, \"a\"))"),
            ("POST /containers/a/pause", "Container(One(Pause, \"a\"))"),
            ("POST /containers/a/unpause", "Container(One(Unpause, \"a\"))"),
            ("POST /containers/a/wait", "Container(One(Wait, \"a\"))"),
            ("POST /containers/a/attach", "Container(One(Attach, \"a\"))"),
            ("POST /containers/a/resize", "Container(One(Resize, \"a\"))"),
            ("POST /containers/a/exec", "Container(One(Exec, \"a\"))"),
            ("DELETE /containers/a", "Container(One(Remove, \"a\"))"),
            ("HEAD /containers/a/archive", "Container(One(Stat, \"a\"))"),
            ("GET /containers/a/archive", "Container(One(Pack, \"a\"))"),
            ("PUT /containers/a/archive", "Container(One(Unpack, \"a\"))"),
            ("GET /containers/a/changes", "Container(One(Changes, \"a\"))"),
            ("GET /containers/a/export", "Container(One(Export, \"a\"))"),
            ("POST /commit", "Container(Commit)"),
            ("POST /exec/a/start", "Exec(Start, \"a\")"),
            ("POST /exec/a/resize", "Exec(Resize, \"a\")"),
            ("GET /exec/a/json", "Exec(Inspect, \"a\")"),
            ("GET /images/json", "Image(List)"),
            ("POST /images/create", "Image(Create)"),
            ("POST /images/load", "Image(Load)"),
            ("POST /images/prune", "Image(Prune)"),
            ("GET /images/get", "Image(SaveMany)"),
            ("GET /images/a/get", "Image(Save(\"a\"))"),
            ("GET /images/r:5/a/b:t/json", "Image(Inspect(\"r:5/a/b:t\"))"),
            ("GET /images/a/history", "Image(History(\"a\"))"),
            ("POST /images/a/b/tag", "Image(Tag(\"a/b\"))"),
            ("DELETE /images/a/b", "Image(Remove(\"a/b\"))"),
            ("GET /volumes", "Volume(List)"),
            ("POST /volumes/create", "Volume(Create)"),
            ("POST /volumes/prune", "Volume(Prune)"),
            ("GET /volumes/a", "Volume(Inspect(\"a\"))"),
            ("DELETE /volumes/a", "Volume(Remove(\"a\"))"),
            ("GET /networks", "Network(List)"),
            ("GET /networks/a", "Network(Inspect(\"a\"))"),
        ] {
            assert_eq!(of(request), want, "{request}");
        }
    }

    #[test]
    fn what_hull_does_not_do_yet_is_named() {
        for (request, want) in [
            ("POST /build", "building images"),
            ("POST /build/prune", "building images"),
            ("POST /auth", "checking credentials"),
            ("POST /session", "BuildKit"),
            ("POST /grpc", "BuildKit"),
            ("GET /distribution/a/b/json", "asking a registry"),
            ("GET /plugins", "plugins"),
            ("POST /plugins/a/enable", "plugins"),
            ("GET /containers/a/attach/ws", "WebSocket"),
            ("DELETE /containers/a/checkpoints/b", "checkpoints"),
            ("GET /images/search", "searching"),
            ("POST /images/a/b/push", "pushing"),
            ("POST /networks/create", "networks"),
            ("POST /networks/a/connect", "networks"),
            ("DELETE /networks/a", "networks"),
            ("PUT /volumes/a", "cluster"),
        ] {
            let found = of(request);
            assert!(found.starts_with("Unsupported(") && found.contains(want), "{request} {found}");
        }
        for request in ["GET /swarm", "POST /swarm/init", "GET /services", "GET /nodes/a"] {
            assert_eq!(of(request), "Swarm", "{request}");
        }
    }

    #[test]
    fn everything_else_is_unknown_whatever_the_method() {
        for request in [
            "GET /",
            "GET /x",
            "POST /_ping",
            "GET /_ping/",
            "DELETE /containers",
            "DELETE /containers/",
            "GET /containers/a",
            "GET /containers/a/start",
            "HEAD /containers/a/json",
            "POST /containers/start",
            "GET /exec//x/json",
            "DELETE /images/",
            "PUT /images/a",
            "GET /volumes/",
            "GET /volumes/a/b",
            "GET /networks/",
            "PATCH /info",
            "OPTIONS /containers/json",
        ] {
            assert_eq!(of(request), "Unknown", "{request}");
        }
        assert_eq!(route(&Method::GET, ""), Route::Unknown);
    }
}
