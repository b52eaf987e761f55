//! What the program uses of its machine, as Linux tells.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::catalogue as all;
use super::count;
use super::page::Page;

/// Writes it. What the system does not tell is left out.
pub(super) fn write(page: &mut Page, started_s: u64) {
    page.family(&all::CPU).sample(&[], cpu_s());
    if let Some(bytes) = resident_bytes() {
        page.family(&all::RESIDENT).sample(&[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Reading them takes one.
        let open = open.count().saturating_sub(1);
        page.family(&all::OPEN_FDS).sample(&[], count(open));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.family(&all::MAX_FDS).sample(&[], most);
    }
    page.family(&all::START).sample(&[], started_s);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric's value: exact for the first hundred million years"
)]
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_uses_memory_and_time() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(cpu_s() > 0.0);
    }
}
