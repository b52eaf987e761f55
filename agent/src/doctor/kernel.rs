//! What the kernel gives.

use std::fs;

use longrein_io::dial::Route;
use longrein_io::socket::NODE_BUFFER_BYTES;
use rustix::process::{getpriority_process, setpriority_process};

use super::finding::Finding;
use super::unit::Unit;
use crate::control_thread::NICE;

/// What is known of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// As `6.1.0-18-arm64`; empty when it is not told.
    release: String,
    /// Bytes of `net.core.rmem_max`, and of `net.core.wmem_max`.
    buffers_max: Option<(u64, u64)>,
    /// Whether this process may run before others as the control thread wants it.
    may_go_first: bool,
}

impl Facts {
    pub(super) fn look() -> Facts {
        let read = |file: &str| {
            fs::read_to_string(file)
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let bytes = |name: &str| read(&format!("/proc/sys/net/core/{name}")).parse().ok();
        Facts {
            release: read("/proc/sys/kernel/osrelease"),
            buffers_max: bytes("rmem_max").zip(bytes("wmem_max")),
            may_go_first: may_go_first(),
        }
    }
}

/// Whether the nice value of the control thread is allowed: it is tried for a moment.
fn may_go_first() -> bool {
    let before = getpriority_process(None).unwrap_or_default();
    let allowed = setpriority_process(None, NICE).is_ok();
    // Back up is always allowed.
    setpriority_process(None, before).ok();
    allowed
}

/// The lowest nice value of a limit, which counts from 20 downwards (getrlimit(2)).
pub(super) fn nice_of(limit: u64) -> i32 {
    20 - i32::try_from(limit).unwrap_or(40).min(40)
}

pub(super) fn findings(facts: &Facts, routes: &[Route], unit: Option<&Unit>) -> Vec<Finding> {
    let binds = routes.iter().any(|route| route.bind.interface().is_some());
    let may_go_first = unit.map_or(facts.may_go_first, |unit| unit.nice_min <= NICE);
    vec![
        release(&facts.release, binds),
        buffers(facts.buffers_max),
        priority(may_go_first),
    ]
}

fn release(release: &str, binds: bool) -> Finding {
    let check = "kernel";
    let mut numbers = release
        .split(['.', '-', '+'])
        .map_while(|number| number.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    match version {
        None => Finding::warn(
            check,
            format!("its version is unknown ({release:?})"),
            "see that it is Linux 5.7 or newer",
        ),
        Some(version) if version >= BINDS_SINCE => Finding::ok(
            check,
            format!("Linux {release} binds sockets to interfaces without privileges"),
        ),
        Some(_) if binds => Finding::fail(
            check,
            format!(
                "Linux {release} binds a socket to an interface with a capability only, and [[link]] sections name interfaces"
            ),
            "use Linux 5.7 or newer, or give the agent CAP_NET_RAW (docs/install-agent.md)",
        ),
        Some(_) => Finding::ok(
            check,
            format!("Linux {release}; links could not name interfaces before 5.7"),
        ),
    }
}

fn buffers(bytes: Option<(u64, u64)>) -> Finding {
    let check = "socket buffers";
    let wanted = NODE_BUFFER_BYTES as u64;
    match bytes {
        None => Finding::ok(check, "their limits are not told here"),
        Some((receive, send)) if receive.min(send) < wanted => {
            let what = format!(
                "net.core.rmem_max is {receive} and wmem_max {send} bytes: a burst may lose packets"
            );
            let advice = format!(
                "run `sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}`, and keep that in /etc/sysctl.d"
            );
            Finding::warn(check, what, advice)
        }
        Some((receive, send)) => Finding::ok(
            check,
            format!("net.core.rmem_max is {receive} and wmem_max {send} bytes"),
        ),
    }
}

fn priority(may_go_first: bool) -> Finding {
    let check = "priority";
    match may_go_first {
        true => Finding::ok(check, "the control thread may run before others"),
        false => Finding::warn(
            check,
            format!("the control thread may not have its nice value of {NICE}"),
            format!("set `LimitNICE={NICE}` in the agent's unit, or run it with CAP_SYS_NICE"),
        ),
    }
}

/// `SO_BINDTODEVICE` needs no capability since Linux 5.7.
const BINDS_SINCE: (u32, u32) = (5, 7);

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn an_old_kernel_fails_where_links_name_interfaces() {
        for (text, binds, level) in [
            ("6.1.0-18-arm64", true, Level::Ok),
            ("5.7.0", true, Level::Ok),
            ("5.6.19", true, Level::Fail),
            ("5.6.19", false, Level::Ok),
            ("4.19.97-v7+", true, Level::Fail),
            ("10.0-rc1", true, Level::Ok),
            ("", true, Level::Warn),
            ("unknown", true, Level::Warn),
        ] {
            assert_eq!(release(text, binds).level, level, "{text}");
        }
    }

    #[test]
    fn small_buffers_are_warned_of_with_the_command_that_makes_them_larger() {
        let found = buffers(Some((212_992, 262_144)));
        assert_eq!(found.level, Level::Warn);
        assert!(found.advice.unwrap().contains("rmem_max=262144"));
        assert_eq!(buffers(Some((262_144, 262_144))).level, Level::Ok);
        assert_eq!(buffers(None).level, Level::Ok);
    }

    #[test]
    fn a_control_thread_that_cannot_run_before_others_is_warned_of() {
        assert_eq!(priority(false).level, Level::Warn);
        assert_eq!(priority(true).level, Level::Ok);
        let limits = [0, 34, 35, 40, u64::MAX].map(nice_of);
        assert_eq!(limits, [20, -14, -15, -20, -20]);
    }

    #[test]
    fn this_kernel_is_known() {
        let found = findings(&Facts::look(), &[], None);
        assert_eq!(found[0].level, Level::Ok, "{found:?}");
    }
}
