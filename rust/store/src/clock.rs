//! Time that all processes of one boot share.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::{Cause, Failure, fs};

/// Identifies a boot of the machine: 16 bytes.
pub(crate) type BootId = [u8; 16];

/// This boot. What an earlier one left in memory-mapped files may not have reached the disk.
pub(crate) fn boot_id() -> Result<BootId, Failure> {
    static BOOT: OnceLock<BootId> = OnceLock::new();
    if let Some(id) = BOOT.get() {
        return Ok(*id);
    }
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read(path)?.unwrap_or_default();
    let hex: String = String::from_utf8_lossy(&text).chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&hex, 16)
        .map_err(|_| Failure::new(Cause::Storage, format!("{}: not a boot id; is /proc mounted?", path.display())))?;
    Ok(*BOOT.get_or_init(|| id.to_le_bytes()))
}

/// Time since boot, suspension included: the same in every process, never set back.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Into::into)
}

/// As [`since_boot`], in milliseconds, as it is stored.
pub(crate) fn millis() -> u64 {
    u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX)
}
