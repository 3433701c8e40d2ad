//! `Blkio…` of `HostConfig`: devices are paths of the host.

use std::path::PathBuf;

use hull_model::block::{Block, DeviceWeight, Disk, Throttle, Weight};

use crate::container::host_config::{HostConfig, ThrottleDevice, WeightDevice};
use crate::refusal::{Refusal, Result, quote};

/// What `host` asks for.
pub(super) fn read(host: &HostConfig) -> Result<Block> {
    let devices = host.blkio_weight_device.iter().flatten();
    Ok(Block {
        weight: match host.blkio_weight {
            0 => None,
            weight => Some(self::weight(weight)?),
        },
        leaf_weight: None,
        devices: devices
            .map(|WeightDevice { path, weight }| {
                let weight = Some(self::weight(*weight)?);
                Ok(DeviceWeight { disk: disk(path)?, weight, leaf_weight: None })
            })
            .collect::<Result<_>>()?,
        read_bps: throttles(host.blkio_device_read_bps.as_deref())?,
        write_bps: throttles(host.blkio_device_write_bps.as_deref())?,
        read_iops: throttles(host.blkio_device_read_iops.as_deref())?,
        write_iops: throttles(host.blkio_device_write_iops.as_deref())?,
    })
}

/// Writes `block` where [`read`] finds it.
pub(super) fn write(block: &Block, host: &mut HostConfig) {
    host.blkio_weight = block.weight.map_or(0, Weight::get);
    let weights = block.devices.iter().map(|one| WeightDevice {
        path: one.disk.to_string(),
        weight: one.weight.map_or(0, Weight::get),
    });
    host.blkio_weight_device = some(weights.collect());
    host.blkio_device_read_bps = some(back(&block.read_bps));
    host.blkio_device_write_bps = some(back(&block.write_bps));
    host.blkio_device_read_iops = some(back(&block.read_iops));
    host.blkio_device_write_iops = some(back(&block.write_iops));
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn back(throttles: &[Throttle]) -> Vec<ThrottleDevice> {
    let one = |one: &Throttle| ThrottleDevice { path: one.disk.to_string(), rate: one.rate };
    throttles.iter().map(one).collect()
}

fn weight(weight: u16) -> Result<Weight> {
    Weight::new(weight).ok_or_else(|| Refusal::invalid("Range of blkio weight is from 10 to 1000"))
}

fn throttles(list: Option<&[ThrottleDevice]>) -> Result<Vec<Throttle>> {
    let one = |one: &ThrottleDevice| Ok(Throttle { disk: disk(&one.path)?, rate: one.rate });
    list.unwrap_or_default().iter().map(one).collect()
}

/// What the path leads to is looked up when the container starts.
fn disk(path: &str) -> Result<Disk> {
    if path.starts_with('/') && !path.contains('\0') && path.len() < 4_096 {
        return Ok(Disk::Path(PathBuf::from(path)));
    }
    Err(Refusal::invalid(format_args!(
        "invalid block device {:?}: expected the absolute path of its node",
        quote(path)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_absolute_paths_with_weights_in_range() {
        let weights = |path: &str, weight| {
            let list = vec![WeightDevice { path: path.to_owned(), weight }];
            let host = HostConfig { blkio_weight_device: Some(list), ..HostConfig::default() };
            read(&host).map(drop).map_err(|refusal| refusal.message)
        };
        assert_eq!(weights("/dev/sda", 10), Ok(()));
        assert!(weights("/dev/sda", 9).unwrap_err().contains("from 10 to 1000"));
        for bad in ["", "sda", "/dev/s\0da"] {
            assert!(weights(bad, 10).unwrap_err().starts_with("invalid block device"));
        }
    }
}
