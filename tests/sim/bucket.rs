//! A token bucket, made apart from the one under test.

use longrein_proto::base::MonoTime;

/// Bytes that gather at a rate up to a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    bytes_per_s: u64,
    burst_bytes: u64,
    bytes: f64,
    at: MonoTime,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(now: MonoTime, bytes_per_s: u64, burst_bytes: u64) -> Bucket {
        Bucket {
            bytes_per_s,
            burst_bytes,
            bytes: burst_bytes as f64,
            at: now,
        }
    }

    /// Takes so many bytes, if they are there.
    pub(crate) fn take(&mut self, now: MonoTime, bytes: usize) -> bool {
        let gathered = now.since(self.at).as_secs_f64() * self.bytes_per_s as f64;
        self.at = now;
        self.bytes = (self.bytes + gathered).min(self.burst_bytes as f64);
        let enough = self.bytes >= bytes as f64;
        if enough {
            self.bytes -= bytes as f64;
        }
        enough
    }
}
