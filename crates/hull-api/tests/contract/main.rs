//! The answers of this crate against the published definitions, at each version there is one of.
//!
//! The definitions are beside the checkout (`../shared/specs/docker-api`); without them the tests
//! say so and pass.

#[cfg(test)]
mod fields;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod schema;

use hull_api::version::ApiVersion;
use schema::Specification;
use serde_json::Value;

/// Checks what `answer` gives for the response of a route at every version.
#[cfg(test)]
fn check(method: &str, path: &str, status: u16, answer: impl Fn(ApiVersion) -> Vec<Value>) {
    let Some(specifications) = Specification::all() else { return };
    let mut failures = Vec::new();
    for specification in specifications {
        let version: ApiVersion = specification.version.parse().unwrap();
        let Some(schema) = specification.response(method, path, status) else { continue };
        for value in answer(version) {
            for failure in specification.check(schema, &value) {
                failures.push(format!("{version} {method} {path}: {failure}"));
            }
            for unknown in schema::unknown_names(specifications, &value) {
                failures.push(format!("{version} {method} {path}: no version knows {unknown}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn containers_are_inspected_as_defined() {
    check("get", "/containers/{id}/json", 200, fixture::inspects);
}

#[test]
fn containers_are_listed_as_defined() {
    check("get", "/containers/json", 200, |version| vec![fixture::list(version)]);
}

#[test]
fn small_answers_about_containers_are_as_defined() {
    use hull_api::container::{create, prune, top, wait};
    let made = || create::CreateResponse { id: "a".to_owned(), warnings: Vec::new() };
    check("post", "/containers/create", 201, |_| vec![fixture::json(&made())]);
    check("post", "/containers/prune", 200, |_| {
        vec![
            fixture::json(&prune::write(vec!["a".to_owned()], 5)),
            fixture::json(&prune::write(vec![], 0)),
        ]
    });
    check("get", "/containers/{id}/top", 200, |_| {
        vec![fixture::json(&top::write(vec!["PID".to_owned()], vec![vec!["1".to_owned()]]))]
    });
    check("post", "/containers/{id}/wait", 200, |_| {
        vec![fixture::json(&wait::write(0, None)), fixture::json(&wait::write(125, Some("no")))]
    });
}

#[test]
fn execs_are_as_defined() {
    check("get", "/exec/{id}/json", 200, |_| fixture::execs());
    check("post", "/containers/{id}/exec", 201, |_| vec![fixture::exec_created()]);
}

#[test]
fn images_are_as_defined() {
    check("get", "/images/json", 200, fixture::image_lists);
    check("get", "/images/{name}/json", 200, fixture::image_inspects);
    check("get", "/images/{name}/history", 200, |_| vec![fixture::history()]);
    check("delete", "/images/{name}", 200, |_| vec![fixture::deleted()]);
    check("post", "/images/prune", 200, |_| vec![fixture::images_pruned()]);
}

#[test]
fn volumes_are_as_defined() {
    check("get", "/volumes", 200, |_| vec![fixture::volume_list()]);
    check("get", "/volumes/{name}", 200, |_| vec![fixture::volume()]);
    check("post", "/volumes/create", 201, |_| vec![fixture::volume()]);
    check("post", "/volumes/prune", 200, |_| vec![fixture::volumes_pruned()]);
}

#[test]
fn networks_are_as_defined() {
    check("get", "/networks", 200, |version| vec![fixture::network_list(version)]);
    check("get", "/networks/{id}", 200, |version| vec![fixture::network(version)]);
}

#[test]
fn the_system_is_as_defined() {
    check("get", "/version", 200, |_| vec![fixture::version()]);
    check("get", "/info", 200, |version| vec![fixture::info(version)]);
    check("get", "/events", 200, fixture::events);
    check("get", "/system/df", 200, fixture::disk_usage);
    check("post", "/auth", 200, |_| vec![fixture::json(&hull_api::auth::accepted(String::new()))]);
}

#[test]
fn errors_are_as_defined() {
    let body = hull_api::refusal::ErrorBody { message: "no" };
    check("get", "/containers/{id}/json", 404, |_| vec![fixture::json(&body)]);
}
