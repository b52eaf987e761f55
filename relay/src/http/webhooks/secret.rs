//! What signs: the secrets that sender and receiver share, and signatures as the Standard Webhooks specification has them.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// The secrets of a webhook: with each of them everything is signed, so that a receiver can change over.
pub(super) struct Secrets(Vec<Key>);

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    /// A name without a folder is a credential, and the service manager gave none.
    #[error(
        "`{0}` is the name of a credential (LoadCredential=), and systemd gave none; a file is named from `/` on"
    )]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is something else in it. What it is, is said to nobody.
    #[error(
        "{}: expected 1 to {SECRETS_MAX} lines, each `whsec_` and 24 to 64 bytes in base64: echo \"whsec_$(openssl rand -base64 32)\"",
        .0.display()
    )]
    Content(PathBuf),
}

impl Secrets {
    /// Those of a file; a bare name is one in the folder of the credentials that systemd hands over.
    pub(super) fn read(file: &Path, credentials: Option<&Path>) -> Result<Secrets, SecretError> {
        let file = match credentials {
            _ if file.is_absolute() => file.to_path_buf(),
            Some(folder) => folder.join(file),
            None => return Err(SecretError::NoCredentials(file.display().to_string())),
        };
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|source| SecretError::Read {
            file: file.clone(),
            source,
        })?;
        Secrets::parse(&text).ok_or(SecretError::Content(file))
    }

    fn parse(text: &str) -> Option<Secrets> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        let keys: Option<Vec<Key>> = lines.take(SECRETS_MAX + 1).map(key).collect();
        keys.filter(|keys| (1..=SECRETS_MAX).contains(&keys.len()))
            .map(Secrets)
    }

    /// The header `webhook-signature`: a signature with each secret.
    pub(super) fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp_s}.").into_bytes();
        signed.extend_from_slice(body);
        let signature = |key| format!("v1,{}", STANDARD.encode(sign(key, &signed)));
        let signatures: Vec<String> = self.0.iter().map(signature).collect();
        signatures.join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn key(line: &str) -> Option<Key> {
    let bytes = STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
    let is_long_enough = (24..=64).contains(&bytes.len());
    is_long_enough.then(|| Key::new(HMAC_SHA256, &bytes))
}

/// The one that counts, and those that are on their way out or in.
const SECRETS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signature_is_as_the_specification_has_it() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signature = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn with_two_secrets_everything_is_signed_twice() {
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let both = format!("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n{one}\n");
        let [one, both] = [one, &both].map(|text| Secrets::parse(text).unwrap());
        let single = one.sign("msg_1", 1, b"x");
        let double = both.sign("msg_1", 1, b"x");
        assert_eq!(double.split(' ').count(), 2);
        assert!(double.ends_with(&single));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_no_error_shows_it() {
        for text in ["", "secret", "whsec_", "whsec_AAAA", "whsec_?"] {
            assert!(Secrets::parse(text).is_none(), "{text}");
        }
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
        let error = Secrets::read(Path::new("erp"), None).unwrap_err();
        assert!(error.to_string().contains("LoadCredential="), "{error}");
    }
}
