//! MAVLink 2 frames as an autopilot sends them, laid out and summed up as its `common` definitions say.

#![expect(
    clippy::cast_possible_truncation,
    reason = "figures are drawn below a bound, and checksums are cut on purpose"
)]

use longrein_tests::Chance;

/// One autopilot in flight.
pub struct Autopilot {
    chance: Chance,
    system: u8,
    sequence: u8,
    boot_ms: u32,
    attitude: [f32; 6],
    lat: i32,
    lon: i32,
    alt_mm: i32,
    millivolts: u16,
}

impl Autopilot {
    pub fn new(system: u8, mut chance: Chance) -> Autopilot {
        let degrees_e7 = |chance: &mut Chance, from: i32| from + chance.below(80_000_000) as i32;
        Autopilot {
            system,
            sequence: chance.below(256) as u8,
            boot_ms: chance.below(3_600_000) as u32,
            attitude: [0.0; 6],
            lat: degrees_e7(&mut chance, 473_000_000),
            lon: degrees_e7(&mut chance, 61_000_000),
            alt_mm: 210_000,
            millivolts: 16_100,
            chance,
        }
    }

    /// A tenth of a second of frames: attitude and position each time, health every second time, a heartbeat every tenth.
    pub fn next(&mut self) -> Vec<(&'static str, Vec<u8>)> {
        self.boot_ms += 100;
        let mut frames = vec![
            ("ATTITUDE", self.attitude()),
            ("GLOBAL_POSITION_INT", self.position()),
        ];
        if (self.boot_ms / 100).is_multiple_of(2) {
            frames.push(("SYS_STATUS", self.status()));
        }
        if (self.boot_ms / 100).is_multiple_of(10) {
            frames.push(("HEARTBEAT", self.heartbeat()));
        }
        frames
    }

    fn heartbeat(&mut self) -> Vec<u8> {
        // Custom mode; a quadrotor with ArduPilot, armed and active; MAVLink's version.
        let payload = [&4_u32.to_le_bytes()[..], &[2, 3, 0x89, 4, 3]].concat();
        self.frame(0, 50, &payload)
    }

    fn status(&mut self) -> Vec<u8> {
        self.millivolts -= u16::from(self.chance.happens(0.1));
        let millivolts = self.millivolts + self.chance.below(30) as u16;
        let (load, amperes) = (
            380 + self.chance.below(90) as u16,
            1_500 + self.chance.below(300) as i16,
        );
        let sensors = [0x5361_fc2f_u32, 0x5361_fc2f, 0x5361_fc2f].map(u32::to_le_bytes);
        let payload = [
            &sensors.concat()[..],
            &load.to_le_bytes(),
            &millivolts.to_le_bytes(),
            &amperes.to_le_bytes(),
            &[0; 12],
            &[(self.millivolts / 200) as u8],
        ]
        .concat();
        self.frame(1, 124, &payload)
    }

    fn attitude(&mut self) -> Vec<u8> {
        let mut payload = self.boot_ms.to_le_bytes().to_vec();
        for index in 0..6 {
            let step = 0.02 * (2.0 * self.chance.unit() - 1.0) as f32;
            if let Some(value) = self.attitude.get_mut(index) {
                *value = (*value * 0.98) + step;
                payload.extend(value.to_le_bytes());
            }
        }
        self.frame(30, 39, &payload)
    }

    fn position(&mut self) -> Vec<u8> {
        let velocity = [0; 3].map(|_: i16| self.chance.below(900) as i16 - 450);
        self.lat += i32::from(velocity[0]) / 10;
        self.lon += i32::from(velocity[1]) / 7;
        self.alt_mm -= i32::from(velocity[2]);
        let mut payload = self.boot_ms.to_le_bytes().to_vec();
        for value in [self.lat, self.lon, self.alt_mm, self.alt_mm - 180_000] {
            payload.extend(value.to_le_bytes());
        }
        for value in velocity {
            payload.extend(value.to_le_bytes());
        }
        payload.extend((self.chance.below(36_000) as u16).to_le_bytes());
        self.frame(33, 104, &payload)
    }

    /// Header, payload without the zeros at its end, checksum.
    fn frame(&mut self, message: u32, seed: u8, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let zeros = payload.iter().rev().take_while(|byte| **byte == 0).count();
        let length = payload.len().saturating_sub(zeros).max(1);
        let payload = payload.get(..length).unwrap_or(payload);
        let [low, middle, high, _] = message.to_le_bytes();
        let mut frame = vec![
            0xfd,
            length as u8,
            0,
            0,
            self.sequence,
            self.system,
            1,
            low,
            middle,
            high,
        ];
        frame.extend(payload);
        let covered = frame.iter().skip(1).chain([&seed]);
        let sum = covered.fold(0xffff, |sum, byte| checksum(sum, *byte));
        frame.extend(sum.to_le_bytes());
        frame
    }
}

/// One more byte of the checksum (CRC-16/MCRF4XX).
fn checksum(sum: u16, byte: u8) -> u16 {
    let mixed = byte ^ (sum as u8);
    let mixed = u16::from(mixed ^ (mixed << 4));
    (sum >> 8) ^ (mixed << 8) ^ (mixed << 3) ^ (mixed >> 4)
}
