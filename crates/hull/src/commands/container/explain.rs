//! `explain`: what separates a container from its host, for people.

use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::each::Failures;
use crate::failure::Failure;
use crate::output::table::printable;
use crate::output::{self, format, json};
use crate::template::value::Value;

/// The space in front of a fact, and between its name and its value.
const GAP: &str = "  ";
/// Names that are longer (targets of mounts) do not move everybody's values to the right.
const NAME_MAX: usize = 32;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Containers by name or id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Explained {
    id: String,
    name: String,
    status: String,
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Topic {
    name: String,
    facts: Vec<Fact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fact {
    name: String,
    value: String,
    #[serde(default)]
    why: String,
}

/// Explains containers.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for (at, name) in args.containers.iter().enumerate() {
        let answer = match client.bytes(Call::get(&["containers", name, "explain"])).await {
            Ok(answer) => answer,
            Err(error) => {
                failures.tell(error);
                continue;
            }
        };
        match args.format.as_deref().filter(|format| !format.is_empty()) {
            None => {
                let separator = if at > 0 { "\n" } else { "" };
                let explained: Explained = serde_json::from_slice(&answer)?;
                output::text(format!("{separator}{}", page(&explained)))?;
            }
            Some("json") => output::line(json::indent(&String::from_utf8_lossy(&answer), 0))?,
            Some(template) => {
                let value: Value = serde_json::from_slice(&answer)?;
                format::object(&value, template)?;
            }
        }
    }
    failures.end()
}

/// Topics one under the other, all values in one column.
fn page(explained: &Explained) -> String {
    let id = explained.id.get(..12).unwrap_or(&explained.id);
    let facts = explained.topics.iter().flat_map(|topic| &topic.facts);
    let widths = facts.map(|fact| fact.name.chars().count()).filter(|width| *width <= NAME_MAX);
    let width = widths.max().unwrap_or(0);
    let (name, status) = (printable(&explained.name), printable(&explained.status));
    let mut text = format!("{name} ({id}), {status}\n");
    for topic in &explained.topics {
        text.push_str(&format!("\n{}\n", printable(&topic.name)));
        for Fact { name, value, why } in &topic.facts {
            let (name, value, why) = (printable(name), printable(value), printable(why));
            let because = if why.is_empty() { why } else { format!("  ({why})") };
            text.push_str(&format!("{GAP}{name:width$}{GAP}{value}{because}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column_and_cannot_write_the_screen() {
        let fact = |name: &str, value: &str, why: &str| Fact {
            name: name.to_owned(),
            value: value.to_owned(),
            why: why.to_owned(),
        };
        let facts = vec![fact("a", "1", ""), fact("long", "2\x1b[2J", "--x")];
        let explained = Explained {
            id: "0123456789abcdef".to_owned(),
            name: "web".to_owned(),
            status: "running".to_owned(),
            topics: vec![Topic { name: "limits".to_owned(), facts }],
        };
        let want = "web (0123456789ab), running\n\nlimits\n  a     1\n  long  2?[2J  (--x)\n";
        assert_eq!(page(&explained), want);
    }
}
