//! How a verb comes to the lease that it needs.

use std::time::Duration;

use longrein_io::exit::Exit;
use longrein_proto::base::{Name, Reason};
use longrein_proto::wire::News;

use super::failure::Failure;
use crate::{Claim, Events, VehicleEvent};

/// How a verb comes to the lease that it needs; without any of these it takes one that is free.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClaimArgs {
    /// Wait this many seconds for the lease while somebody else has it, after those who waited before
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["preempt", "accept"])]
    pub wait_s: Option<u16>,

    /// Take the lease from somebody of lower priority, who is told this reason
    #[arg(long, value_name = "REASON", conflicts_with = "accept")]
    pub preempt: Option<Reason>,

    /// Wait until its holder offers you the lease, and accept: there is no gap in between
    #[arg(long)]
    pub accept: bool,
}

impl ClaimArgs {
    /// The claim; waits for an offer where one is wanted.
    ///
    /// # Errors
    /// When the connection ends meanwhile.
    pub async fn claim(self, function: &Name, events: &mut Events) -> Result<Claim, Failure> {
        if let Some(seconds) = self.wait_s {
            return Ok(Claim::Wait(Duration::from_secs(seconds.into())));
        }
        if let Some(reason) = self.preempt {
            return Ok(Claim::Preempt(reason));
        }
        if !self.accept {
            return Ok(Claim::Take);
        }
        eprintln!("waiting until the holder of {function} offers it ...");
        let (offer, from) = next_offer(function, events).await?;
        eprintln!("{from} offers {function}: taking it over");
        Ok(Claim::Accept(offer))
    }
}

/// Waits for the next offer of a function's lease, and who makes it.
///
/// # Errors
/// When the connection ends.
pub async fn next_offer(
    function: &Name,
    events: &mut Events,
) -> Result<(crate::OfferId, crate::NodeName), Failure> {
    while let Some(event) = events.next().await {
        if let VehicleEvent::News {
            function: offered,
            news: News::Ring { offer, from, .. },
        } = event
            && offered == *function
        {
            return Ok((offer, from));
        }
    }
    Err(Failure::new(Exit::Failed, "the connection has ended"))
}
