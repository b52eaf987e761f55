//! From when until when a certificate is valid.

use longrein_proto::base::limits::CERTIFICATE_EARLY;

/// From when until when a certificate is valid, in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before_s: u64,
    /// Last second.
    pub not_after_s: u64,
}

impl Validity {
    /// This many days from now on, and [`Validity::EARLY_S`] before.
    pub const fn days(now_s: u64, days: u32) -> Validity {
        Validity::seconds(now_s, days as u64 * 86_400)
    }

    /// This many seconds from now on, and [`Validity::EARLY_S`] before.
    pub const fn seconds(now_s: u64, seconds: u64) -> Validity {
        Validity {
            not_before_s: now_s.saturating_sub(Self::EARLY_S),
            not_after_s: now_s.saturating_add(seconds),
        }
    }

    /// How long before now a certificate becomes valid.
    pub const EARLY_S: u64 = CERTIFICATE_EARLY.as_secs();
    /// Longest life of a certificate, and the life of an authority: ten years.
    pub const DAYS_MAX: u32 = 3_650;
    /// Usual life of an agent's, service's or relay's certificate.
    pub const DAYS_MACHINE: u32 = 365;
    /// Usual life of a controller's certificate that is made by hand: laptops get lost.
    pub const DAYS_CONTROLLER: u32 = 30;
}
