//! What a room is set to, on the command line.

use crate::cli::hub_report;
use crate::cli::hub_words::RoleWord;
use crate::cli::span::Span;
use crate::hub::{JoinOptions, Retention, RoomSettings};

/// What a room is set to.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The room, when it is made")]
pub struct SettingsArgs {
    /// Members at once
    #[arg(long, value_name = "COUNT", default_value_t = JoinOptions::SETTINGS.members_max)]
    pub members_max: u32,

    /// Messages that each topic keeps; 0: none, and who was away has missed them
    #[arg(long, value_name = "COUNT", default_value_t = JoinOptions::SETTINGS.retention.count_max)]
    pub keep_count: u64,

    /// Bytes of messages that each topic keeps
    #[arg(long, value_name = "BYTES", default_value_t = JoinOptions::SETTINGS.retention.bytes_max)]
    pub keep_bytes: u64,

    /// How long each topic keeps messages
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    pub keep: Span,

    /// The room ends when its last member has left
    #[arg(long)]
    pub transient: bool,

    /// The most that who joins may be; who manages rooms may be anything
    #[arg(long, value_name = "ROLE", value_enum, default_value = hub_report::role_word(JoinOptions::SETTINGS.role_max))]
    pub role_max: RoleWord,
}

impl SettingsArgs {
    /// The same in the hub's words.
    pub fn settings(&self) -> RoomSettings {
        RoomSettings {
            members_max: self.members_max,
            retention: Retention {
                count_max: self.keep_count,
                bytes_max: self.keep_bytes,
                age_max_s: self.keep.seconds(),
            },
            is_transient: self.transient,
            role_max: self.role_max.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[test]
    fn a_room_is_what_programs_make_unless_told_otherwise() {
        let verb = SettingsArgs::augment_args(Command::new("verb"));
        let parse = |words: &[&str]| {
            let words = ["verb"].iter().chain(words);
            let matches = verb.clone().try_get_matches_from(words).unwrap();
            SettingsArgs::from_arg_matches(&matches).unwrap().settings()
        };
        assert_eq!(parse(&[]), JoinOptions::SETTINGS);
        let set = parse(&["--keep", "2h", "--role-max", "driver", "--transient"]);
        assert_eq!(set.retention.age_max_s, 7_200);
        assert!(set.is_transient && set.role_max < JoinOptions::SETTINGS.role_max);
    }
}
