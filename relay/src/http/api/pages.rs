//! Pages of lists, and where they go on.

use longrein_proto::base::NodeName;
use longrein_proto::base::limits::PAGE_COUNT_MAX;
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

use super::words::{Kind, Word};

/// Entries of a page at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 1_000, default = 100)]
pub(super) struct Limit(u32);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        let limit = u32::deserialize(deserializer)?;
        if (1..=PAGE_COUNT_MAX).contains(&limit) {
            Ok(Limit(limit))
        } else {
            Err(de::Error::custom(format!("must be 1 to {PAGE_COUNT_MAX}")))
        }
    }
}

impl Limit {
    /// What was asked for, or 100.
    pub(super) fn of(asked: Option<Limit>) -> u32 {
        asked.map_or(DEFAULT, |Limit(limit)| limit)
    }
}

/// The node of a path.
pub(super) fn node(kind: Kind, name: Word) -> NodeName {
    NodeName::new(kind.into(), name.0)
}

const DEFAULT: u32 = 100;
