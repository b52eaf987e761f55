//! The program `longrein-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    longrein_agent::main()
}
