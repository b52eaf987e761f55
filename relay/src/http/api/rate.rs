//! How often a service may ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use longrein_proto::base::NodeName;

/// A bucket of requests for each service, filled again as time goes by.
pub(super) struct Rates {
    per_s: u64,
    burst: u64,
    buckets: Mutex<BTreeMap<NodeName, Bucket>>,
}

/// In thousandths of requests.
#[derive(Clone, Copy)]
struct Bucket {
    left: u64,
    at: Instant,
}

/// What is left of a service's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) requests: u64,
    /// Until it is one more.
    pub(super) wait: Duration,
    per_s: u64,
    burst: u64,
}

impl Rates {
    pub(super) fn new(per_s: u32, burst: u32) -> Rates {
        Rates {
            per_s: per_s.into(),
            burst: burst.into(),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request out of a service's bucket; what is left then, or none if there was none.
    pub(super) fn take(&self, now: Instant, node: &NodeName) -> Result<Left, Left> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            // A bucket that is full again says nothing.
            buckets.retain(|_, bucket| bucket.filled(now, self.per_s) < self.burst * WHOLE);
        }
        let full = Bucket {
            left: self.burst * WHOLE,
            at: now,
        };
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(node) {
            return Ok(self.left(full.left));
        }
        let bucket = buckets.entry(node.clone()).or_insert(full);
        let left = bucket.filled(now, self.per_s).min(self.burst * WHOLE);
        let is_enough = left >= WHOLE;
        *bucket = Bucket {
            left: if is_enough { left - WHOLE } else { left },
            at: now,
        };
        let left = self.left(bucket.left);
        if is_enough { Ok(left) } else { Err(left) }
    }

    fn left(&self, thousandths: u64) -> Left {
        let missing = WHOLE - thousandths % WHOLE;
        Left {
            requests: thousandths / WHOLE,
            wait: Duration::from_millis(missing.div_ceil(self.per_s.max(1))),
            per_s: self.per_s,
            burst: self.burst,
        }
    }
}

impl Bucket {
    fn filled(&self, now: Instant, per_s: u64) -> u64 {
        let us = now.saturating_duration_since(self.at).as_micros();
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.left
            .saturating_add(us.saturating_mul(per_s) / (1_000_000 / WHOLE))
    }
}

impl Left {
    /// Says it in the answer (draft-ietf-httpapi-ratelimit-headers-10).
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let window_s = self.burst.div_ceil(self.per_s.max(1)).max(1);
        let policy = format!("\"service\";q={};w={window_s}", self.burst);
        let now = format!("\"service\";r={};t={}", self.requests, self.wait_s());
        for (name, value) in [(POLICY, policy), (LIMIT, now)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Whole seconds until there is one more.
    pub(super) fn wait_s(&self) -> u64 {
        u64::try_from(self.wait.as_millis().div_ceil(1_000))
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// A request in a bucket.
const WHOLE: u64 = 1_000;
/// Services of which it is counted how often they ask; those beyond are not held back, as only who makes tokens makes services.
const BUCKETS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_waits_until_there_is_one_more() {
        let rates = Rates::new(10, 2);
        let (now, node) = (Instant::now(), "service/erp".parse().unwrap());
        assert_eq!(rates.take(now, &node).map(|left| left.requests), Ok(1));
        assert_eq!(rates.take(now, &node).map(|left| left.requests), Ok(0));
        let none = rates.take(now, &node).unwrap_err();
        assert_eq!((none.requests, none.wait), (0, Duration::from_millis(100)));
        let other = "service/mes".parse().unwrap();
        assert!(rates.take(now, &other).is_ok());
        let later = now + Duration::from_millis(100);
        assert!(rates.take(later, &node).is_ok());
        assert!(rates.take(later, &node).is_err());
        let much_later = now + Duration::from_secs(100);
        assert_eq!(
            rates.take(much_later, &node).map(|left| left.requests),
            Ok(1)
        );
    }

    #[test]
    fn what_is_left_stands_in_the_headers() {
        let rates = Rates::new(2_500, 5_000);
        let left = rates
            .take(Instant::now(), &"service/erp".parse().unwrap())
            .unwrap();
        let mut headers = HeaderMap::new();
        left.tell(&mut headers);
        assert_eq!(headers[POLICY], "\"service\";q=5000;w=2");
        assert_eq!(headers[LIMIT], "\"service\";r=4999;t=1");
    }
}
