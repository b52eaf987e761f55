//! Writes the manual pages and completions of the packages, from the definitions of the command lines.
//!
//! A program of its own, so that nothing of this is in what runs on a vehicle.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

fn main() -> Result<()> {
    let folder = env::args_os()
        .nth(1)
        .context("usage: longrein-packages FOLDER")?;
    for command in commands() {
        write(Path::new(&folder), command)?;
    }
    Ok(())
}

/// The three programs.
fn commands() -> [Command; 3] {
    [
        longrein_agent::command(),
        longrein_relay::command(),
        longrein::cli::Cli::command(),
    ]
}

/// Writes `PROGRAM/man/*.1`, a page for each verb, and `PROGRAM/completions/*`, one for each shell.
fn write(folder: &Path, mut command: Command) -> Result<()> {
    let name = command.get_name().to_string();
    let (man, completions) = (
        folder.join(&name).join("man"),
        folder.join(&name).join("completions"),
    );
    for one in [&man, &completions] {
        fs::create_dir_all(one).with_context(|| one.display().to_string())?;
    }
    clap_mangen::generate_to(command.clone(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, &completions)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let name = format!("longrein-packages-{}", std::process::id());
            let folder = Folder(env::temp_dir().join(name));
            for command in commands() {
                write(&folder.0, command).unwrap();
            }
            folder
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// Fails unless there is a page for the command and each verb below it, with each of its options.
    fn check(folder: &Folder, program: &str, page: &str, command: &Command) {
        let text = folder
            .read(&format!("{program}/man/{page}.1"))
            .replace('\\', "");
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(text.contains(&format!("--{long}")), "{page} --{long}");
            }
        }
        for verb in command.get_subcommands() {
            let below = format!("{page}-{}", verb.get_name());
            assert!(text.contains(&below), "{page} names no {below}");
            check(folder, program, &below, verb);
        }
    }

    #[test]
    fn every_verb_has_a_manual_page_and_every_shell_completes_it() {
        let folder = Folder::new();
        for command in commands() {
            let name = command.get_name();
            check(&folder, name, name, &command);
            for file in [
                format!("{name}.bash"),
                format!("_{name}"),
                format!("{name}.fish"),
            ] {
                let text = folder.read(&format!("{name}/completions/{file}"));
                for verb in command.get_subcommands() {
                    assert!(text.contains(verb.get_name()), "{file} {}", verb.get_name());
                }
            }
        }
    }
}
