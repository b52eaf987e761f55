//! `[[dictionary]]`: dictionaries for compression, from their files.

use std::path::PathBuf;

use longrein_proto::base::Name;
use longrein_proto::session::{Dictionaries, Dictionary};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, as_texts};
use crate::files::read;

/// `[[dictionary]]`: a dictionary for compression, trained by `longrein dictionary train`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DictionarySection {
    /// The dictionary.
    pub file: PathBuf,
    /// Its number, when it is not to be the one in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// What is sent on these functions is compressed with it; without any it is only for what others send.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_texts")]
    pub functions: Vec<Name>,
}

/// The dictionaries of all sections, prepared for use.
///
/// # Errors
/// Which file cannot be used and why, or which section does not go with the others.
pub fn dictionaries(sections: &[DictionarySection]) -> Result<Dictionaries, ConfigError> {
    let mut dictionaries = Dictionaries::new();
    for section in sections {
        let place = || format!("[[dictionary]] {}", section.file.display());
        let bytes = read(&section.file).map_err(|error| ConfigError::Wrong {
            place: "[[dictionary]]".to_string(),
            what: error.to_string(),
        })?;
        let dictionary =
            Dictionary::new(&bytes, section.id).map_err(|error| ConfigError::Wrong {
                place: place(),
                what: format!("{error}; make one with `longrein dictionary train`"),
            })?;
        dictionaries
            .insert(dictionary, &section.functions)
            .map_err(|error| ConfigError::Wrong {
                place: place(),
                what: error.to_string(),
            })?;
    }
    Ok(dictionaries)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The head of a dictionary and nothing behind it.
    const DAMAGED: &[u8] = &[0x37, 0xa4, 0x30, 0xec, 9, 0, 0, 0, 1, 2, 3];

    #[test]
    fn a_file_that_is_no_dictionary_is_named_with_what_to_do() {
        let name = format!("longrein-{}-dictionaries", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let said = |name: &str, content: &[u8]| {
            let file = folder.join(name);
            fs::write(&file, content).unwrap();
            let section = DictionarySection {
                file,
                id: None,
                functions: Vec::new(),
            };
            dictionaries(&[section]).unwrap_err().to_string()
        };
        let text = said("text.zdict", b"{}");
        assert!(text.starts_with("[[dictionary]] "), "{text}");
        assert!(
            text.ends_with("text.zdict: is no trained zstd dictionary; make one with `longrein dictionary train`"),
            "{text}"
        );
        let damaged = said("damaged.zdict", DAMAGED);
        assert!(
            damaged.contains("is a damaged zstd dictionary"),
            "{damaged}"
        );
        let long = said("long.zdict", &[7; 112 * 1024 + 1]);
        assert!(
            long.contains("has 114689 bytes, and a dictionary has at most 114688"),
            "{long}"
        );
        let missing = DictionarySection {
            file: folder.join("missing.zdict"),
            id: None,
            functions: Vec::new(),
        };
        let missing = dictionaries(&[missing]).unwrap_err().to_string();
        assert!(
            missing.starts_with("[[dictionary]]: cannot read "),
            "{missing}"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
