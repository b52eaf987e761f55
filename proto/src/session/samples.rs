//! Messages and a dictionary for the tests of compression.

use std::sync::LazyLock;

/// A status message like many others.
pub(super) fn status(number: u32) -> Vec<u8> {
    let speed = number.wrapping_mul(7_919) % 3_000;
    let heading = i64::from(number.wrapping_mul(104_729) % 6_283) - 3_141;
    let volts = 470 + number.wrapping_mul(31) % 40;
    format!(
        r#"{{"type":"status","at":{number},"speed_mm_s":{speed},"heading_mrad":{heading},"battery_dv":{volts},"mode":"manual"}}"#
    )
    .into_bytes()
}

/// A dictionary that was trained on the first 500 of them.
pub(super) fn trained() -> Vec<u8> {
    static TRAINED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let samples: Vec<Vec<u8>> = (0..500).map(status).collect();
        zstd::dict::from_samples(&samples, 4_096).unwrap()
    });
    TRAINED.clone()
}
