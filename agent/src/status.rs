//! How the agent stands, in one line for the service manager.

use std::fmt::{Display, Write};

use longrein_proto::base::Stage;
use longrein_proto::path::Health;
use longrein_proto::role::Agent;

use crate::metering;

/// For example `drive: Nominal, held by controller/alice; 3 of 4 paths live`.
pub(crate) fn status(agent: &Agent) -> String {
    let paths = agent.paths();
    let is_live = |status: &longrein_proto::path::PathStatus| status.health == Health::Live;
    let live = paths
        .iter()
        .filter(|path| path.status.as_ref().is_some_and(is_live));
    let mut line = line(
        agent.is_stopped(),
        agent.functions(),
        (live.count(), paths.len()),
    );
    for (link, other) in agent.shared_links() {
        // A String takes everything.
        let _ = write!(line, "; {link} and {other} leave through one address");
    }
    for meter in agent.meters() {
        line.push_str("; ");
        line.push_str(&metering::shown(&meter));
    }
    line
}

fn line<'a>(
    stopped: bool,
    functions: impl Iterator<Item = (impl Display, Stage, Option<impl Display + 'a>)>,
    (live, paths): (usize, usize),
) -> String {
    let mut line = String::new();
    if stopped {
        line.push_str("emergency stop; ");
    }
    for (name, stage, holder) in functions {
        // A String takes everything.
        let _ = match holder {
            Some(holder) => write!(line, "{name}: {stage}, held by {holder}; "),
            None => write!(line, "{name}: {stage}, free; "),
        };
    }
    let _ = write!(line, "{live} of {paths} paths live");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_lease_and_live_paths_are_in_it() {
        let functions = [
            ("drive", Stage::Nominal, Some("controller/alice")),
            ("arm", Stage::MinimalRisk, None),
        ];
        assert_eq!(
            line(false, functions.into_iter(), (3, 4)),
            "drive: Nominal, held by controller/alice; arm: MinimalRisk, free; 3 of 4 paths live"
        );
        let nothing = [("drive", Stage::MinimalRisk, None::<&str>)];
        assert_eq!(
            line(true, nothing.into_iter(), (0, 0)),
            "emergency stop; drive: MinimalRisk, free; 0 of 0 paths live"
        );
    }
}
