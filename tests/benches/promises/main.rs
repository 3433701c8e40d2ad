//! What SPECIFICATION.md promises, measured beside peers in the same run: machines differ and are
//! shared, ratios travel.

mod clock;
mod copies;
mod many;
mod peers;
mod starts;
mod throughput;

use hull_tests::{Daemon, Settings};

/// One line of the table.
struct Row {
    promise: &'static str,
    /// What was measured.
    hull: f64,
    /// At most this, or at least if `at_least`.
    limit: f64,
    at_least: bool,
    unit: &'static str,
    /// The same of others, by name.
    peers: Vec<(String, f64)>,
}

impl Row {
    fn at_most(promise: &'static str, hull: f64, limit: f64, unit: &'static str) -> Self {
        Self { promise, hull, limit, at_least: false, unit, peers: Vec::new() }
    }

    fn at_least(promise: &'static str, hull: f64, limit: f64, unit: &'static str) -> Self {
        Self { at_least: true, ..Self::at_most(promise, hull, limit, unit) }
    }

    fn beside(mut self, peers: impl IntoIterator<Item = (String, f64)>) -> Self {
        self.peers.extend(peers);
        self
    }

    fn holds(&self) -> bool {
        if self.at_least { self.hull >= self.limit } else { self.hull <= self.limit }
    }

    fn cells(&self) -> [String; 6] {
        let sign = if self.at_least { ">=" } else { "<=" };
        let peers = self.peers.iter().map(|(name, value)| format!("{name} {value:.1}"));
        let ratios = self.peers.iter().map(|(_, value)| format!("{:.2}", self.hull / value));
        [
            self.promise.to_owned(),
            format!("{:.2} {}", self.hull, self.unit),
            peers.collect::<Vec<_>>().join(", "),
            ratios.collect::<Vec<_>>().join(", "),
            format!("{sign} {} {}", self.limit, self.unit),
            if self.holds() { "holds".to_owned() } else { "BROKEN".to_owned() },
        ]
    }
}

/// A benchmark: its name, and what gives its rows.
type Benchmark = (&'static str, fn() -> Vec<Row>);

const ALL: [Benchmark; 11] = [
    ("run", starts::run),
    ("oci", starts::runtime),
    ("users", starts::users),
    ("bridge", starts::bridge),
    ("exec", starts::exec),
    ("api", starts::create_and_start),
    ("fifty", starts::fifty),
    ("memory", many::memory),
    ("many", many::two_hundred),
    ("throughput", throughput::logs_and_load),
    ("copies", copies::both_ways),
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == clock::MODE) {
        return clock::child(&arguments[1..]);
    }
    if let Some(reason) = hull_tests::need::missing(&["busybox", "ip", "nft", "unshare"]) {
        return hull_tests::need::skip(&reason);
    }
    let wanted = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|word| name.starts_with(word.as_str()))
    };
    let mut rows = Vec::new();
    for (name, measure) in ALL.into_iter().filter(|(name, _)| wanted(name)) {
        eprintln!("measuring {name}");
        rows.extend(measure());
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load: {}processors: {}\n", load, std::thread::available_parallelism().unwrap());
    print(&rows);
    assert!(rows.iter().all(Row::holds), "not every promise holds");
}

fn print(rows: &[Row]) {
    let head = ["promise", "hull", "peers", "hull / peer", "limit", "verdict"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    for line in &lines {
        let mut text = String::new();
        for (at, cell) in line.iter().enumerate() {
            let width = lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
            text.push_str(&format!("{cell:width$}  "));
        }
        println!("{}", text.trim_end());
    }
}

/// A daemon as it is for users: release binary, `busybox` loaded.
fn daemon() -> Daemon {
    Daemon::start(Settings::default())
}
