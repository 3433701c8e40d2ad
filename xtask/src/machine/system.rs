//! The machine's system: a root file system, a kernel and the little that finds the one for the
//! other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::file_system;
use crate::Outcome;
use crate::run::{find, output, run};

/// Debian's release of the machine: Linux 6.12, systemd 257.
const SUITE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,kmod,mount,util-linux,iproute2,nftables,\
                        iputils-ping,procps,curl,ca-certificates,busybox-static,docker-cli";
/// The kernel without what its package pulls in: tools that make an initramfs.
const KERNEL: &str = r#"set -e
package=$(chroot "$1" apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
chroot "$1" sh -c "cd /tmp && apt-get -q download $package"
dpkg-deb -x "$1"/tmp/linux-image-*.deb "$1"
rm "$1"/tmp/*.deb
chroot "$1" sh -c 'depmod "$(ls /lib/modules)"'"#;

const SERVICE: &str = "[Unit]
Description=hull's tests
After=basic.target dbus.socket
Wants=dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /payload/run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/hvc0
Delegate=yes
TasksMax=infinity
";
const TARGET: &str = "[Unit]
Description=Only what hull's tests need
Requires=basic.target hull-tests.service
After=basic.target
AllowIsolate=yes
";
/// The disk's driver is the only module that is needed to get at the others.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_blk.ko
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
";

/// What QEMU boots.
pub(super) struct System {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    pub(super) disk: PathBuf,
}

/// The system in a folder, made there unless it is complete. Delete the folder for a newer one.
pub(super) fn prepare(dir: &Path) -> Outcome<System> {
    let system = System {
        kernel: dir.join("vmlinuz"),
        initramfs: dir.join("initramfs"),
        disk: dir.join("disk.img"),
    };
    let complete = dir.join(format!("complete-{SUITE}-1"));
    if !complete.exists() {
        make(dir, &system)?;
        fs::write(complete, "")?;
    }
    Ok(system)
}

fn make(dir: &Path, system: &System) -> Outcome {
    let root = tempfile::Builder::new().prefix("root").tempdir_in(dir)?;
    let root = root.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    bootstrap(root)?;
    let modules = output(Command::new("ls").arg(root.join("lib/modules")))?;
    fs::copy(root.join(format!("boot/vmlinuz-{modules}")), &system.kernel)?;
    let driver = format!("lib/modules/{modules}/kernel/drivers/block/virtio_blk.ko.xz");
    initramfs(dir, &root.join(driver), &system.initramfs)?;
    let units = root.join("etc/systemd/system");
    fs::write(units.join("hull-tests.service"), SERVICE)?;
    fs::write(units.join("hull-tests.target"), TARGET)?;
    fs::create_dir(root.join("payload"))?;
    fs::write(root.join("etc/fstab"), "/dev/vdb /payload ext4 defaults 0 0\n")?;
    file_system(root, &system.disk, 1500)
}

fn bootstrap(root: &Path) -> Outcome {
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase", "--format=directory"]);
    mmdebstrap.arg(format!("--include={PACKAGES}")).arg(format!("--customize-hook={KERNEL}"));
    // Debian 12's keyring has the keys of Debian 13.
    run(mmdebstrap.arg(SUITE).arg(root).arg(MIRROR))
}

fn initramfs(dir: &Path, driver: &Path, image: &Path) -> Outcome {
    let tree = tempfile::Builder::new().prefix("initramfs").tempdir_in(dir)?;
    let tree = tree.path();
    for name in ["bin", "dev", "root"] {
        fs::create_dir(tree.join(name))?;
    }
    let busybox = find("busybox").ok_or("busybox is not installed")?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    fs::write(tree.join("init"), INIT)?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755))?;
    let pack = r#"busybox xzcat "$1" >virtio_blk.ko; find . | busybox cpio -o -H newc >"$2""#;
    run(Command::new("sh").args(["-euc", pack, "sh"]).arg(driver).arg(image).current_dir(tree))
}
