//! One question to the fleet's authority, over connections of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::crypto::CertificateError;
use longrein_proto::role::{Applicant, ApplicantEvent};
use longrein_proto::wire::EnrolRefusal;
use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::dial::{DialOutcome, Route, dial};
use crate::drive::Driver;
use crate::ending::{CertificateFault, Ending};
use crate::entropy::SystemEntropy;
use crate::exit::Exit;
use crate::keys::Identity;

/// Asks the authority for a certificate of `node` with the key of a signing request, as whoever `identity` is. Its connections
/// are apart from all others of this node, and none of those ends for them.
///
/// # Errors
/// Why there is none.
pub async fn apply(
    identity: &Identity,
    routes: Vec<Route>,
    node: &NodeName,
    request: Vec<u8>,
    patience: Duration,
) -> Result<CertificateDer<'static>, ApplyError> {
    let key = |error: &dyn std::error::Error| ApplyError::Key(error.to_string());
    let role = Applicant::new(
        node.clone(),
        request,
        identity.credential(),
        identity.fleet().clone(),
        Box::new(SystemEntropy::new()),
    );
    let addresses = routes.iter().map(|route| route.address.clone());
    let seen = Rc::new(Seen::new(addresses.collect()));
    let driver = Driver::start(role, {
        let seen = Rc::clone(&seen);
        move |_, event| seen.on_event(event)
    })?;
    let _leaving = Leaving(driver.clone());
    let dialled = dial(&driver, identity, routes, {
        let seen = Rc::clone(&seen);
        move |route, outcome| seen.on_outcome(route, outcome)
    });
    let is_token = identity.node().kind == NodeKind::Newcomer;
    let answer = match dialled {
        Ok(_) => timeout(patience, seen.answer()).await,
        Err(error) => Ok(Err(key(&error))),
    };
    driver.close().await;
    let certificate = CertificateDer::from(match answer {
        Ok(answer) => answer.map_err(|error| error.for_holder(is_token))?,
        Err(_) => return Err(seen.complaint().for_holder(is_token)),
    });
    // This machine's clock may be anything.
    let peer = identity.fleet().verify_undated(&certificate)?;
    if peer.node != *node {
        return Err(ApplyError::Unusable(CertificateError::Name));
    }
    Ok(certificate)
}

/// Ends the connections also when nobody waits for the answer any more.
struct Leaving(Driver<Applicant>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What is known so far.
struct Seen {
    addresses: Vec<String>,
    state: RefCell<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    answer: Option<Result<Vec<u8>, EnrolRefusal>>,
    is_relay_up: bool,
    is_authority_there: bool,
    /// Of each address: what became of it last.
    outcomes: BTreeMap<String, (String, Exit, Option<Ending>)>,
}

impl Seen {
    fn new(addresses: Vec<String>) -> Seen {
        Seen {
            addresses,
            state: RefCell::default(),
            news: Notify::new(),
        }
    }

    fn on_event(&self, event: ApplicantEvent) {
        let mut state = self.state.borrow_mut();
        match event {
            ApplicantEvent::RelayUp { .. } => state.is_relay_up = true,
            ApplicantEvent::Presence { present, .. } => state.is_authority_there = present,
            ApplicantEvent::Certified(certificate) => state.answer = Some(Ok(certificate)),
            ApplicantEvent::Refused(why) => state.answer = Some(Err(why)),
        }
        self.news.notify_one();
    }

    fn on_outcome(&self, route: &Route, outcome: &DialOutcome) {
        let mut state = self.state.borrow_mut();
        let outcomes = &mut state.outcomes;
        match outcome.exit() {
            None => drop(outcomes.remove(&route.address)),
            Some(exit) => {
                let why = match outcome {
                    // A relay looks at a certificate when the connection seems up already.
                    DialOutcome::Refused(why) | DialOutcome::Lost { why, .. } => Some(*why),
                    DialOutcome::Up { .. }
                    | DialOutcome::Unresolved { .. }
                    | DialOutcome::NoSocket(_)
                    | DialOutcome::NoAnswer => None,
                };
                let told = (outcome.describe(route), exit, why);
                outcomes.insert(route.address.clone(), told);
            }
        }
        self.news.notify_one();
    }

    /// Waits for the authority's answer, or until every relay has refused.
    async fn answer(&self) -> Result<Vec<u8>, ApplyError> {
        loop {
            if let Some(answer) = self.state.borrow_mut().answer.take() {
                return answer.map_err(ApplyError::Refused);
            }
            if self.is_hopeless() {
                return Err(self.complaint());
            }
            self.news.notified().await;
        }
    }

    fn is_hopeless(&self) -> bool {
        let state = self.state.borrow();
        let refused =
            |(_, _, why): &(String, Exit, Option<Ending>)| why.is_some_and(Ending::is_refusal);
        state.outcomes.len() >= self.addresses.len() && state.outcomes.values().all(refused)
    }

    /// What is in the way, as far as is known.
    fn complaint(&self) -> ApplyError {
        let state = self.state.borrow();
        if state.is_relay_up {
            return if state.is_authority_there {
                ApplyError::NoAnswer
            } else {
                ApplyError::NoAuthority
            };
        }
        let refused =
            |(_, _, why): &(String, Exit, Option<Ending>)| why.filter(|why| why.is_refusal());
        if let Some(why) = state.outcomes.values().find_map(refused) {
            return ApplyError::NotAdmitted(why);
        }
        let first = state.outcomes.values().next();
        let (line, exit) = first.map_or_else(
            || {
                let addresses = self.addresses.join(", ");
                let line = format!(
                    "{addresses}: no answer; does a relay run there, and is its UDP port open?"
                );
                (line, Exit::Unreachable)
            },
            |(line, exit, _)| (line.clone(), *exit),
        );
        ApplyError::NoRelay { line, exit }
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The authority says no.
    #[error(transparent)]
    Refused(#[from] EnrolRefusal),
    /// The relay's or this node's certificate is refused by the other.
    #[error("the relay is no help: {0}")]
    NotAdmitted(Ending),
    /// The relay does not take the token.
    #[error("the token is refused: {why}", why = token_fault(.0))]
    TokenNotAdmitted(Ending),
    /// No relay is reached.
    #[error("{line}")]
    NoRelay {
        /// Where, and what is known.
        line: String,
        /// The exit code that says so.
        exit: Exit,
    },
    /// The relay does not know the authority.
    #[error(
        "the relay is reached, and the fleet's authority is not connected to it: is `longrein authority serve` running?"
    )]
    NoAuthority,
    /// The authority said nothing in time.
    #[error("the authority does not answer in time: try again")]
    NoAnswer,
    /// What the authority sent is of no use.
    #[error("the authority's answer is of no use: {0}")]
    Unusable(#[from] CertificateError),
    /// The identity's key is of no use.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The system refused something that it always gives.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl ApplyError {
    /// The exit code of a program that gives up now.
    pub fn exit(&self) -> Exit {
        match self {
            ApplyError::Refused(EnrolRefusal::TokenExpired)
            | ApplyError::NotAdmitted(Ending::RefusedUs(CertificateFault::NotValidNow))
            | ApplyError::TokenNotAdmitted(Ending::RefusedUs(CertificateFault::NotValidNow)) => {
                Exit::Expired
            }
            ApplyError::Refused(_)
            | ApplyError::NotAdmitted(_)
            | ApplyError::TokenNotAdmitted(_) => Exit::Refused,
            ApplyError::NoRelay { exit, .. } => *exit,
            ApplyError::NoAuthority | ApplyError::NoAnswer => Exit::Unreachable,
            ApplyError::Unusable(_) | ApplyError::Key(_) | ApplyError::System(_) => Exit::Failed,
        }
    }

    /// A person with a token has no certificate yet, as far as they know.
    fn for_holder(self, is_token: bool) -> ApplyError {
        if is_token && let ApplyError::NotAdmitted(why) = self {
            return ApplyError::TokenNotAdmitted(why);
        }
        self
    }
}

fn token_fault(why: &Ending) -> &'static str {
    use CertificateFault::{NotValidNow, OtherAuthority, OtherNode};
    if matches!(why, Ending::RefusedUs(NotValidNow)) {
        "it has expired, or is not valid yet: ask for a new one"
    } else if matches!(
        why,
        Ending::RefusedThem(OtherAuthority | OtherNode)
            | Ending::RefusedUs(OtherAuthority | OtherNode)
    ) {
        "it is of another authority than the relay's"
    } else if matches!(why, Ending::RefusedThem(NotValidNow)) {
        "the relay's certificate is not valid at this machine's time: is its clock right?"
    } else {
        "the relay does not take it: ask for a new one"
    }
}
