//! The program `longrein-relay`.

use std::process::ExitCode;

fn main() -> ExitCode {
    longrein_relay::main()
}
