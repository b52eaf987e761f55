//! What `enroll` takes on the command line of each program.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use longrein_proto::base::Name;

use super::{EnrolError, Enrolment, EnrolmentToken};

/// What `enroll` takes on the command line of each program.
#[derive(Debug, Args)]
pub struct EnrolArguments {
    /// The token of `longrein fleet token`; - reads it from standard input, where no other user of this machine sees it
    #[arg(value_name = "TOKEN")]
    pub token: String,

    /// A relay of the fleet; give one --relay for each, any one is enough
    #[arg(long = "relay", value_name = "HOST[:PORT]", required = true)]
    pub relays: Vec<String>,

    /// The name, when the token is for many
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,

    /// Replace an identity that is there already
    #[arg(long)]
    pub replace: bool,

    /// Seconds to wait for the authority
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub patience_s: u64,
}

impl EnrolArguments {
    /// The enrolment that they ask for; the identity goes to `directory`.
    ///
    /// # Errors
    /// When the token is none, or cannot be read.
    pub fn enrolment(&self, directory: &Path) -> Result<Enrolment, EnrolError> {
        Ok(Enrolment {
            token: EnrolmentToken::of_argument(self.token.clone())?,
            name: self.name.clone(),
            relays: self.relays.clone(),
            directory: directory.to_path_buf(),
            replace: self.replace,
            patience: Duration::from_secs(self.patience_s),
        })
    }
}
