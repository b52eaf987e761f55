//! The command line `longrein`.

use std::process::ExitCode;

fn main() -> ExitCode {
    longrein::cli::main()
}
