//! The folder of an identity while it comes to be.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem, encode_config};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::EnrolError;
use crate::files::{self, FileError, make_private_directory, write_atomic};
use crate::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE};

/// # Errors
/// When there is an identity that shall stay.
pub(super) fn check(directory: &Path, replace: bool) -> Result<(), EnrolError> {
    let held = [CERTIFICATE_FILE, KEY_FILE].map(|file| directory.join(file).exists());
    // Of an enrolment that was interrupted while it wrote, the key is still pending.
    let is_finished = held.contains(&true) && !pending(directory).exists();
    if is_finished && !replace {
        return Err(EnrolError::Exists(directory.to_path_buf()));
    }
    Ok(())
}

/// The key of an attempt that was interrupted, or a new one; on disk before anybody hears of it.
pub(super) fn pending_key(directory: &Path) -> Result<KeyPair, EnrolError> {
    let file = pending(directory);
    match fs::metadata(&file) {
        Ok(_) => {
            let text = Zeroizing::new(files::read(&file)?);
            let text = std::str::from_utf8(&text).unwrap_or_default();
            KeyPair::from_pem(text).map_err(EnrolError::Key)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_private_directory(directory)?;
            let key = KeyPair::generate_for(&PKCS_ED25519).map_err(EnrolError::Key)?;
            let text = Zeroizing::new(key.serialize_pem());
            write_atomic(&file, text.as_bytes())?;
            Ok(key)
        }
        Err(source) => Err(FileError::reading(&file, source).into()),
    }
}

/// Keeps the identity; the pending key goes last, so that whoever is interrupted here can do it again.
pub(super) fn keep(
    directory: &Path,
    authority: &CertificateDer<'_>,
    certificate: &CertificateDer<'_>,
    key: &KeyPair,
) -> Result<(), EnrolError> {
    let key = Zeroizing::new(key.serialize_pem());
    for (file, text) in [
        (AUTHORITY_FILE, certificate_pem(authority).as_bytes()),
        (KEY_FILE, key.as_bytes()),
        (CERTIFICATE_FILE, certificate_pem(certificate).as_bytes()),
    ] {
        write_atomic(&directory.join(file), text)?;
    }
    let pending = pending(directory);
    fs::remove_file(&pending).map_err(|source| FileError {
        file: pending,
        doing: "remove",
        source,
    })?;
    Ok(())
}

/// A certificate as files hold it.
pub(crate) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    encode_config(&Pem::new("CERTIFICATE", certificate.as_ref()), config)
}

fn pending(directory: &Path) -> PathBuf {
    directory.join("enrolling.key")
}
