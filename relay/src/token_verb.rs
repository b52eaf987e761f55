//! `longrein-relay token`: keys and tokens for the HTTP API, so that nobody needs a service for them.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use longrein_io::clock;
use longrein_io::entropy::SystemEntropy;
use longrein_io::exit::Exit;
use longrein_io::files::{FileError, write_atomic};
use longrein_proto::base::{Entropy, Name};
use longrein_proto::hub::HubRight;
use pem::Pem;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use crate::config::Config;
use crate::http::ED25519_SPKI;

/// Make a token for the HTTP API, or the key that signs tokens, then end
///
/// The token goes to standard output. Who has it speaks as service/<name>, and may do what its scope says: give it to one program,
/// for as long as that needs it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct TokenArgs {
    /// Make a key: the private one in this file, the public one beside it with `.pub` behind its name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "key"])]
    new_key: Option<PathBuf>,

    /// Service that the token is for
    #[arg(long, value_name = "NAME", required_unless_present = "new_key")]
    name: Option<Name>,

    /// What it may, with spaces between: hub.read hub.join hub.send hub.write hub.manage
    #[arg(long, value_name = "WORDS", default_value = "hub.read")]
    scope: String,

    /// How long it is good, as 90s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    ttl: u64,

    /// Private key that signs it; without one `private` of the first [[http.token_key]] that has it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Why there is no token or key.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The scope has a word that is none.
    #[error("--scope: `{0}` is none of hub.read, hub.join, hub.send, hub.write, hub.manage")]
    Scope(String),
    /// Nothing says which key signs.
    #[error(
        "no key: --key names one, or `private` of a [[http.token_key]] does; --new-key makes one"
    )]
    NoKey,
    /// The key cannot be read, or is no key.
    #[error("{file}: {what}")]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is a file already.
    #[error("{0}: there is something already; a new key has another name")]
    Exists(PathBuf),
    /// The key cannot be kept.
    #[error(transparent)]
    File(#[from] FileError),
}

impl TokenError {
    /// The program's exit code.
    pub fn exit(&self) -> Exit {
        match self {
            TokenError::Scope(_) | TokenError::NoKey | TokenError::Exists(_) => Exit::Usage,
            TokenError::Key { .. } | TokenError::File(_) => Exit::Failed,
        }
    }
}

impl TokenArgs {
    /// What goes to standard output: the token, or nothing.
    pub(crate) fn act(&self, config: &Config) -> Result<String, TokenError> {
        if let Some(file) = &self.new_key {
            make_key(file)?;
            return Ok(String::new());
        }
        let sections = &config.http.keys;
        let own = match &self.key {
            // The section's, if it is one's: for its name and its audience.
            Some(file) => sections
                .iter()
                .find(|section| section.private.as_ref() == Some(file)),
            None => sections.iter().find(|section| section.private.is_some()),
        };
        let file = self
            .key
            .as_ref()
            .or(own.and_then(|section| section.private.as_ref()));
        let pair = read_key(file.ok_or(TokenError::NoKey)?)?;
        for word in self.scope.split_whitespace() {
            let is_right = |right: &HubRight| word.strip_prefix("hub.") == Some(right.as_str());
            if !HubRight::ALL.iter().any(is_right) {
                return Err(TokenError::Scope(word.to_string()));
            }
        }
        let mut id = [0; 16];
        SystemEntropy::new().fill(&mut id);
        let now_s = clock::unix_ms() / 1_000;
        let mut head = json!({ "alg": "EdDSA", "typ": "JWT" });
        if let (Some(head), Some(section)) = (head.as_object_mut(), own) {
            head.insert("kid".to_string(), section.name.to_string().into());
        }
        let claims = json!({
            "sub": self.name.as_ref().map(ToString::to_string),
            "scope": self.scope,
            "aud": own.map_or("longrein", |section| &section.audience),
            "iat": now_s,
            "exp": now_s.saturating_add(self.ttl),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}\n"))
    }
}

/// Makes a pair of keys, and says what to write into the configuration.
fn make_key(file: &Path) -> Result<(), TokenError> {
    let mut public = file.as_os_str().to_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    for file in [file, &public] {
        if file.exists() {
            return Err(TokenError::Exists(file.to_path_buf()));
        }
    }
    let wrong = |what: &str| TokenError::Key {
        file: file.to_path_buf(),
        what: what.to_string(),
    };
    let secret = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| wrong("the system gives no randomness"))?;
    let pair =
        Ed25519KeyPair::from_pkcs8(secret.as_ref()).map_err(|_| wrong("the new key is none"))?;
    write_atomic(
        file,
        pem::encode(&Pem::new("PRIVATE KEY", secret.as_ref())).as_bytes(),
    )?;
    let spki = [ED25519_SPKI, pair.public_key().as_ref()].concat();
    // Whoever verifies may be another user.
    std::fs::write(&public, pem::encode(&Pem::new("PUBLIC KEY", spki))).map_err(|error| {
        TokenError::Key {
            file: public.clone(),
            what: error.to_string(),
        }
    })?;
    eprintln!(
        "the key is in {}; the relay believes its tokens with these lines in its configuration:\n\n\
         [[http.token_key]]\nname = \"own\"\nfile = {public:?}\nprivate = {file:?}",
        file.display()
    );
    Ok(())
}

fn read_key(file: &Path) -> Result<Ed25519KeyPair, TokenError> {
    let wrong = |what: String| TokenError::Key {
        file: file.to_path_buf(),
        what,
    };
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let block = pem::parse(text).map_err(|error| wrong(error.to_string()))?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(block.contents())
        .map_err(|_| wrong("it is no private Ed25519 key (PKCS #8)".to_string()))
}

/// A time as `90s`, `15m`, `12h` or `30d`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number with s, m, h or d behind it, up to 3650d".to_string();
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let read = |(unit, seconds)| Some((text.strip_suffix(unit)?, seconds));
    let (number, unit) = units.into_iter().find_map(read).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.saturating_mul(unit);
    (1..=TTL_MAX_S)
        .contains(&seconds)
        .then_some(seconds)
        .ok_or_else(wrong)
}

/// Seconds: ten years.
const TTL_MAX_S: u64 = 3_650 * 86_400;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, for example as the key cannot be read; 2 the command line or the configuration \
is wrong, no key is named, or a new one would replace another file.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_an_end() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("1h"), Ok(3_600));
        assert_eq!(seconds("30d"), Ok(30 * 86_400));
        for text in ["", "h", "90", "-1s", "0s", "4000d", "1hh"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
