//! What is checked, dropped with a warning, or refused, as tables.

use super::*;
use crate::container::host_config::{ThrottleDevice, WeightDevice};
use crate::container::limits::{read, write};

const MIB: i64 = 1 << 20;

fn able() -> Supported {
    Supported {
        memory: true,
        swap: true,
        reservation: true,
        swappiness: true,
        kernel_tcp: true,
        oom_kill_disable: true,
        pids: true,
        cpu_shares: true,
        cpu_quota: true,
        cpu_realtime: true,
        cpus: "0-3".parse().ok(),
        mems: "0".parse().ok(),
        block_weight: true,
        block_weight_device: true,
        block_throttle: true,
    }
}

/// What is shown again of `host`, or why not, and the warnings.
fn round(mut host: HostConfig, supported: &Supported) -> (Result<HostConfig, String>, Vec<String>) {
    let mut warnings = Vec::new();
    let limits = adjust(&mut host, supported, 4, &mut warnings).and_then(|()| read(&host));
    let shown = limits.map(|limits| {
        let mut back = HostConfig::default();
        write(&limits, &mut back);
        back
    });
    (shown.map_err(|refusal| refusal.message), warnings)
}

fn memory(memory: i64, memory_swap: i64, memory_reservation: i64) -> String {
    let host = HostConfig { memory, memory_swap, memory_reservation, ..HostConfig::default() };
    let mib = |n: i64| if n > 0 { n / MIB } else { n };
    match round(host, &able()).0 {
        Ok(back) => format!(
            "{} {} {}",
            mib(back.memory),
            mib(back.memory_swap),
            mib(back.memory_reservation)
        ),
        Err(message) => message,
    }
}

#[test]
fn memory_is_read_and_written_as_in_docker() {
    assert_eq!(memory(0, 0, 0), "0 0 0");
    assert_eq!(memory(0, -1, 0), "0 0 0");
    assert_eq!(memory(512 * MIB, 0, 0), "512 1024 0");
    assert_eq!(memory(512 * MIB, 512 * MIB, 256 * MIB), "512 512 256");
    assert_eq!(memory(512 * MIB, -1, 0), "512 -1 0");
    assert_eq!(memory(0, 0, 9 * MIB), "0 0 9");
    assert!(memory(MIB, 0, 0).starts_with("Minimum memory limit allowed is 6MB"));
    assert!(memory(-1, 0, 0).starts_with("Minimum memory limit allowed is 6MB"));
    assert!(memory(0, 512 * MIB, 0).starts_with("You should always set the Memory limit"));
    assert!(memory(512 * MIB, 256 * MIB, 0).starts_with("Minimum memoryswap limit"));
    assert!(memory(512 * MIB, 0, MIB).starts_with("Minimum memory reservation"));
    assert!(memory(8 * MIB, 0, 9 * MIB).contains("less than memory reservation limit"));
    assert!(memory(8 * MIB, -2, 0).contains("MemorySwap -2"));
    assert_eq!(memory(i64::MAX, 0, 0), format!("{0} {0} 0", i64::MAX / MIB));
}

fn cpu(nano_cpus: i64, cpu_period: i64, cpu_quota: i64) -> String {
    let host = HostConfig { nano_cpus, cpu_period, cpu_quota, ..HostConfig::default() };
    match round(host, &able()).0 {
        Ok(back) => format!("{} in {}", back.cpu_quota, back.cpu_period),
        Err(message) => message,
    }
}

#[test]
fn processor_time_is_read_as_in_docker() {
    assert_eq!(cpu(0, 0, 0), "0 in 0");
    assert_eq!(cpu(1_500_000_000, 0, 0), "150000 in 100000");
    assert_eq!(cpu(10_000_000, 0, 0), "1000 in 100000");
    assert_eq!(cpu(0, 0, 50_000), "50000 in 0");
    assert_eq!(cpu(0, 20_000, 5_000), "5000 in 20000");
    assert_eq!(cpu(0, 20_000, 0), "0 in 20000");
    assert_eq!(cpu(0, 0, -1), "-1 in 0");
    assert!(cpu(1, 1, 0).contains("Nano CPUs and CPU Period"));
    assert!(cpu(1, 0, 1).contains("Nano CPUs and CPU Quota"));
    for nano in [1, -1, 4_000_000_001, i64::MAX, i64::MIN] {
        assert!(cpu(nano, 0, 0).starts_with("range of CPUs is from 0.01 to 4.00"), "{nano}");
    }
    assert!(cpu(0, 999, 0).contains("CPU cfs period"));
    assert!(cpu(0, -5, 0).contains("CPU cfs period"));
    assert!(cpu(0, 0, 5).contains("CPU cfs quota"));
}

fn everything() -> HostConfig {
    let rate = || Some(vec![ThrottleDevice { path: "/dev/sda".to_owned(), rate: 5 }]);
    HostConfig {
        memory: 64 * MIB,
        memory_swap: 128 * MIB,
        memory_reservation: 32 * MIB,
        memory_swappiness: Some(7),
        kernel_memory_tcp: MIB,
        oom_kill_disable: Some(true),
        pids_limit: Some(9),
        cpu_shares: 512,
        cpu_period: 50_000,
        cpu_quota: 25_000,
        cpu_realtime_period: 1_000_000,
        cpu_realtime_runtime: 950,
        cpuset_cpus: "0,1".to_owned(),
        cpuset_mems: "0".to_owned(),
        blkio_weight: 300,
        blkio_weight_device: Some(vec![WeightDevice { path: "/dev/sda".to_owned(), weight: 10 }]),
        blkio_device_read_bps: rate(),
        blkio_device_write_bps: rate(),
        blkio_device_read_iops: rate(),
        blkio_device_write_iops: rate(),
        ..HostConfig::default()
    }
}

#[test]
fn every_limit_survives_the_way_there_and_back() {
    let (shown, warnings) = round(everything(), &able());
    let expected =
        HostConfig { cpuset_cpus: "0-1".to_owned(), ulimits: Some(Vec::new()), ..everything() };
    assert_eq!(shown.unwrap(), expected);
    assert_eq!(warnings, [] as [&str; 0]);
}

#[test]
fn what_the_host_cannot_do_is_dropped_with_a_warning_for_each() {
    let mut host = everything();
    (host.cpu_realtime_period, host.cpu_realtime_runtime) = (0, 0);
    (host.kernel_memory, host.cpu_percent) = (MIB, 50);
    let (shown, warnings) = round(host, &Supported::default());
    let nothing = HostConfig {
        oom_kill_disable: Some(false),
        ulimits: Some(Vec::new()),
        ..HostConfig::default()
    };
    assert_eq!(shown.unwrap(), nothing);
    assert_eq!(warnings.len(), 17, "{warnings:#?}");
    assert!(warnings.iter().all(|text| text.to_lowercase().contains("discarded")), "{warnings:#?}");
    let swapless = Supported { swap: false, ..able() };
    let host = HostConfig { memory: 64 * MIB, ..HostConfig::default() };
    let (shown, warnings) = round(host, &swapless);
    assert_eq!(shown.unwrap().memory_swap, -1);
    assert!(warnings[0].ends_with("Memory limited without swap."));
}

#[test]
fn what_cannot_be_dropped_is_refused() {
    let refused = |host: HostConfig, supported: &Supported| round(host, supported).0.unwrap_err();
    let zero = HostConfig::default;
    let rt = |period, runtime| HostConfig {
        cpu_realtime_period: period,
        cpu_realtime_runtime: runtime,
        ..zero()
    };
    let none = Supported::default();
    assert!(refused(rt(0, 5), &none).starts_with("not supported by this kernel: CPU real-time"));
    assert!(refused(rt(5, 6), &able()).contains("higher than its period"));
    assert!(refused(rt(-5, 0), &able()).contains("real-time"));
    let nano = HostConfig { nano_cpus: 1_000_000_000, ..zero() };
    assert!(refused(nano, &none).starts_with("NanoCPUs can not be set"));
    let set = |cpus: &str, mems: &str| HostConfig {
        cpuset_cpus: cpus.to_owned(),
        cpuset_mems: mems.to_owned(),
        ..zero()
    };
    assert_eq!(
        refused(set("0-4", ""), &able()),
        "Requested CPUs are not available - requested 0-4, available: 0-3"
    );
    assert!(refused(set("", "1"), &able()).starts_with("Requested memory nodes"));
    assert!(refused(set("0-x", ""), &able()).starts_with("Invalid value 0-x for cpuset cpus"));
    let weight = |blkio_weight| HostConfig { blkio_weight, ..zero() };
    for bad in [1, 9, 1_001] {
        assert_eq!(refused(weight(bad), &able()), "Range of blkio weight is from 10 to 1000");
    }
    let qos = HostConfig { io_maximum_iops: 1, ..zero() };
    assert!(refused(qos, &able()).starts_with("Invalid QoS settings"));
    let swappiness = HostConfig { memory_swappiness: Some(101), ..zero() };
    assert!(refused(swappiness, &able()).contains("range is 0-100"));
    let score = HostConfig { oom_score_adj: 1_001, ..zero() };
    let message = refused(score, &able());
    assert_eq!(message, "Invalid value 1001, range for oom score adj is [-1000, 1000]");
    assert!(refused(HostConfig { cpu_shares: -1, ..zero() }, &able()).contains("CPU shares"));
}
