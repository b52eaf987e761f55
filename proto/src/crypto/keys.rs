//! The keys of an established session, one for each direction.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;

use super::ratchet::{MessageKey, Ratchet};
use super::secret::Secret;
use crate::base::MonoTime;
use crate::base::limits::{
    KEY_AGE_MAX, KEY_AGE_MIN, KEY_ENVELOPES_LIMIT, KEY_ENVELOPES_MAX, TTL_MAX,
};

/// Seals what this end sends.
pub struct SealKey {
    ratchet: Ratchet,
    /// The highest number sealed on each flow, under any key.
    last: BTreeMap<u8, u64>,
    sealed: u64,
    since: Option<MonoTime>,
}

impl SealKey {
    pub(super) fn new(secret: &Secret) -> SealKey {
        SealKey {
            ratchet: Ratchet::new(secret),
            last: BTreeMap::new(),
            sealed: 0,
            since: None,
        }
    }

    /// Seals `plaintext` as `number` of the flow with this byte; `aad` is the clear header, which names [`SealKey::phase`].
    ///
    /// # Errors
    /// [`SealError::NumberUsed`] when the number is not above all those sealed on the flow before, under whatever key;
    /// [`SealError::Exhausted`] when the key has sealed as much as is safe: rotate.
    pub fn seal(
        &mut self,
        flow: u8,
        number: u64,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let last = self.last.entry(flow).or_default();
        // [WIRE-74]
        if number <= *last {
            return Err(SealError::NumberUsed);
        }
        if self.sealed >= KEY_ENVELOPES_LIMIT {
            return Err(SealError::Exhausted);
        }
        *last = number;
        self.sealed += 1;
        Ok(self.ratchet.key().seal(flow, number, aad, plaintext))
    }

    /// Low two bits of the key epoch, for the clear header.
    pub fn phase(&self) -> u8 {
        self.ratchet.phase()
    }

    /// Goes on to the next key and erases the present one; numbers go on.
    pub fn rotate(&mut self) {
        self.ratchet = self.ratchet.successor();
        self.sealed = 0;
        self.since = None;
    }

    /// Rotates when the key is old or used enough; to be called before each header is made. Returns whether it rotated.
    ///
    /// A key's age counts from the first call after it came into use.
    pub fn rotate_if_due(&mut self, now: MonoTime) -> bool {
        let age = now.since(*self.since.get_or_insert(now));
        // [WIRE-77]
        let due = age >= KEY_AGE_MAX || (self.sealed >= KEY_ENVELOPES_MAX && age >= KEY_AGE_MIN);
        if due {
            self.rotate();
            self.since = Some(now);
        }
        due
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey")
            .field("phase", &self.phase())
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}

/// Opens what the other end sent. It does not judge whether a number came before: that is the replay window's part.
pub struct OpenKey {
    current: Ratchet,
    previous: Option<Previous>,
}

struct Previous {
    key: MessageKey,
    until: MonoTime,
}

impl OpenKey {
    pub(super) fn new(secret: &Secret) -> OpenKey {
        OpenKey {
            current: Ratchet::new(secret),
            previous: None,
        }
    }

    /// Opens an envelope: `phase`, `flow` and `number` from its clear header, `aad` the whole of that header.
    ///
    /// # Errors
    /// [`OpenError::UnknownKey`] when no key of this phase is kept (any more), [`OpenError::Forged`] when the seal does not
    /// belong to header, number or key. Either way the envelope is dropped and nothing has changed.
    // [WIRE-75]
    pub fn open(
        &mut self,
        now: MonoTime,
        phase: u8,
        flow: u8,
        number: u64,
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        self.on_timeout(now);
        if phase > 3 {
            return Err(OpenError::UnknownKey);
        }
        let open = |key: &MessageKey| {
            key.open(flow, number, aad, ciphertext)
                .ok_or(OpenError::Forged)
        };
        match phase.wrapping_sub(self.current.phase()) & 3 {
            0 => open(self.current.key()),
            3 => open(&self.previous.as_ref().ok_or(OpenError::UnknownKey)?.key),
            ahead => {
                let next = self.current.successor();
                let (skipped, newest) = match ahead {
                    1 => (None, next),
                    _ => {
                        let newest = next.successor();
                        (Some(next), newest)
                    }
                };
                // [WIRE-78] Only a genuine envelope moves the ratchet.
                let plaintext = open(newest.key())?;
                let replaced = mem::replace(&mut self.current, newest);
                self.previous = Some(Previous {
                    key: skipped.unwrap_or(replaced).into_key(),
                    until: now + TTL_MAX,
                });
                Ok(plaintext)
            }
        }
    }

    /// Erases the previous key when its time is over.
    pub fn on_timeout(&mut self, now: MonoTime) {
        // [WIRE-78]
        if self.next_timeout().is_some_and(|until| now >= until) {
            self.previous = None;
        }
    }

    /// When the previous key is to be erased.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        self.previous.as_ref().map(|previous| previous.until)
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenKey")
            .field("phase", &self.current.phase())
            .field("previous_until", &self.next_timeout())
            .finish_non_exhaustive()
    }
}

/// Why an envelope is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The flow has sealed this number or a higher one.
    #[error("the number is not above those sealed on its flow")]
    NumberUsed,
    /// The key has sealed [`KEY_ENVELOPES_LIMIT`] envelopes.
    #[error("the key has sealed as much as is safe")]
    Exhausted,
}

/// Why an envelope is not opened; for counters, the other end is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no key of this phase.
    #[error("no key of this phase")]
    UnknownKey,
    /// The seal is not genuine.
    #[error("the seal is not genuine")]
    Forged,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FLOW: u8 = 4;
    const NOW: MonoTime = MonoTime::from_us(1_000_000);

    fn pair() -> (SealKey, OpenKey) {
        let secret = Secret::filled_by(|bytes| bytes.fill(7));
        (SealKey::new(&secret), OpenKey::new(&secret))
    }

    /// A sealed envelope: phase, number, ciphertext.
    fn seal(key: &mut SealKey, number: u64) -> (u8, u64, Vec<u8>) {
        let phase = key.phase();
        let sealed = key
            .seal(FLOW, number, b"head", b"ahead")
            .expect("a fresh number");
        (phase, number, sealed)
    }

    fn open(
        key: &mut OpenKey,
        now: MonoTime,
        (phase, number, sealed): &(u8, u64, Vec<u8>),
    ) -> Result<Vec<u8>, OpenError> {
        key.open(now, *phase, FLOW, *number, b"head", sealed)
    }

    // [WIRE-73] [WIRE-75]
    #[test]
    fn only_the_untouched_envelope_opens() {
        let (mut sealer, mut opener) = pair();
        let (phase, number, sealed) = seal(&mut sealer, 1);
        let mut bent = sealed.clone();
        bent[0] ^= 1;

        for (flow, number, aad, ciphertext) in [
            (FLOW + 1, number, b"head", &sealed),
            (FLOW, number + 1, b"head", &sealed),
            (FLOW, number, b"heat", &sealed),
            (FLOW, number, b"head", &bent),
            (FLOW, number, b"head", &sealed[..20].to_vec()),
            (FLOW, number, b"head", &Vec::new()),
        ] {
            assert_eq!(
                opener.open(NOW, phase, flow, number, aad, ciphertext),
                Err(OpenError::Forged)
            );
        }
        assert_eq!(
            opener.open(NOW, phase, FLOW, number, b"head", &sealed),
            Ok(b"ahead".to_vec())
        );
    }

    // [WIRE-74]
    #[test]
    fn a_number_is_never_sealed_twice_on_a_flow_under_any_key() {
        let (mut sealer, _) = pair();
        seal(&mut sealer, 5);
        for used in [0, 4, 5] {
            assert_eq!(
                sealer.seal(FLOW, used, b"", b""),
                Err(SealError::NumberUsed)
            );
        }
        assert!(sealer.seal(FLOW + 1, 5, b"", b"").is_ok());

        sealer.rotate();

        assert_eq!(sealer.seal(FLOW, 5, b"", b""), Err(SealError::NumberUsed));
        assert!(sealer.seal(FLOW, 6, b"", b"").is_ok());
    }

    // [WIRE-76] [WIRE-78]
    #[test]
    fn reordered_envelopes_of_the_old_key_open_until_their_longest_time_to_live_is_over() {
        let (mut sealer, mut opener) = pair();
        let early = seal(&mut sealer, 1);
        let late = seal(&mut sealer, 2);
        let too_late = seal(&mut sealer, 3);
        sealer.rotate();
        let fresh = seal(&mut sealer, 4);
        assert_ne!(fresh.0, early.0);
        assert!(open(&mut opener, NOW, &early).is_ok());

        assert!(open(&mut opener, NOW, &fresh).is_ok());

        let last_moment = (NOW + TTL_MAX).before(Duration::from_micros(1));
        assert_eq!(opener.next_timeout(), Some(NOW + TTL_MAX));
        assert!(open(&mut opener, last_moment, &late).is_ok());
        assert_eq!(
            open(&mut opener, NOW + TTL_MAX, &too_late),
            Err(OpenError::UnknownKey)
        );
        assert_eq!(opener.next_timeout(), None);
        let next = seal(&mut sealer, 5);
        assert!(open(&mut opener, NOW + TTL_MAX, &next).is_ok());
    }

    // [WIRE-78]
    #[test]
    fn a_forged_envelope_of_a_later_phase_does_not_move_the_ratchet() {
        let (mut sealer, mut opener) = pair();
        let genuine = seal(&mut sealer, 1);
        for phase in 1..=7 {
            assert!(open(&mut opener, NOW, &(phase, 9, vec![0; 40])).is_err());
        }

        assert_eq!(opener.next_timeout(), None);
        assert!(open(&mut opener, NOW, &genuine).is_ok());
        sealer.rotate();
        assert!(open(&mut opener, NOW, &seal(&mut sealer, 2)).is_ok());
    }

    // [WIRE-76]
    #[test]
    fn a_key_epoch_of_which_nothing_arrived_is_skipped() {
        let (mut sealer, mut opener) = pair();
        assert!(open(&mut opener, NOW, &seal(&mut sealer, 1)).is_ok());
        sealer.rotate();
        let delayed = seal(&mut sealer, 2);
        sealer.rotate();

        assert!(open(&mut opener, NOW, &seal(&mut sealer, 3)).is_ok());

        assert!(open(&mut opener, NOW, &delayed).is_ok());
    }

    // [WIRE-76]
    #[test]
    fn the_ratchet_goes_through_many_epochs() {
        let (mut sealer, mut opener) = pair();
        for number in 1..=10 {
            assert_eq!(u64::from(sealer.phase()), (number - 1) % 4);
            assert!(open(&mut opener, NOW, &seal(&mut sealer, number)).is_ok());
            sealer.rotate();
        }
    }

    // [WIRE-77]
    #[test]
    fn a_key_is_due_by_age_or_use_but_never_while_its_predecessor_is_needed() {
        let (mut sealer, _) = pair();
        assert!(!sealer.rotate_if_due(NOW));
        assert!(!sealer.rotate_if_due((NOW + KEY_AGE_MAX).before(Duration::from_micros(1))));
        assert!(sealer.rotate_if_due(NOW + KEY_AGE_MAX));

        let start = NOW + KEY_AGE_MAX;
        sealer.sealed = KEY_ENVELOPES_MAX;
        assert!(!sealer.rotate_if_due(start + TTL_MAX));
        assert!(sealer.rotate_if_due(start + KEY_AGE_MIN));
    }

    // [WIRE-77]
    #[test]
    fn a_key_stops_at_the_limit_of_its_cipher() {
        let (mut sealer, _) = pair();
        sealer.sealed = KEY_ENVELOPES_LIMIT;

        assert_eq!(sealer.seal(FLOW, 1, b"", b""), Err(SealError::Exhausted));

        sealer.rotate();
        assert!(sealer.seal(FLOW, 1, b"", b"").is_ok());
    }

    #[test]
    fn no_key_is_printed() {
        let (sealer, opener) = pair();

        assert_eq!(
            format!("{sealer:?} {opener:?}"),
            "SealKey { phase: 0, sealed: 0, .. } OpenKey { phase: 0, previous_until: None, .. }"
        );
    }
}
