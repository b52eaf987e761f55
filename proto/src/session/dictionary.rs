//! Trained dictionaries for compression.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring::digest;
use zstd::zstd_safe::{CDict, DDict};

use super::compress::LEVEL;
use crate::base::Name;
use crate::base::limits::{DICTIONARIES_MAX, DICTIONARY_BYTES_MAX};
use crate::wire::DictionaryTag;

/// A trained zstd dictionary, prepared once for all sessions.
pub struct Dictionary {
    tag: DictionaryTag,
    pub(super) compressing: CDict<'static>,
    pub(super) decompressing: DDict<'static>,
}

impl Dictionary {
    /// Prepares what zstd's trainer made. Its number is `id`, or else the one in its header.
    ///
    /// # Errors
    /// [`DictionaryError`]: why it is of no use.
    pub fn new(bytes: &[u8], id: Option<u16>) -> Result<Dictionary, DictionaryError> {
        if bytes.len() > DICTIONARY_BYTES_MAX {
            return Err(DictionaryError::TooLong(bytes.len()));
        }
        let content = bytes
            .split_first_chunk::<4>()
            .filter(|(magic, _)| **magic == DICTIONARY_MAGIC)
            .and_then(|(_, rest)| rest.split_first_chunk::<4>());
        let Some((header_id, content)) = content else {
            return Err(DictionaryError::NotTrained);
        };
        let header_id = u32::from_le_bytes(*header_id);
        let id = id
            .or_else(|| u16::try_from(header_id).ok())
            .filter(|id| *id > 0)
            .ok_or(DictionaryError::NoId(header_id))?;
        // [WIRE-124] Without a number of its own zstd writes none into its frames.
        let nameless = [&DICTIONARY_MAGIC[..], &[0; 4], content].concat();
        let compressing = CDict::try_create(&nameless, LEVEL);
        let decompressing = DDict::try_create(&nameless);
        let (Some(compressing), Some(decompressing)) = (compressing, decompressing) else {
            return Err(DictionaryError::Damaged);
        };
        let hash = digest::digest(&digest::SHA256, &nameless);
        let (digest, _) = hash
            .as_ref()
            .split_first_chunk()
            .ok_or(DictionaryError::Damaged)?;
        Ok(Dictionary {
            tag: DictionaryTag {
                id,
                digest: *digest,
            },
            compressing,
            decompressing,
        })
    }

    /// Its number, which is not 0.
    pub const fn id(&self) -> u16 {
        self.tag.id
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dictionary").field(&self.tag).finish()
    }
}

/// Why bytes are no dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// They do not begin as a dictionary does.
    #[error("is no trained zstd dictionary")]
    NotTrained,
    /// They begin so, and zstd does not take the rest.
    #[error("is a damaged zstd dictionary")]
    Damaged,
    /// They are too many.
    #[error("has {0} bytes, and a dictionary has at most {DICTIONARY_BYTES_MAX}")]
    TooLong(usize),
    /// The number in the header is not of this range, and no other is given.
    #[error("has the number {0}, and it must be 1 to 65535")]
    NoId(u32),
}

/// The dictionaries of a node, and the functions whose messages it compresses with them.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    by_id: BTreeMap<u16, Arc<Dictionary>>,
    of_function: BTreeMap<Name, u16>,
}

impl Dictionaries {
    /// No dictionaries.
    pub const fn new() -> Dictionaries {
        Dictionaries {
            by_id: BTreeMap::new(),
            of_function: BTreeMap::new(),
        }
    }

    /// Adds a dictionary. What this node sends on these functions is compressed with it; without any it is only for what
    /// others send.
    ///
    /// # Errors
    /// [`DictionariesError`]: it is not added.
    // [WIRE-125]
    pub fn insert(
        &mut self,
        dictionary: Dictionary,
        functions: &[Name],
    ) -> Result<(), DictionariesError> {
        let id = dictionary.id();
        if self.by_id.contains_key(&id) {
            return Err(DictionariesError::SameId(id));
        }
        if self.by_id.len() >= DICTIONARIES_MAX {
            return Err(DictionariesError::TooMany);
        }
        let mut of_function = self.of_function.clone();
        for name in functions {
            if of_function.insert(name.clone(), id).is_some() {
                return Err(DictionariesError::FunctionTwice(name.clone()));
            }
        }
        self.of_function = of_function;
        self.by_id.insert(id, Arc::new(dictionary));
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What is told of them, in the order of their numbers.
    pub(super) fn tags(&self) -> Vec<DictionaryTag> {
        self.by_id.values().map(|one| one.tag).collect()
    }

    pub(super) fn get(&self, id: u16) -> Option<&Dictionary> {
        self.by_id.get(&id).map(AsRef::as_ref)
    }

    pub(super) fn of_function(&self, name: &Name) -> Option<u16> {
        self.of_function.get(name).copied()
    }
}

/// Why a dictionary does not go with the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionariesError {
    /// There are as many as there may be.
    #[error("at most {DICTIONARIES_MAX} dictionaries")]
    TooMany,
    /// Another one has its number.
    #[error("the number {0} is used twice")]
    SameId(u16),
    /// Another one is for the same function.
    #[error("the function {0} has two dictionaries")]
    FunctionTwice(Name),
}

/// What a trained dictionary begins with (RFC 8878 §5).
const DICTIONARY_MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples::{status, trained};

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_no_dictionary_is_refused_with_its_reason() {
        let right = trained();
        let of = |bytes: &[u8], id| Dictionary::new(bytes, id).map(|one| one.id());
        assert_eq!(of(&right, Some(7)), Ok(7));
        assert_eq!(of(&status(1), Some(7)), Err(DictionaryError::NotTrained));
        assert_eq!(of(&right[..7], Some(7)), Err(DictionaryError::NotTrained));
        assert_eq!(of(&right[..20], Some(7)), Err(DictionaryError::Damaged));
        assert_eq!(
            of(&right, Some(0)),
            Err(DictionaryError::NoId(header_id(&right)))
        );
        let long = [right, vec![0; DICTIONARY_BYTES_MAX]].concat();
        assert_eq!(
            of(&long, Some(7)),
            Err(DictionaryError::TooLong(long.len()))
        );
    }

    fn header_id(bytes: &[u8]) -> u32 {
        u32::from_le_bytes(bytes[4..8].try_into().unwrap())
    }

    #[test]
    fn the_number_of_the_header_counts_when_no_other_is_given() {
        let mut bytes = trained();
        assert!(header_id(&bytes) > u16::MAX.into(), "the trainer's own");
        assert!(matches!(
            Dictionary::new(&bytes, None),
            Err(DictionaryError::NoId(_))
        ));
        bytes[4..8].copy_from_slice(&513_u32.to_le_bytes());
        assert_eq!(Dictionary::new(&bytes, None).unwrap().id(), 513);
        let renamed = Dictionary::new(&bytes, Some(9)).unwrap();
        assert_eq!(renamed.id(), 9);
        let same = Dictionary::new(&trained(), Some(9)).unwrap();
        assert_eq!(renamed.tag, same.tag, "the digest is of the content");
    }

    // [WIRE-125]
    #[test]
    fn numbers_and_functions_are_used_once_and_there_are_at_most_16() {
        let one = |id| Dictionary::new(&trained(), Some(id)).unwrap();
        let mut dictionaries = Dictionaries::new();
        dictionaries
            .insert(one(1), &names(&["arm", "lights"]))
            .unwrap();
        assert_eq!(
            dictionaries.insert(one(1), &[]),
            Err(DictionariesError::SameId(1))
        );
        let twice = dictionaries.insert(one(2), &names(&["tunnel", "arm"]));
        assert_eq!(
            twice,
            Err(DictionariesError::FunctionTwice("arm".parse().unwrap()))
        );
        assert_eq!(dictionaries.of_function(&"tunnel".parse().unwrap()), None);
        for id in 2..=16 {
            dictionaries.insert(one(id), &[]).unwrap();
        }
        assert_eq!(
            dictionaries.insert(one(17), &[]),
            Err(DictionariesError::TooMany)
        );
        assert_eq!(dictionaries.tags().len(), DICTIONARIES_MAX);
    }
}
