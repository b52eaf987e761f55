//! What the authority has written down: its tokens, and what it signed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use longrein_io::files::{make_private_directory, write_atomic};
use longrein_proto::base::{Name, NodeName};
use longrein_proto::crypto::{Issued, Token, TokenNames};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FleetError;

/// The files of the authority's folder that say which tokens there are and what was signed; each is whole after any crash.
#[derive(Debug)]
pub struct Register {
    folder: PathBuf,
}

/// A certificate that was signed, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What decides who may have it again.
    pub issued: Issued,
    /// The certificate (DER).
    pub certificate: Vec<u8>,
}

impl Register {
    /// That of an authority's folder.
    pub fn new(folder: impl Into<PathBuf>) -> Register {
        Register {
            folder: folder.into(),
        }
    }

    /// Writes a token down.
    ///
    /// # Errors
    /// [`FleetError::File`] when the system refuses.
    pub fn write_token(&self, token: &Token) -> Result<(), FleetError> {
        let text = TokenText {
            certificate_sha256: hex(&token.fingerprint),
            kind: token.kind.as_str().to_string(),
            name: match &token.names {
                TokenNames::One(name) => Some(name.to_string()),
                TokenNames::Prefix(_) => None,
            },
            name_prefix: match &token.names {
                TokenNames::One(_) => None,
                TokenNames::Prefix(prefix) => Some(prefix.to_string()),
            },
            groups: token.groups.iter().map(Name::to_string).collect(),
            expires_s: token.expires_s,
            uses: token.uses,
            used: token.used.iter().map(Name::to_string).collect(),
        };
        self.write(&self.token_file(&token.id), &text)
    }

    /// The token of this name, if there is one.
    ///
    /// # Errors
    /// [`FleetError::BadRegister`] when its file is damaged, [`FleetError::File`] when it cannot be read.
    pub fn token(&self, id: &Name) -> Result<Option<Token>, FleetError> {
        let file = self.token_file(id);
        let Some(text) = read::<TokenText>(&file)? else {
            return Ok(None);
        };
        let damaged = || FleetError::BadRegister(file.clone());
        let token = text.token(id).ok_or_else(damaged)?;
        Ok(Some(token))
    }

    /// Writes down what was signed for a node; whatever was before gives way.
    ///
    /// # Errors
    /// [`FleetError::File`] when the system refuses.
    pub fn write_signed(&self, node: &NodeName, signed: &Signed) -> Result<(), FleetError> {
        let text = SignedText {
            token: signed.issued.token.as_ref().map(Name::to_string),
            key_sha256: hex(&signed.issued.key),
            certificate: hex(&signed.certificate),
        };
        self.write(&self.signed_file(node), &text)
    }

    /// What was signed last for a node.
    ///
    /// # Errors
    /// [`FleetError::BadRegister`] when its file is damaged, [`FleetError::File`] when it cannot be read.
    pub fn signed(&self, node: &NodeName) -> Result<Option<Signed>, FleetError> {
        let file = self.signed_file(node);
        let Some(text) = read::<SignedText>(&file)? else {
            return Ok(None);
        };
        let signed = || {
            let token = text.token.as_ref().map(|id| id.parse()).transpose().ok()?;
            Some(Signed {
                issued: Issued {
                    token,
                    key: unhex(&text.key_sha256)?.try_into().ok()?,
                },
                certificate: unhex(&text.certificate)?,
            })
        };
        signed().map(Some).ok_or(FleetError::BadRegister(file))
    }

    fn write(&self, file: &Path, text: &impl Serialize) -> Result<(), FleetError> {
        if let Some(folder) = file.parent() {
            make_private_directory(folder)?;
        }
        let text = serde_json::to_value(text).unwrap_or(Value::Null);
        Ok(write_atomic(file, format!("{text:#}\n").as_bytes())?)
    }

    fn token_file(&self, id: &Name) -> PathBuf {
        self.folder.join("tokens").join(format!("{id}.json"))
    }

    fn signed_file(&self, node: &NodeName) -> PathBuf {
        let name = format!("{}-{}.json", node.kind.as_str(), node.name);
        self.folder.join("signed").join(name)
    }
}

/// A token's file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TokenText {
    certificate_sha256: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_prefix: Option<String>,
    groups: Vec<String>,
    expires_s: u64,
    uses: u32,
    used: Vec<String>,
}

impl TokenText {
    fn token(self, id: &Name) -> Option<Token> {
        let parse = |names: Vec<String>| {
            let names = names.iter().map(|name| name.parse());
            names.collect::<Result<_, _>>().ok()
        };
        let node: NodeName = format!("{}/{id}", self.kind).parse().ok()?;
        Some(Token {
            id: id.clone(),
            fingerprint: unhex(&self.certificate_sha256)?.try_into().ok()?,
            kind: node.kind,
            names: match (self.name, self.name_prefix) {
                (Some(name), None) => TokenNames::One(name.parse().ok()?),
                (None, Some(prefix)) => TokenNames::Prefix(prefix.parse().ok()?),
                (None, None) | (Some(_), Some(_)) => return None,
            },
            groups: parse(self.groups)?,
            expires_s: self.expires_s,
            uses: self.uses,
            used: self
                .used
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()
                .ok()?,
        })
    }
}

/// The file of a certificate that was signed.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignedText {
    token: Option<String>,
    key_sha256: String,
    certificate: String,
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<Option<T>, FleetError> {
    match fs::read(file) {
        Ok(bytes) => {
            let text = serde_json::from_slice(&bytes);
            text.map(Some)
                .map_err(|_| FleetError::BadRegister(file.to_path_buf()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(FleetError::Io {
            path: file.to_path_buf(),
            why,
        }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_fleet::Folder;

    #[test]
    fn what_was_written_down_is_read_back_the_same() {
        let folder = Folder::new().unwrap();
        let register = Register::new(folder.path().join("authority"));
        let mut token = Token {
            id: "0a1b".parse().unwrap(),
            fingerprint: [0xab; 32],
            kind: longrein_proto::base::NodeKind::Agent,
            names: TokenNames::One("truck-17".parse().unwrap()),
            groups: vec!["yard".parse().unwrap()],
            expires_s: 1_800_000_000,
            uses: 3,
            used: ["truck-17".parse().unwrap()].into(),
        };
        assert_eq!(register.token(&token.id).unwrap(), None);
        for names in [
            token.names.clone(),
            TokenNames::Prefix("dev-".parse().unwrap()),
        ] {
            token.names = names;
            register.write_token(&token).unwrap();
            assert_eq!(register.token(&token.id).unwrap(), Some(token.clone()));
        }
        let node = "agent/truck-17".parse().unwrap();
        assert_eq!(register.signed(&node).unwrap(), None);
        for token in [None, Some(token.id)] {
            let issued = Issued {
                token,
                key: [0x01; 32],
            };
            let signed = Signed {
                issued,
                certificate: vec![0, 0x7f, 0xff],
            };
            register.write_signed(&node, &signed).unwrap();
            assert_eq!(register.signed(&node).unwrap(), Some(signed));
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = Folder::new().unwrap();
        let register = Register::new(folder.path());
        fs::create_dir(folder.path().join("tokens")).unwrap();
        let file = folder.path().join("tokens/t.json");
        for damaged in ["", "{}", "{\"uses\": 1"] {
            fs::write(&file, damaged).unwrap();
            let error = register.token(&"t".parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("t.json"), "{error}");
        }
    }
}
