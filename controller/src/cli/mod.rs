//! The command line: one file per verb. What is data goes to stdout, what is talk to stderr.

/// What stands below the options of a verb that connects: its example, and what its exit codes mean.
macro_rules! after_help {
    ($example:literal) => {
        concat!(
            $example,
            "\n\nExit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 expired, 5 unreachable."
        )
    };
}

pub mod authority;
mod claim_args;
pub mod command;
pub mod connection;
pub mod demo;
pub mod dictionary;
pub mod drive;
pub mod enroll;
pub mod failure;
pub mod fleet;
mod holder;
pub mod lease;
mod output;
pub mod quality;
mod quality_report;
pub mod record;
pub mod release;
mod report;
pub mod reset;
pub mod revoke;
mod ride;
mod run;
mod span;
mod status_line;
pub mod stop;
mod tally;
pub mod token;
pub mod tunnel;
pub mod vehicles;
pub mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use longrein_io::exit::Exit;

/// Drives vehicles from a distance: sealed end to end, over every way out at once.
#[derive(Debug, Parser)]
#[command(name = "longrein", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum Verb {
    /// Make a fleet's authority and the certificates of its nodes.
    #[command(subcommand)]
    Fleet(fleet::FleetVerb),
    /// Run a fleet's authority.
    #[command(subcommand)]
    Authority(authority::AuthorityVerb),
    Enroll(enroll::EnrollArgs),
    /// Train dictionaries that make messages smaller.
    #[command(subcommand)]
    Dictionary(dictionary::DictionaryVerb),
    /// Take, offer, accept, preempt, revoke and release leases.
    #[command(subcommand)]
    Lease(lease::LeaseVerb),
    /// Verify, show and export the records of agents and controllers.
    #[command(subcommand)]
    Record(record::RecordVerb),
    Vehicles(vehicles::VehiclesArgs),
    Drive(drive::DriveArgs),
    Tunnel(tunnel::TunnelArgs),
    Command(command::CommandArgs),
    Watch(watch::WatchArgs),
    Quality(quality::QualityArgs),
    Stop(stop::StopArgs),
    Reset(reset::ResetArgs),
    Release(release::ReleaseArgs),
    Demo(demo::DemoArgs),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Fleet(verb) => fleet::run(verb),
        Verb::Authority(verb) => authority::run(verb),
        Verb::Enroll(args) => enroll::run(args),
        Verb::Dictionary(verb) => dictionary::run(&verb),
        Verb::Lease(verb) => lease::run(verb),
        Verb::Record(verb) => record::run(&verb),
        Verb::Vehicles(args) => vehicles::run(&args),
        Verb::Drive(args) => drive::run(args),
        Verb::Tunnel(args) => tunnel::run(args),
        Verb::Command(args) => command::run(args),
        Verb::Watch(args) => watch::run(args),
        Verb::Quality(args) => quality::run(args),
        Verb::Stop(args) => stop::run(&args),
        Verb::Reset(args) => reset::run(&args),
        Verb::Release(args) => release::run(&args),
        Verb::Demo(args) => demo::run(&args),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            eprintln!("longrein: {failure}");
            failure.exit().into()
        }
    }
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 expired, 5 unreachable.";

#[cfg(test)]
mod tests {
    use clap::{Args, Command, CommandFactory};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        for verb in verbs() {
            verb.debug_assert();
        }
    }

    #[test]
    fn every_option_has_a_help_text() {
        for verb in verbs() {
            for argument in verb.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {argument}",
                    verb.get_name()
                );
            }
        }
    }

    #[test]
    fn every_verb_that_connects_says_its_exit_codes() {
        for mut verb in verbs() {
            let help = verb.render_long_help().to_string();
            let connects = ["--identity", "--relay", "--dir"]
                .iter()
                .any(|word| help.contains(word));
            assert_eq!(connects, help.contains("Exit codes: 0 done"), "{help}");
        }
    }

    fn verbs() -> [Command; 25] {
        let named = Command::new;
        [
            command::CommandArgs::augment_args(named("command")),
            demo::DemoArgs::augment_args(named("demo")),
            dictionary::TrainArgs::augment_args(named("train")),
            drive::DriveArgs::augment_args(named("drive")),
            enroll::EnrollArgs::augment_args(named("enroll")),
            lease::AcceptArgs::augment_args(named("accept")),
            lease::ListArgs::augment_args(named("list")),
            lease::OfferArgs::augment_args(named("offer")),
            lease::PreemptArgs::augment_args(named("preempt")),
            lease::RefuseArgs::augment_args(named("refuse")),
            lease::RevokeArgs::augment_args(named("revoke")),
            lease::TakeArgs::augment_args(named("take")),
            quality::QualityArgs::augment_args(named("quality")),
            record::ExportArgs::augment_args(named("export")),
            record::ShowArgs::augment_args(named("show")),
            record::VerifyArgs::augment_args(named("verify")),
            release::ReleaseArgs::augment_args(named("release")),
            reset::ResetArgs::augment_args(named("reset")),
            revoke::RevokeArgs::augment_args(named("revoke")),
            authority::ServeArgs::augment_args(named("serve")),
            stop::StopArgs::augment_args(named("stop")),
            token::TokenArgs::augment_args(named("token")),
            tunnel::TunnelArgs::augment_args(named("tunnel")),
            vehicles::VehiclesArgs::augment_args(named("vehicles")),
            watch::WatchArgs::augment_args(named("watch")),
        ]
    }

    fn parse<T: Args>(line: &str) -> Result<T, clap::Error> {
        let verb = T::augment_args(Command::new("verb"));
        T::from_arg_matches(&verb.try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn a_drive_takes_one_source_of_input() {
        let drive: drive::DriveArgs = parse("verb truck-17 --gamepad").unwrap();
        assert_eq!(drive.vehicle.as_str(), "truck-17");
        assert_eq!(drive.gamepad, Some(None));
        let scripted: drive::DriveArgs = parse("verb truck-17 --input -").unwrap();
        assert_eq!(scripted.input, Some("-".into()));
        assert!(parse::<drive::DriveArgs>("verb truck-17 --gamepad --input -").is_err());
        assert!(parse::<drive::DriveArgs>("verb truck-17 --speed-max-mm-s 40000").is_err());
    }

    #[test]
    fn a_tunnel_is_unordered_unless_told_otherwise() {
        let line = "verb truck-17 --listen 127.0.0.1:14550 --function mavlink";
        let tunnel: tunnel::TunnelArgs = parse(line).unwrap();
        assert_eq!(tunnel.class, tunnel::TunnelClass::Unordered);
        assert_eq!(tunnel.ttl_ms, 200);
        assert!(parse::<tunnel::TunnelArgs>(&format!("{line} --class stop")).is_err());
        assert!(parse::<tunnel::TunnelArgs>(&format!("{line} --ttl-ms 0")).is_err());
    }

    #[test]
    fn a_command_has_one_payload_or_one_for_each_line() {
        let one: command::CommandArgs = parse("verb truck-17 lamps on --device lamp-7").unwrap();
        assert_eq!(one.payload.as_deref(), Some("on"));
        assert_eq!(one.class, command::CommandClass::Reliable);
        for right in ["--lines", "--lines --rate-hz 5", "--file x", "00 --hex"] {
            let line = format!("verb truck-17 lamps {right}");
            assert!(parse::<command::CommandArgs>(&line).is_ok(), "{right}");
        }
        for wrong in [
            "--hex",
            "on --lines",
            "on --file x",
            "--lines --file x",
            "on --rate-hz 5",
            "--file x --hex",
            "on --class latest",
            "on --class stop",
            "on --ttl-ms 0",
            "on --device=",
        ] {
            let line = format!("verb truck-17 lamps {wrong}");
            assert!(parse::<command::CommandArgs>(&line).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_relay_has_a_name_and_an_address_with_a_port() {
        let line = "verb --relay a=192.0.2.1:4433 --relay b=[2001:db8::1]:4433 --identity x";
        let vehicles: vehicles::VehiclesArgs = parse(line).unwrap();
        let relays: Vec<String> = vehicles
            .connection
            .relays
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(relays, ["a=192.0.2.1:4433", "b=[2001:db8::1]:4433"]);
        for wrong in ["a", "a=", "a=host", "A=host:1", "a=host:0", "a=:1"] {
            let line = format!("verb --relay {wrong}");
            assert!(parse::<vehicles::VehiclesArgs>(&line).is_err(), "{wrong}");
        }
    }
}
