//! What a controller and a vehicle say to each other shows in no packet.

/// Stands in every opaque command of the scenarios.
pub const SECRET: &[u8] = b"open the tail lift";

pub(super) fn check(bytes: &[u8]) {
    let shows = bytes.windows(SECRET.len()).any(|part| part == SECRET);
    assert!(!shows, "a packet shows what is sealed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a packet shows what is sealed")]
    fn a_packet_in_the_clear_is_noticed() {
        check(&crate::Vehicle::secret(b"now"));
    }
}
