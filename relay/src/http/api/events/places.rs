//! How many streams there are at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use longrein_proto::base::NodeName;

use crate::http::problem::Problem;

/// Streams at once, in all and of each service.
pub(in crate::http::api) struct Places {
    most: usize,
    taken: Mutex<BTreeMap<NodeName, usize>>,
}

/// A stream's place, given back when it is dropped.
pub(super) struct Taken {
    places: Arc<Places>,
    node: NodeName,
}

impl Places {
    /// Half of the connections that may be: the others are for requests.
    pub(in crate::http::api) fn new(connections: usize) -> Places {
        Places {
            most: (connections / 2).max(1),
            taken: Mutex::default(),
        }
    }

    pub(super) fn take(self: &Arc<Self>, node: &NodeName) -> Result<Taken, Problem> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (
            taken.values().sum::<usize>(),
            taken.get(node).copied().unwrap_or(0),
        );
        if all >= self.most || own >= OWN_MAX {
            let detail = format!(
                "there are {all} streams, {own} of them of this service: at most {} and {OWN_MAX} may be",
                self.most
            );
            let title = "Too many streams at once";
            let status = StatusCode::CONFLICT;
            return Err(Problem::new(status, "too-many-streams", title, detail));
        }
        *taken.entry(node.clone()).or_default() += 1;
        Ok(Taken {
            places: Arc::clone(self),
            node: node.clone(),
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self
            .places
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.node) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.node);
            }
        }
    }
}

/// Streams of one service: several programs that each read a few.
const OWN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_stream_is_over() {
        let places = Arc::new(Places::new(2));
        let node = "service/erp".parse().unwrap();
        let first = places.take(&node).unwrap_or_else(|_| panic!("a place"));
        assert!(places.take(&node).is_err());
        drop(first);
        assert!(places.take(&node).is_ok());
    }
}
