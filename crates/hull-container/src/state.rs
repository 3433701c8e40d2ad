//! What hooks and seccomp agents are told about a container: OCI's documents, written by hand since
//! the shim has no use for a JSON library.

use std::fmt::Write;

use crate::plan::State;

/// OCI's `state` of the container `id`, whose first process has the number `pid` on the host.
pub fn document(state: &State, id: &str, status: &str, pid: i32) -> String {
    let mut text = String::from("{\"ociVersion\":");
    string(&mut text, &state.version);
    text.push_str(",\"id\":");
    string(&mut text, id);
    text.push_str(",\"status\":");
    string(&mut text, status);
    // Writing to a string cannot fail.
    write!(text, ",\"pid\":{pid},\"bundle\":").unwrap_or_default();
    string(&mut text, &state.bundle.to_string_lossy());
    if !state.annotations.is_empty() {
        text.push_str(",\"annotations\":{");
        for (at, (key, value)) in state.annotations.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            string(&mut text, key);
            text.push(':');
            string(&mut text, value);
        }
        text.push('}');
    }
    text.push('}');
    text
}

/// OCI's `containerProcessState`, which goes to a seccomp agent together with the descriptor.
pub(crate) fn for_agent(state: &State, metadata: &str, pid: i32, container: &str) -> String {
    let mut text = String::from("{\"ociVersion\":");
    string(&mut text, &state.version);
    write!(text, ",\"fds\":[\"seccompFd\"],\"pid\":{pid}").unwrap_or_default();
    if !metadata.is_empty() {
        text.push_str(",\"metadata\":");
        string(&mut text, metadata);
    }
    text.push_str(",\"state\":");
    text.push_str(container);
    text.push('}');
    text
}

/// Appends `value` as a JSON string (RFC 8259, section 7).
fn string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                write!(text, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_whatever_is_in_them() {
        let state = State {
            version: "1.2.0".to_owned(),
            bundle: "/b\"\\".into(),
            annotations: vec![("a\n".to_owned(), "ü\u{1}".to_owned()), ("b".into(), "".into())],
        };
        let container = document(&state, "x", "creating", 7);
        let agent = for_agent(&state, "m\"", 9, &container);
        assert_eq!(
            agent,
            "{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":9,\"metadata\":\"m\\\"\",\
             \"state\":{\"ociVersion\":\"1.2.0\",\"id\":\"x\",\"status\":\"creating\",\"pid\":7,\
             \"bundle\":\"/b\\\"\\\\\",\"annotations\":{\"a\\u000a\":\"ü\\u0001\",\"b\":\"\"}}}"
        );
    }
}
