//! What became of the commands of a drive, as far as the vehicle tells.

use longrein_io::exit::Exit;
use longrein_proto::wire::{FlowCounts, FlowReport};
use serde_json::{Map, Value, json};

use super::failure::Failure;

/// What became of the commands of a drive: how many were sent, and what the vehicle reports of them. It does not report those
/// that never arrived, so of the applied ones only a bound is known, and whether there is any.
#[derive(Debug, Default)]
pub struct Tally {
    sent: u64,
    not_sent: u64,
    /// The number of the newest command of this session.
    newest_sent: u64,
    /// What the vehicle counted in this session; none before its first report.
    counts: Option<FlowCounts>,
    /// The newest applied number of this session.
    newest_applied: u64,
    /// What it counted in the sessions before.
    before: FlowCounts,
    applied_before: bool,
    reported_before: bool,
}

impl Tally {
    /// A command has this number, or was not sent.
    pub fn on_command(&mut self, number: Option<u64>) {
        match number {
            Some(number) => {
                self.sent += 1;
                self.newest_sent = number;
            }
            None => self.not_sent += 1,
        }
    }

    /// A new session numbers and counts from the start.
    pub fn on_session(&mut self) {
        self.before = self.counts();
        self.applied_before = self.is_any_applied();
        self.reported_before = self.is_reported();
        self.counts = None;
        self.newest_applied = 0;
        self.newest_sent = 0;
    }

    /// The vehicle reports on the flow of the commands.
    pub fn on_report(&mut self, report: &FlowReport) {
        self.counts = Some(report.counts);
        self.newest_applied = report.applied;
    }

    /// Whether the vehicle has told what became of the last command.
    pub fn is_settled(&self) -> bool {
        let counts = self.counts.unwrap_or_default();
        let without_effect = counts.superseded + counts.expired + counts.refused;
        self.newest_sent <= self.newest_applied.max(without_effect)
    }

    /// What was sent, for people.
    pub fn sent_line(&self) -> String {
        match self.not_sent {
            0 => format!("sent {}", self.sent),
            not_sent => format!("sent {}, {not_sent} not sent", self.sent),
        }
    }

    /// What was sent and what became of it, for people.
    pub fn line(&self) -> String {
        let sent = self.sent_line();
        if self.sent > 0 && !self.is_reported() {
            return format!("{sent}; the vehicle did not report what became of them");
        }
        let counts = self.counts();
        let applied = match self.applied_at_most() {
            0 => "0".to_string(),
            most => format!("at most {most}"),
        };
        format!(
            "{sent}, applied {applied}, superseded {}, expired {}, refused {} (the vehicle's figures, without what never \
             arrived)",
            counts.superseded, counts.expired, counts.refused
        )
    }

    /// For programs; null is what the vehicle did not report.
    pub fn fields(&self) -> Map<String, Value> {
        let counts = self.counts();
        let reported = |figure: u64| self.is_reported().then_some(figure);
        let fields = [
            ("sent", json!(self.sent)),
            ("not_sent", json!(self.not_sent)),
            ("applied_at_most", json!(reported(self.applied_at_most()))),
            ("superseded", json!(reported(counts.superseded))),
            ("expired", json!(reported(counts.expired))),
            ("refused", json!(reported(counts.refused))),
            ("last_applied", json!(self.newest_applied)),
        ];
        fields
            .into_iter()
            .map(|(name, figure)| (name.to_string(), figure))
            .collect()
    }

    /// Whether a script did what it says; `stopped` is a stop at the end that the script did not ask for.
    ///
    /// # Errors
    /// [`Exit::Refused`] when the vehicle is stopped or refused every command, [`Exit::Failed`] when some were not sent.
    pub fn verdict(&self, stopped: bool) -> Result<(), Failure> {
        let refused = self.counts().refused;
        if stopped {
            let line = "the emergency stop is latched: the script did not drive to its end";
            return Err(Failure::new(Exit::Refused, line));
        }
        if refused > 0 && !self.is_any_applied() {
            let line = format!("the vehicle executed no command of the script: {refused} refused");
            return Err(Failure::new(Exit::Refused, line));
        }
        if self.not_sent > 0 {
            let line = format!("{} commands of the script were not sent", self.not_sent);
            return Err(Failure::new(Exit::Failed, line));
        }
        Ok(())
    }

    /// What had no effect, as the vehicle reports it.
    pub fn counts(&self) -> FlowCounts {
        let now = self.counts.unwrap_or_default();
        FlowCounts {
            superseded: self.before.superseded.saturating_add(now.superseded),
            expired: self.before.expired.saturating_add(now.expired),
            refused: self.before.refused.saturating_add(now.refused),
        }
    }

    fn applied_at_most(&self) -> u64 {
        if !self.is_any_applied() {
            return 0;
        }
        let counts = self.counts();
        self.sent
            .saturating_sub(counts.superseded)
            .saturating_sub(counts.expired)
            .saturating_sub(counts.refused)
    }

    fn is_any_applied(&self) -> bool {
        self.applied_before || self.newest_applied > 0
    }

    fn is_reported(&self) -> bool {
        self.reported_before || self.counts.is_some()
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::base::{Channel, Class, Flow};

    use super::*;

    fn report(applied: u64, superseded: u64, expired: u64, refused: u64) -> FlowReport {
        FlowReport {
            flow: Flow::new(Channel::new(1).unwrap(), Class::Latest),
            send_floor: 0,
            resolved: 0,
            outcomes: Vec::new(),
            applied,
            applied_age_us: 0,
            counts: FlowCounts {
                superseded,
                expired,
                refused,
            },
        }
    }

    fn sent(count: u64) -> Tally {
        let mut tally = Tally::default();
        (1..=count).for_each(|number| tally.on_command(Some(number)));
        tally
    }

    #[test]
    fn what_had_no_effect_is_not_called_applied() {
        let mut tally = sent(10);
        tally.on_report(&report(10, 1, 2, 3));
        assert_eq!(
            tally.line(),
            "sent 10, applied at most 4, superseded 1, expired 2, refused 3 (the vehicle's figures, without what never \
             arrived)"
        );
        assert_eq!(tally.fields()["applied_at_most"], 4);
        assert_eq!(tally.fields()["last_applied"], 10);
        assert!(tally.verdict(false).is_ok());
    }

    #[test]
    fn a_script_of_which_nothing_was_executed_is_refused() {
        let mut tally = sent(10);
        tally.on_report(&report(0, 0, 0, 10));
        assert!(tally.line().starts_with("sent 10, applied 0, "));
        let failure = tally.verdict(false).unwrap_err();
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(failure.to_string().contains("10 refused"));
    }

    #[test]
    fn a_script_that_ends_stopped_is_refused_and_one_with_unsent_commands_failed() {
        let mut tally = sent(10);
        tally.on_report(&report(9, 0, 0, 1));
        assert_eq!(tally.verdict(true).unwrap_err().exit(), Exit::Refused);
        tally.on_command(None);
        assert_eq!(tally.verdict(false).unwrap_err().exit(), Exit::Failed);
        assert!(tally.line().contains(", 1 not sent"));
    }

    #[test]
    fn without_a_report_nothing_is_claimed() {
        let tally = sent(10);
        assert!(tally.line().contains("did not report"));
        assert_eq!(tally.fields()["applied_at_most"], Value::Null);
        assert!(!tally.is_settled());
        assert!(Tally::default().is_settled());
    }

    #[test]
    fn it_is_settled_once_the_last_command_has_its_outcome() {
        let mut tally = sent(10);
        tally.on_report(&report(9, 0, 0, 0));
        assert!(!tally.is_settled());
        tally.on_report(&report(10, 0, 0, 0));
        assert!(tally.is_settled());
        tally.on_report(&report(0, 0, 0, 10));
        assert!(tally.is_settled());
    }

    #[test]
    fn a_new_session_does_not_lose_the_figures_of_the_old_one() {
        let mut tally = sent(10);
        tally.on_report(&report(10, 1, 0, 0));
        tally.on_session();
        tally.on_command(Some(1));
        tally.on_report(&report(0, 0, 0, 1));
        assert!(
            tally
                .line()
                .starts_with("sent 11, applied at most 9, superseded 1, expired 0, refused 1")
        );
        assert!(tally.verdict(false).is_ok());
    }
}
