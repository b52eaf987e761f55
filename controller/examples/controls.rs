//! Shows what an input gives, without any vehicle: `cargo run -p longrein --example controls -- keyboard`, `gamepad`, or the
//! name of a script.

use std::path::Path;
use std::thread;
use std::time::Instant;

use longrein::input::{Controls, Input, Reach};
use longrein_proto::base::MonoTime;

fn main() -> anyhow::Result<()> {
    let reach = Reach {
        speed_max_mm_s: 2_000,
        curvature_max_per_km: 200,
    };
    let mut input = match std::env::args().nth(1).as_deref() {
        None | Some("keyboard") => Input::keyboard(reach)?,
        Some("gamepad") => Input::gamepad(None, reach)?,
        Some(script) => Input::script(Path::new(script), reach)?,
    };
    eprint!("{}\r\n", input.notice());
    let began = Instant::now();
    let mut shown = Controls::default();
    while !shown.quit {
        let now = u64::try_from(began.elapsed().as_micros())?;
        let controls = input.poll(MonoTime::from_us(now))?;
        if controls != shown {
            print!("{controls:?}\r\n");
        }
        shown = controls;
        thread::sleep(Input::PERIOD);
    }
    Ok(())
}
