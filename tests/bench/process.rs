//! What the system says of processes, and allows them.

use anyhow::Context;

/// Processor time of a process, user and system, in µs (proc(5): fields 14 and 15, in ticks of 10 ms).
pub fn processor_us(process: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<u64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() * 10_000)
}

/// Each node has a socket and a timer.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        eprintln!("The limit of open files stays as it is.");
    }
}
