//! `events`.

use jiff::Timestamp;

use crate::client::Client;
use crate::client::call::Call;
use crate::client::lines::Values;
use crate::commands::filter;
use crate::failure::Failure;
use crate::output::{self, format, table, times};
use crate::template::value::Value;

/// Flags of `events`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    since: String,
    /// Stream events until this timestamp
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    until: String,
}

/// Prints events as they happen.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let now = Timestamp::now();
    let call = Call::get(&["events"])
        .query_given("filters", &filter::json(&args.filter))
        .query_given("since", &times::point(&args.since, now).map_err(Failure::new)?)
        .query_given("until", &times::point(&args.until, now).map_err(Failure::new)?);
    let target = call.target.clone();
    let answer = client.stream(call).await?;
    let mut events = Values::new(answer.into_body(), &target);
    while let Some(event) = events.next::<Value>().await? {
        match &args.format {
            Some(format) => format::object(&event, format)?,
            None => output::line(table::printable(&line(&event)))?,
        }
    }
    Ok(())
}

/// `TIME TYPE ACTION ID (name=value, ...)`.
fn line(event: &Value) -> String {
    let text = |of: &Value, key: &str| of.get(key).map(ToString::to_string).unwrap_or_default();
    let number = |key: &str| match event.get(key) {
        Some(Value::Int(number)) => i64::try_from(*number).unwrap_or(0),
        Some(_) | None => 0,
    };
    let time = match number("timeNano") {
        0 => number("time").saturating_mul(1_000_000_000),
        time => time,
    };
    let mut line =
        format!("{} {} {}", times::precise(time), text(event, "Type"), text(event, "Action"));
    let Some(actor) = event.get("Actor") else { return line };
    line = format!("{line} {}", text(actor, "ID"));
    if let Some(Value::Map(attributes)) = actor.get("Attributes") {
        let mut list: Vec<String> =
            attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        list.sort();
        if !list.is_empty() {
            line = format!("{line} ({})", list.join(", "));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_event_is_one_line() {
        let event = r#"{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web","image":"x"}},"timeNano":1500000000000000001}"#;
        let line = super::line(&serde_json::from_str(event).unwrap());
        assert!(line.starts_with("2017-07-1"), "{line}");
        assert!(line.contains(":00.000000001"), "{line}");
        assert!(line.ends_with(" container start abc (image=x, name=web)"), "{line}");
        assert!(!super::line(&serde_json::from_str("{}").unwrap()).is_empty());
    }
}
