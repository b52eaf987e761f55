//! What one run of a case showed.

use serde_json::Value;

/// The figures of one run, for programs and for people, and whether they are within the targets.
pub struct Verdict {
    json: Value,
    text: String,
    holds: bool,
}

impl Verdict {
    pub const fn new(json: Value, text: String, holds: bool) -> Verdict {
        Verdict { json, text, holds }
    }

    pub const fn holds(&self) -> bool {
        self.holds
    }

    /// Prints it, on one line.
    pub fn print(mut self, case: &str, run: usize, as_json: bool) {
        if as_json {
            if let Some(figures) = self.json.as_object_mut() {
                figures.insert("case".to_string(), case.into());
                figures.insert("run".to_string(), run.into());
                figures.insert("holds".to_string(), self.holds.into());
            }
            println!("{}", self.json);
        } else {
            let holds = if self.holds { "holds" } else { "MISSED" };
            println!("{case} {run}: {} [{holds}]", self.text);
        }
    }
}
