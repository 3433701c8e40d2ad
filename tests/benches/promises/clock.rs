//! Measuring whole commands, from before the fork to after the wait.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hull_tests::Tool;

/// How this program is told to be the one that measures in other namespaces.
pub(crate) const MODE: &str = "--time";

/// Milliseconds of the median.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// How long each of so many runs of a command takes; the first few do not count.
pub(crate) fn times(count: usize, command: &mut Command) -> Vec<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut once = || {
        let start = Instant::now();
        let status = command.status().unwrap();
        assert!(status.success(), "{command:?}: {status}");
        start.elapsed()
    };
    for _ in 0..3 {
        once();
    }
    (0..count).map(|_| once()).collect()
}

/// The median of a command in a mount namespace without cgroup v2: crun refuses the mixed layout.
/// `None`, with the reason printed, if the command fails.
pub(crate) fn median_without_v2(count: usize, words: &[&str]) -> Option<f64> {
    let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"";
    let mut tool = Tool::new("unshare", "--mount sh -c").arg(script);
    tool = tool.arg(std::env::current_exe().unwrap()).arg(MODE).arg(count.to_string());
    for word in words {
        tool = tool.arg(word);
    }
    let done = tool.run();
    if done.status != 0 {
        eprintln!("left out: {}: {}", words.join(" "), done.stderr.trim());
        return None;
    }
    let times = done.stdout.lines().filter_map(|line| line.parse().ok().map(Duration::from_nanos));
    Some(median(times.collect()))
}

/// This program in the other namespace: measures and prints nanoseconds.
pub(crate) fn child(arguments: &[String]) {
    let [count, program, rest @ ..] = arguments else { panic!("count, program, arguments") };
    for time in times(count.parse().unwrap(), Command::new(program).args(rest)) {
        println!("{}", time.as_nanos());
    }
}
