//! Dockerfile instructions that change a configuration: `--change` of import and commit. Pure.

use hull_model::image::{Healthcheck, Nothing, RunConfig};
use hull_model::time::go_duration;

use super::ImageError;

/// Carries out one instruction, such as `CMD ["sh"]` or `ENV A=1 B="2 3"`.
pub fn apply(config: &mut RunConfig, instruction: &str) -> Result<(), ImageError> {
    let wrong = |why| ImageError::Change { instruction: instruction.to_owned(), why };
    let (keyword, rest) = instruction
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(|| wrong("an instruction needs an argument"))?;
    let rest = rest.trim();
    match keyword.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest, config.shell.as_deref())),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(rest, config.shell.as_deref()));
        }
        "ENV" => {
            for (key, value) in pairs(rest).map_err(wrong)? {
                let start = format!("{key}=");
                config.env.retain(|old| !old.starts_with(&start));
                config.env.push(start + &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).map_err(wrong)?),
        "USER" => config.user = rest.to_owned(),
        "WORKDIR" => config.working_dir = workdir(&config.working_dir, rest),
        "EXPOSE" => {
            for port in words(rest).map_err(wrong)? {
                config.exposed_ports.insert(expose(&port).map_err(wrong)?, Nothing {});
            }
        }
        "VOLUME" => {
            let paths = json_list(rest).map_or_else(|| words(rest), Ok).map_err(wrong)?;
            config.volumes.extend(paths.into_iter().map(|path| (path, Nothing {})));
        }
        "STOPSIGNAL" => config.stop_signal = rest.to_owned(),
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        "SHELL" => {
            let shell = json_list(rest).filter(|list| !list.is_empty());
            config.shell = Some(shell.ok_or_else(|| wrong("SHELL needs a JSON list"))?);
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest).map_err(wrong)?),
        _ => return Err(wrong("this instruction cannot be used here")),
    }
    Ok(())
}

/// The exec form as it is, anything else through the shell.
fn command(text: &str, shell: Option<&[String]>) -> Vec<String> {
    json_list(text).unwrap_or_else(|| {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut command = shell.map_or_else(default, <[String]>::to_vec);
        command.push(text.to_owned());
        command
    })
}

fn json_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn workdir(old: &str, new: &str) -> String {
    if new.starts_with('/') {
        new.to_owned()
    } else {
        format!("{}/{new}", if old.is_empty() { "" } else { old.trim_end_matches('/') })
    }
}

fn expose(port: &str) -> Result<String, &'static str> {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let numbers = range.split('-').all(|n| n.parse::<u16>().is_ok_and(|n| n > 0));
    if !numbers || range.split('-').count() > 2 {
        return Err("a port is a number from 1 to 65535, or two with a dash");
    }
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok(format!("{range}/{protocol}")),
        _ => Err("a port's protocol is tcp, udp or sctp"),
    }
}

/// `KEY=VALUE KEY2="VALUE 2"`, or the old `KEY VALUE with spaces`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let words = words(text)?;
    let first = words.first().ok_or("a key is missing")?;
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or("a value is missing")?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err("it must be KEY=VALUE"),
        })
        .collect()
}

/// Words, where quotes and backslashes hold spaces together.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                let next = letters.next().ok_or("a backslash at the end")?;
                word.get_or_insert_default().push(next);
            }
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

fn healthcheck(text: &str) -> Result<Healthcheck, &'static str> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Healthcheck { test: Some(vec!["NONE".into()]), ..Healthcheck::default() });
    }
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, tail) = option.split_once(char::is_whitespace).ok_or("CMD is missing")?;
        let (key, value) = option.split_once('=').ok_or("an option must be --KEY=VALUE")?;
        let nanos = || {
            let duration = go_duration(value).ok_or("a time is like 30s or 1m30s")?;
            i64::try_from(duration.as_nanos()).map_err(|_too_long| "a time is too long")
        };
        match key {
            "interval" => check.interval = nanos()?,
            "timeout" => check.timeout = nanos()?,
            "start-period" => check.start_period = nanos()?,
            "start-interval" => check.start_interval = nanos()?,
            "retries" => check.retries = value.parse().map_err(|_nan| "retries is a number")?,
            _ => return Err("unknown option of HEALTHCHECK"),
        }
        rest = tail.trim_start();
    }
    let command = match rest.split_once(char::is_whitespace) {
        Some((cmd, command)) if cmd.eq_ignore_ascii_case("cmd") => command.trim(),
        _ => return Err("HEALTHCHECK needs CMD or NONE"),
    };
    check.test = Some(match json_list(command) {
        Some(list) => ["CMD".to_owned()].into_iter().chain(list).collect(),
        None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
    });
    Ok(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(instructions: &[&str]) -> RunConfig {
        let mut config = RunConfig::default();
        instructions.iter().for_each(|line| apply(&mut config, line).unwrap());
        config
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn instructions_change_what_they_say() {
        let config = changed(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint run it",
            "ENV A=1 B=\"2 3\"",
            "ENV A=9",
            "ENV OLD a b",
            "LABEL x.y=z",
            "WORKDIR /srv",
            "WORKDIR www",
            "EXPOSE 80 53/UDP 8000-8010",
            "VOLUME [\"/a b\"]",
            "VOLUME /c /d",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=30s --retries=3 CMD curl -f localhost",
        ]);
        assert_eq!(config.cmd, Some(strings(&["a", "b c"])));
        assert_eq!(config.entrypoint, Some(strings(&["/bin/sh", "-c", "run it"])));
        assert_eq!(config.env, strings(&["B=2 3", "A=9", "OLD=a b"]));
        assert_eq!(config.labels["x.y"], "z");
        assert_eq!(config.working_dir, "/srv/www");
        let ports: Vec<_> = config.exposed_ports.keys().cloned().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000-8010/tcp"]);
        assert_eq!(config.volumes.len(), 3);
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (30_000_000_000, 3));
        assert_eq!(check.test, Some(strings(&["CMD-SHELL", "curl -f localhost"])));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "",
            "CMD",
            "RUN rm -rf /",
            "FROM scratch",
            "ENV =x",
            "ENV \"open",
            "EXPOSE 0",
            "EXPOSE 1-2-3",
            "EXPOSE 80/icmp",
            "SHELL sh",
            "HEALTHCHECK --interval=x CMD y",
            "HEALTHCHECK --what=1 CMD y",
            "HEALTHCHECK",
        ] {
            assert!(apply(&mut RunConfig::default(), bad).is_err(), "{bad:?}");
        }
    }
}
