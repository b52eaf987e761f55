//! Whole numbers of JSON, in which `100.0` is one as `100` is: programs that reckon with fractions write it so.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A whole number of this type.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Whole::deserialize(deserializer)?.fit()
}

/// The same, or none.
pub(super) fn whole_or_none<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let number = Option::<Whole>::deserialize(deserializer)?;
    number.map(Whole::fit).transpose()
}

struct Whole(u64);

impl Whole {
    fn fit<T: TryFrom<u64>, E: Error>(self) -> Result<T, E> {
        let too_large = |_| E::custom(format!("{} is too large", self.0));
        T::try_from(self.0).map_err(too_large)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that is not negative")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        // What is no whole number of 64 bits has another text.
        let text = number.to_string();
        let whole = text.parse().map(Whole);
        whole.map_err(|_| E::invalid_value(Unexpected::Float(number), &self))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Lock {
        #[serde(deserialize_with = "whole")]
        ttl_ms: u32,
        #[serde(default, deserialize_with = "whole_or_none")]
        token: Option<u64>,
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written_and_nothing_else_is() {
        for text in [
            "{\"ttl_ms\": 100}",
            "{\"ttl_ms\": 100.0}",
            "{\"ttl_ms\": 1e2, \"token\": null}",
        ] {
            let read: Lock = serde_json::from_str(text).unwrap();
            assert_eq!(
                read,
                Lock {
                    ttl_ms: 100,
                    token: None
                }
            );
        }
        for text in ["-1", "1.5", "4294967296", "1e30", "\"1\"", "null", "true"] {
            let text = format!("{{\"ttl_ms\": {text}}}");
            assert!(serde_json::from_str::<Lock>(&text).is_err(), "{text}");
        }
        let read: Lock =
            serde_json::from_str("{\"ttl_ms\": 0, \"token\": 18446744073709551615}").unwrap();
        assert_eq!(read.token, Some(u64::MAX));
    }
}
