//! What compression does to messages.

use std::time::{Duration, Instant};

use longrein_proto::session::{
    Compressor, Decompressor, Dictionaries, DictionariesError, Dictionary,
};

/// Messages that were compressed as a session does it, and decompressed again.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Each message, in their order.
    pub messages: Vec<Measured>,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Its bytes.
    pub plain: usize,
    /// The bytes that are sealed instead, with the number of the dictionary; the same when it is left as it is.
    pub packed: usize,
    /// How long the try to compress it took.
    pub compress: Duration,
    /// How long it took to get it back; nothing when it is left as it is.
    pub decompress: Duration,
}

impl Trial {
    /// Compresses and decompresses each message, with the dictionary or without one.
    ///
    /// # Errors
    /// Never with a dictionary that was made.
    pub fn run<S: AsRef<[u8]>>(
        dictionary: Option<Dictionary>,
        messages: &[S],
    ) -> Result<Trial, DictionariesError> {
        let mut dictionaries = Dictionaries::new();
        let id = dictionary.as_ref().map_or(0, Dictionary::id);
        if let Some(dictionary) = dictionary {
            dictionaries.insert(dictionary, &[])?;
        }
        let mut compressor = Compressor::new(dictionaries.clone());
        let mut decompressor = Decompressor::new(dictionaries);
        let mut measure = |message: &S| {
            let message = message.as_ref();
            let began = Instant::now();
            let frame = compressor.compress(id, message);
            let compressed = Instant::now();
            let back = frame
                .as_ref()
                .map(|frame| decompressor.decompress(id, frame));
            let decompressed = Instant::now();
            debug_assert!(back.is_none_or(|back| back.as_deref() == Ok(message)));
            Measured {
                plain: message.len(),
                packed: frame.as_ref().map_or(message.len(), |f| f.len() + ID_BYTES),
                compress: compressed - began,
                decompress: frame.map_or(Duration::ZERO, |_| decompressed - compressed),
            }
        };
        // The first ones find cold caches and make the contexts.
        for message in messages.iter().take(WARM_UP) {
            measure(message);
        }
        Ok(Trial {
            messages: messages.iter().map(measure).collect(),
        })
    }

    /// How many times smaller all messages together get.
    pub fn ratio(&self) -> f64 {
        self.plain_bytes() as f64 / self.packed_bytes().max(1) as f64
    }

    /// Bytes of all messages.
    pub fn plain_bytes(&self) -> usize {
        self.messages.iter().map(|one| one.plain).sum()
    }

    /// Bytes that are sealed instead.
    pub fn packed_bytes(&self) -> usize {
        self.messages.iter().map(|one| one.packed).sum()
    }

    /// Messages that would not get smaller, and are left as they are.
    pub fn left_alone(&self) -> usize {
        let alone = |one: &&Measured| one.packed == one.plain;
        self.messages.iter().filter(alone).count()
    }
}

/// What the number of the dictionary takes in the sealed content.
const ID_BYTES: usize = 2;
/// Messages before the measurement.
const WARM_UP: usize = 100;
