//! What the doctor finds.

use serde_json::{Value, json};

/// One finding: what was looked at, how it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// What was looked at, as `clock` or `link lte`.
    pub(crate) check: String,
    pub(crate) what: String,
    /// What to do, where something is to be done.
    pub(crate) advice: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and a promise is at risk.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

impl Finding {
    pub(crate) fn ok(check: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding {
            level: Level::Ok,
            check: check.into(),
            what: what.into(),
            advice: None,
        }
    }

    pub(crate) fn warn(
        check: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Warn,
            advice: Some(advice.into()),
            ..Finding::ok(check, what)
        }
    }

    pub(crate) fn fail(
        check: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Fail,
            ..Finding::warn(check, what, advice)
        }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let Finding {
            level, check, what, ..
        } = self;
        let advice = self.advice.as_ref().map(|advice| format!(" -> {advice}"));
        let advice = advice.unwrap_or_default();
        format!("{:<4}  {check}: {what}{advice}", level.word())
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "level": self.level.word(),
            "check": self.check,
            "what": self.what,
            "advice": self.advice,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_what_to_do_behind_it() {
        let found = Finding::fail("link lte", "there is no interface wwan0", "plug it in");
        assert_eq!(
            found.line(),
            "fail  link lte: there is no interface wwan0 -> plug it in"
        );
        assert_eq!(found.json()["level"], "fail");
        assert_eq!(found.json()["advice"], "plug it in");
        let found = Finding::ok("clock", "is kept by NTP");
        assert_eq!(found.line(), "ok    clock: is kept by NTP");
        assert_eq!(found.json()["advice"], Value::Null);
    }
}
