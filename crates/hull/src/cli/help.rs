//! `hull --help`: the commands grouped by purpose.

use clap::Command;

/// The groups of the top help; what is in none of them comes last, as plain "Commands".
const GROUPS: [(&str, &[&str]); 3] = [
    ("Common Commands", &["run", "exec", "ps", "pull", "images", "version", "info"]),
    ("Management Commands", &["container", "image", "network", "volume", "system"]),
    ("Engine Commands", &["daemon", "completion"]),
];

/// The template of the top help.
pub(crate) fn template(command: &Command) -> String {
    let mut text = String::from("Usage:  hull [OPTIONS] COMMAND\n\n{about}\n");
    let mut grouped = Vec::new();
    for (heading, names) in &GROUPS[..2] {
        grouped.extend_from_slice(names);
        let commands = names.iter().filter_map(|name| command.find_subcommand(name));
        text.push_str(&section(heading, commands));
    }
    let (last, names) = GROUPS[2];
    grouped.extend_from_slice(names);
    let others = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && !grouped.contains(&sub.get_name()));
    text.push_str(&section("Commands", others));
    text.push_str(&section(last, names.iter().filter_map(|name| command.find_subcommand(name))));
    text + "\nGlobal Options:\n{options}\n\nRun 'hull COMMAND --help' for more information on a command.\n"
}

fn section<'a>(heading: &str, commands: impl Iterator<Item = &'a Command>) -> String {
    let mut commands: Vec<_> = commands.collect();
    if heading == "Commands" {
        commands.sort_by_key(|command| command.get_name().to_owned());
    }
    let lines = commands.into_iter().map(|command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {:<11} {about}\n", command.get_name())
    });
    lines.fold(format!("\n{heading}:\n"), |all, line| all + &line)
}
