//! A certificate is renewed before it ends, beside everything else that its node does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longrein_proto::base::limits::RENEWAL_APART_MAX;
use longrein_proto::crypto::{CertificateError, renewal_apart, renewal_due};
use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::folder::certificate_pem;
use super::{EnrolError, PATIENCE, apply, signing_request};
use crate::dial::Route;
use crate::entropy::SystemEntropy;
use crate::files::{self, write_atomic};
use crate::keys::{self, CERTIFICATE_FILE, Identity, KEY_FILE};
use crate::{clock, date};

/// Has the authority renew the certificate of a directory when that is due, for as long as this runs. Connections that are made
/// from then on show the new one; one that somebody else put into the directory is taken too.
///
/// `routes` are asked for each time, and `on_renewed` is called after each renewal.
// [WIRE-150]
pub async fn keep_renewed(
    identity: Identity,
    directory: PathBuf,
    routes: impl Fn() -> Vec<Route>,
    mut on_renewed: impl FnMut(),
) {
    let mut entropy = SystemEntropy::new();
    let mut told = String::new();
    // Whoever runs for a moment only does not begin.
    sleep(entropy.jitter(SETTLE)).await;
    loop {
        let before = identity.not_before();
        let outcome = if due_in(&identity).is_zero() {
            renew(&identity, &directory, routes()).await
        } else {
            match reread(&identity, &directory).await {
                Ok(()) => store_again(&identity, &directory).await,
                error => error,
            }
        };
        let certificate_until = date::utc(identity.not_after());
        if identity.not_before() != before {
            tracing::info!(certificate_until, "certificate is renewed");
            on_renewed();
        }
        let why = outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        if !why.is_empty() && why != told {
            tracing::warn!(certificate_until, why, "certificate cannot be renewed yet");
        }
        told = why;
        let apart = renewal_apart(identity.not_before(), identity.not_after());
        let due = due_in(&identity).min(RENEWAL_APART_MAX);
        sleep(due.max(entropy.jitter(apart))).await;
    }
}

/// Has the authority renew a certificate once, for the key that is there, unless another program did so just now. Of an agent it
/// may be over, for a time of grace.
///
/// # Errors
/// Why it is not renewed, or not stored.
// [WIRE-150]
pub async fn renew(
    identity: &Identity,
    directory: &Path,
    routes: Vec<Route>,
) -> Result<(), EnrolError> {
    let Some(_alone) = files::lock(&directory.join(KEY_FILE))? else {
        return Err(EnrolError::Busy);
    };
    reread(identity, directory).await?;
    if !due_in(identity).is_zero() {
        return Ok(());
    }
    let key = KeyPair::try_from(identity.key().secret_pkcs8_der()).map_err(EnrolError::Key)?;
    let request = signing_request(&key)?;
    let certificate = apply(identity, routes, identity.node(), request, PATIENCE).await?;
    // Who enrolled the machine anew meanwhile has replaced the key.
    reread(identity, directory).await?;
    let fleet = identity.fleet();
    let soon = clock::unix_time().as_secs().saturating_add(SOON_S);
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(soon));
    if let Err(error @ CertificateError::NotYetValid { .. }) = fleet.verify(&certificate, soon) {
        // Nobody else would take it either, and the one that is there lasts a while.
        return Err(EnrolError::Answer(error));
    }
    identity.show(certificate.clone())?;
    store(directory, &certificate).await
}

/// Writes the certificate that is shown if the folder has an older one: the disk did not take it when it was renewed.
async fn store_again(identity: &Identity, directory: &Path) -> Result<(), EnrolError> {
    let (file, shown) = (directory.join(CERTIFICATE_FILE), identity.certificate());
    let is_there = spawn_blocking(move || keys::certificates(&file));
    match is_there.await {
        Ok(Ok(there)) if there.first() != Some(&shown) => store(directory, &shown).await,
        Ok(Err(error)) => Err(error.into()),
        // It ends early with its runtime only.
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Takes what somebody else put into the directory. The disk may be slow, and nobody is to wait for it.
async fn reread(identity: &Identity, directory: &Path) -> Result<(), EnrolError> {
    let (identity, directory) = (identity.clone(), directory.to_path_buf());
    let read = spawn_blocking(move || identity.reread(&directory));
    // It ends early with its runtime only.
    Ok(read.await.unwrap_or(Ok(()))?)
}

async fn store(directory: &Path, certificate: &CertificateDer<'_>) -> Result<(), EnrolError> {
    let file = directory.join(CERTIFICATE_FILE);
    let pem = certificate_pem(certificate);
    let written = spawn_blocking(move || write_atomic(&file, pem.as_bytes()));
    Ok(written.await.unwrap_or(Ok(()))?)
}

fn due_in(identity: &Identity) -> Duration {
    let now = identity.fleet().time(clock::unix_time());
    let due = renewal_due(identity.not_before(), identity.not_after());
    Duration::from_secs(due.as_secs().saturating_sub(now.as_secs()))
}

/// Seconds by which a new certificate may begin later than this machine's clock says: clocks are off by minutes. An authority whose
/// clock is farther ahead renews nothing.
const SOON_S: u64 = 3_600;
/// Before the first look: what runs for a moment only, such as a verb of the command line, has ended by then.
const SETTLE: Duration = Duration::from_secs(3);
