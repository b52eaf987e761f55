//! `longrein record`: looks at the records that agents and controllers write, without any network.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use longrein_io::date;
use longrein_io::exit::Exit;
use longrein_io::keys::authorities;
use longrein_io::recorder::{Recorded, Report, verify};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{self, Reader};
use crate::record::McapExport;

/// What to do with a record.
#[derive(Debug, Subcommand)]
pub enum RecordVerb {
    /// Say whether anything of a record was removed, changed or reordered
    ///
    /// A program that was killed leaves an end without a seal; that is told as a cut and is no fault. What was removed behind
    /// the last entry that is there cannot be seen from the record alone: compare the head with one that you noted before.
    #[command(
        after_help = "Example: longrein record verify /var/lib/longrein/agent/record --authority authority.pem\n\n\
                      Exit codes: 0 nothing is wrong, 1 the record is not as it was written, 2 usage."
    )]
    Verify(VerifyArgs),
    /// Print the entries of a record
    #[command(
        after_help = "Example: longrein record show --json record | grep '\"kind\":\"stop\"'\n\n\
                      Exit codes: 0 done, 1 the record is not as it was written, 2 usage."
    )]
    Show(ShowArgs),
    /// Write the entries of a record as MCAP, for Foxglove and other tools
    ///
    /// Each kind of entry is a channel of JSON messages, such as /record/command and /record/telemetry.
    #[command(
        after_help = "Example: longrein record export --out drive.mcap record\n\n\
                      Exit codes: 0 done, 1 the record is not as it was written, 2 usage."
    )]
    Export(ExportArgs),
}

/// A record, and whom to believe.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The folder with the record's *.record files
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// The certificates of the fleet's authority (authority.pem of any node): without them anybody may have signed the record
    #[arg(long, value_name = "FILE")]
    pub authority: Option<PathBuf>,
}

/// Arguments of `record verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "it has no help text of its own")]
    pub record: RecordArgs,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `record show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "it has no help text of its own")]
    pub record: RecordArgs,

    /// Print one JSON object for each entry
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `record export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "it has no help text of its own")]
    pub record: RecordArgs,

    /// Where the MCAP file is written; there must be none yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// Looks at a record.
///
/// # Errors
/// When it cannot be read, or is not as it was written.
pub fn run(verb: &RecordVerb) -> Result<(), Failure> {
    match verb {
        RecordVerb::Verify(args) => run_verify(args),
        RecordVerb::Show(args) => run_show(args),
        RecordVerb::Export(args) => run_export(args),
    }
}

fn run_verify(args: &VerifyArgs) -> Result<(), Failure> {
    let report = look(&args.record, &mut |_| ControlFlow::Continue(()))?;
    if args.json {
        let mut object = serde_json::to_value(&report).unwrap_or_default();
        if let Some(object) = object.as_object_mut() {
            object.insert("good".to_string(), report.is_good().into());
        }
        output::print([object.to_string()])?;
    } else {
        output::print(lines(&report))?;
    }
    judge(&args.record, &report)
}

fn run_show(args: &ShowArgs) -> Result<(), Failure> {
    let mut printed = Ok(Reader::There);
    let report = look(&args.record, &mut |entry| {
        let line = match args.json {
            true => serde_json::to_string(entry).unwrap_or_default(),
            false => line(entry),
        };
        printed = output::print([line]);
        match printed {
            Ok(Reader::There) => ControlFlow::Continue(()),
            Ok(Reader::Gone) | Err(_) => ControlFlow::Break(()),
        }
    })?;
    match printed? {
        Reader::There => judge(&args.record, &report),
        Reader::Gone => Ok(()),
    }
}

fn run_export(args: &ExportArgs) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{}: {error}", args.out.display()))
    };
    let file = File::create_new(&args.out).map_err(|error| failed(&error))?;
    let mut export = McapExport::new(file).map_err(|error| failed(&error))?;
    let mut written = Ok(());
    let looked = look(&args.record, &mut |entry| {
        written = export.write(entry);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    let report = looked.inspect_err(|_| drop(std::fs::remove_file(&args.out)))?;
    written.map_err(|error| failed(&error))?;
    export.finish().map_err(|error| failed(&error))?;
    let file = args.out.display();
    let entries = report.entries;
    output::print([match args.json {
        true => json!({"file": file.to_string(), "entries": entries}).to_string(),
        false => format!("{file}: {entries} entries"),
    }])?;
    judge(&args.record, &report)
}

fn look(
    args: &RecordArgs,
    on_entry: &mut dyn FnMut(&Recorded) -> ControlFlow<()>,
) -> Result<Report, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
    let authority: Option<&Path> = args.authority.as_deref();
    let authorities = authority.map(authorities).transpose();
    let authorities = authorities.map_err(|error| usage(&error))?;
    verify(&args.directory, authorities.as_deref(), on_entry).map_err(|error| usage(&error))
}

/// Talk: whether it is good, and what was not looked at.
fn judge(args: &RecordArgs, report: &Report) -> Result<(), Failure> {
    if args.authority.is_none() {
        eprintln!("not checked whose signatures these are: give --authority FILE");
    }
    if report.is_good() {
        return Ok(());
    }
    let line = format!(
        "the record is not as it was written: {} faults, the first: {}",
        report.faults_in_all,
        report
            .faults
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    );
    Err(Failure::new(Exit::Failed, line))
}

fn lines(report: &Report) -> Vec<String> {
    let node = match &report.node {
        Some(node) => node.to_string(),
        None => "not checked".to_string(),
    };
    let mut lines = vec![format!("node      {node}")];
    for signer in &report.signers {
        lines.push(format!("signed by certificate {signer}"));
    }
    let range = match (report.first, &report.head) {
        (Some(first), Some(head)) => format!(", {first} to {}", head.entry),
        (None, _) | (_, None) => String::new(),
    };
    lines.push(format!("segments  {}", report.segments));
    lines.push(format!("entries   {}{range}", report.entries));
    lines.push(format!("dropped   {}", report.dropped));
    if let Some(head) = &report.head {
        lines.push(format!("head      {} {}", head.entry, head.hash));
    }
    lines.push(match report.sealed {
        true => "end       sealed".to_string(),
        false => format!(
            "end       not sealed, {} entries not signed",
            report.unsigned
        ),
    });
    lines.extend(report.cuts.iter().map(|cut| format!("cut       {cut}")));
    lines.extend(
        report
            .faults
            .iter()
            .map(|fault| format!("FAULT     {fault}")),
    );
    lines.push(match report.is_good() {
        true => "verdict   nothing was removed, changed or reordered".to_string(),
        false => format!("verdict   {} faults", report.faults_in_all),
    });
    lines
}

/// As `2026-11-22 09:30:00.123456 UTC  #17 stage function=drive stage=Hold`.
fn line(entry: &Recorded) -> String {
    let mut line = format!(
        "{}  #{} {}",
        date::utc_us(entry.wall_us),
        entry.entry,
        entry.event.name()
    );
    if let Ok(Value::Object(fields)) = serde_json::to_value(&entry.event) {
        let told = |(field, value): &(&String, &Value)| *field != "kind" && !value.is_null();
        for (field, value) in fields.iter().filter(told) {
            line += &match value.as_str().filter(|text| !text.contains(' ')) {
                Some(text) => format!(" {field}={text}"),
                None => format!(" {field}={value}"),
            };
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use longrein_io::recorder::Event;

    use super::*;

    #[test]
    fn an_entry_is_one_line() {
        let entry = Recorded {
            segment: 1,
            entry: 17,
            at_us: 5,
            wall_us: 1_795_253_400_000_123,
            wall_error_ms: None,
            event: Event::Refused {
                peer: "controller/alice".into(),
                asked: "lease".into(),
                function: Some("drive".into()),
                number: None,
                why: "held by controller/bob".into(),
            },
        };
        assert_eq!(
            line(&entry),
            "2026-11-21 09:30:00.000123 UTC  #17 refused asked=lease function=drive peer=controller/alice why=\"held by controller/bob\""
        );
    }
}
