//! The node that answers for the authority at the relays.

use longrein_io::keys::Identity;
use longrein_io::{clock, date, known_time};
use longrein_proto::crypto::renewal_due;

use crate::authority_server::AuthorityError;
use crate::fleet::{Authority, FleetFolder, NodeFiles, Validity};

/// The node that answers for the authority, with a key of its own that it never writes down.
pub(crate) struct OwnNode {
    files: NodeFiles,
    identity: Identity,
    life_s: u64,
}

impl OwnNode {
    /// A new one, whose certificates live so many seconds.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(folder: &FleetFolder, life_s: u64) -> Result<OwnNode, AuthorityError> {
        // [WIRE-149]
        let known = known_time::read(&folder.authority_directory());
        let now_s = clock::unix_time().max(known).as_secs();
        let files = folder
            .authority()
            .own_node(Validity::seconds(now_s, life_s))?;
        let identity = files.identity()?;
        identity.fleet().note_time(known);
        Ok(OwnNode {
            files,
            identity,
            life_s,
        })
    }

    /// Who it is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Gives it another certificate when that is due; whether it did.
    ///
    /// # Errors
    /// When the system gives no randomness.
    // [WIRE-150]
    pub(crate) fn renew_if_due(&self, authority: &Authority) -> Result<bool, AuthorityError> {
        let identity = &self.identity;
        let now = identity.fleet().time(clock::unix_time());
        if now < renewal_due(identity.not_before(), identity.not_after()) {
            return Ok(false);
        }
        let validity = Validity::seconds(now.as_secs(), self.life_s);
        identity.show(authority.renew(&self.files, validity)?)?;
        let certificate_until = date::utc(identity.not_after());
        tracing::info!(certificate_until, "certificate is renewed");
        Ok(true)
    }
}
