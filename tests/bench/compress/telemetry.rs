//! JSON telemetry as a vehicle's computer might write it: a walk of each figure, with the noise that sensors have.

use longrein_tests::Chance;

/// One vehicle on its way.
pub struct Truck {
    name: String,
    chance: Chance,
    unix_ms: u64,
    lat: f64,
    lon: f64,
    speed_m_s: f64,
    heading: f64,
    volts: f64,
    charge: f64,
    rsrp: f64,
    cell: u64,
}

impl Truck {
    pub fn new(number: u64, mut chance: Chance) -> Truck {
        Truck {
            name: format!("truck-{number}"),
            unix_ms: 1_790_000_000_000 + chance.below(30 * 86_400_000),
            lat: 47.3 + 7.5 * chance.unit(),
            lon: 6.1 + 8.7 * chance.unit(),
            speed_m_s: 12.0 * chance.unit(),
            heading: 360.0 * chance.unit(),
            volts: 46.0 + 5.0 * chance.unit(),
            charge: 20.0 + 79.0 * chance.unit(),
            rsrp: -75.0 - 35.0 * chance.unit(),
            cell: chance.below(1 << 28),
            chance,
        }
    }

    /// The state a fifth of a second later.
    pub fn next(&mut self) -> Vec<u8> {
        let step = |chance: &mut Chance, by: f64| by * (2.0 * chance.unit() - 1.0);
        let chance = &mut self.chance;
        self.unix_ms += 198 + chance.below(6);
        self.speed_m_s = (self.speed_m_s + step(chance, 0.4)).clamp(0.0, 14.0);
        self.heading = (self.heading + step(chance, 2.0)).rem_euclid(360.0);
        let (east, north) = self.heading.to_radians().sin_cos();
        self.lat += (self.speed_m_s * 0.2 * north + step(chance, 0.05)) / 111_000.0;
        self.lon += (self.speed_m_s * 0.2 * east + step(chance, 0.05)) / 70_000.0;
        let amperes = -2.0 - 4.0 * self.speed_m_s + step(chance, 6.0);
        self.volts = (self.volts + step(chance, 0.05)).clamp(42.0, 54.0);
        self.charge = (self.charge + amperes / 500_000.0).max(5.0);
        self.rsrp = (self.rsrp + step(chance, 1.5)).clamp(-120.0, -65.0);
        if chance.happens(0.005) {
            self.cell = chance.below(1 << 28);
        }
        let (network, band) = if self.rsrp > -95.0 {
            ("5G", "n78")
        } else {
            ("LTE", "B20")
        };
        let mode = if self.speed_m_s > 0.05 {
            "remote"
        } else {
            "hold"
        };
        let mut text = format!(
            concat!(
                r#"{{"vehicle":"{}","time_ms":{},"mode":"{}","gps":{{"lat":{:.7},"lon":{:.7},"alt_m":{:.1},"sats":{},"hdop":{:.2}}},"#,
                r#""speed_m_s":{:.2},"heading_deg":{:.1},"battery":{{"v":{:.2},"a":{:.1},"soc":{:.0},"temp_c":{:.1}}},"#,
                r#""modem":{{"net":"{}","band":"{}","rsrp_dbm":{:.0},"sinr_db":{},"cell":{}}}"#
            ),
            self.name,
            self.unix_ms,
            mode,
            self.lat,
            self.lon,
            210.0 + step(chance, 3.0),
            9 + chance.below(8),
            0.6 + 0.6 * chance.unit(),
            self.speed_m_s,
            self.heading,
            self.volts,
            amperes,
            self.charge,
            31.0 + step(chance, 1.0),
            network,
            band,
            self.rsrp,
            chance.below(24),
            self.cell,
        );
        // Now and then there is more to say.
        if chance.happens(0.1) {
            text.push_str(&format!(
                r#","obstacle":{{"m":{:.1},"deg":{:.0}}}"#,
                40.0 * chance.unit(),
                step(chance, 60.0)
            ));
        }
        text.push('}');
        text.into_bytes()
    }
}
