//! Limits as the files of this process' cgroup say them, on v1 and v2.

use std::path::PathBuf;

use crate::facts::read;

/// What is limited; `None` when no cgroup can be seen.
pub(crate) fn describe(cgroups: &str, mounts: &str) -> Option<String> {
    let files = Files { cgroups, mounts };
    let memory = files.read("memory", "memory.max", "memory.limit_in_bytes");
    let pids = files.read("pids", "pids.max", "pids.max");
    let cpu = files
        .read("cpu", "cpu.max", "cpu.cfs_quota_us")
        .map(|quota| cpus(&quota, files.read("cpu", "", "cpu.cfs_period_us").as_deref()));
    let parts = [
        memory.map(|text| format!("memory {}", bytes(&text))),
        cpu.map(|cpus| format!("cpu {cpus}")),
        pids.map(|text| format!("pids {}", if text == "max" { "unlimited" } else { &text })),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

struct Files<'a> {
    cgroups: &'a str,
    mounts: &'a str,
}

impl Files<'_> {
    /// A controller's file, by its name on v2 and on v1.
    fn read(&self, controller: &str, v2: &str, v1: &str) -> Option<String> {
        let v1 = self.directory(controller).map(|directory| directory.join(v1));
        let v2 = self.directory("").map(|directory| directory.join(v2));
        [v1, v2]
            .into_iter()
            .flatten()
            .map(|path| read(path).trim().to_owned())
            .find(|text| !text.is_empty())
    }

    /// Our directory in the hierarchy of a v1 controller, or for `""` in the one of v2.
    fn directory(&self, controller: &str) -> Option<PathBuf> {
        // `number:controllers:path`
        let path = self.cgroups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let controllers = parts.next()?;
            let path = parts.next()?;
            controllers.split(',').any(|name| name == controller).then_some(path)
        })?;
        // `id parent dev root target options … - type source options`
        let mount = self.mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let (filesystem, options) = (after.next()?, after.nth(1)?);
            let fits = match controller {
                "" => filesystem == "cgroup2",
                name => filesystem == "cgroup" && options.split(',').any(|option| option == name),
            };
            fits.then(|| before.split(' ').nth(4)).flatten()
        })?;
        Some(PathBuf::from(mount).join(path.trim_start_matches('/')))
    }
}

fn bytes(text: &str) -> String {
    match text.parse::<u64>() {
        // v1 writes "unlimited" as the greatest multiple of the page size.
        Ok(bytes) if bytes < 1 << 62 => match bytes {
            0..1_048_576 => format!("{bytes} bytes"),
            1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
            _ => format!("{}.{} GiB", bytes >> 30, (bytes >> 20) % 1024 * 10 / 1024),
        },
        _ => "unlimited".to_owned(),
    }
}

/// `quota period` of v2, or the two files of v1.
fn cpus(quota: &str, period: Option<&str>) -> String {
    let mut words = quota.split_whitespace().chain(period);
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
    match (number(words.next()), number(words.next())) {
        (Some(quota), Some(period)) if period > 0 => {
            let hundredths = quota.saturating_mul(100) / period;
            format!("{}.{:02} cores", hundredths / 100, hundredths % 100)
        }
        _ => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_the_same_from_both_generations() {
        for (quota, period, shown) in [
            ("max 100000", None, "unlimited"),
            ("150000 100000", None, "1.50 cores"),
            ("-1", Some("100000"), "unlimited"),
            ("5000", Some("100000"), "0.05 cores"),
            ("5000", Some("0"), "unlimited"),
            ("", None, "unlimited"),
        ] {
            assert_eq!(cpus(quota, period), shown);
        }
        for (text, shown) in [
            ("max", "unlimited"),
            ("9223372036854771712", "unlimited"),
            ("6291456", "6 MiB"),
            ("1610612736", "1.5 GiB"),
            ("4096", "4096 bytes"),
        ] {
            assert_eq!(bytes(text), shown);
        }
    }

    #[test]
    fn the_directory_is_found_in_a_mixed_layout() {
        let files = Files {
            cgroups: "5:memory:/\n3:cpu,cpuacct:/x\n0::/\n",
            mounts: "1 2 0:3 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                     1 2 0:3 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n\
                     1 2 0:3 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n",
        };
        let found = |name| files.directory(name).map(|path| path.display().to_string());
        assert_eq!(found("memory").as_deref(), Some("/sys/fs/cgroup/memory/"));
        assert_eq!(found("cpu").as_deref(), Some("/sys/fs/cgroup/cpu/x"));
        assert_eq!(found("").as_deref(), Some("/sys/fs/cgroup/unified/"));
        assert_eq!(found("pids"), None);
        assert_eq!(describe("", "garbage"), None);
    }
}
