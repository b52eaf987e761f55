//! The example file, and what is refused.

use std::path::Path;

use longrein_io::config::Loader;

use super::*;

const EXAMPLE: &str = include_str!("../../agent.example.toml");

/// The example with everything that stands behind a `#` without a space.
fn complete() -> String {
    let begin = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
            .unwrap_or(line)
            .to_string()
    };
    EXAMPLE.lines().map(begin).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Result<Config, String> {
    let file = std::env::temp_dir().join(format!(
        "longrein-agent-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&file, text).unwrap();
    let config = Loader::new(Some(&file)).unwrap().finish::<Config>();
    std::fs::remove_file(&file).unwrap();
    let name = file.display().to_string();
    config.map_err(|error| error.to_string().replace(&name, "agent.toml"))
}

fn checked(text: &str) -> Result<Config, String> {
    let config = read(text)?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn the_example_file_is_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent.example.toml");
    let example: Config = Loader::new(Some(&file)).unwrap().finish().unwrap();
    assert_eq!(example, Config::default());
}

#[test]
fn the_example_file_with_what_has_no_default_is_good_and_says_the_other_defaults() {
    let config = checked(&complete()).unwrap();
    assert_eq!((config.relay.len(), config.link.len()), (2, 2));
    let names: Vec<_> = config.function.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["drive", "mavlink", "arm", "valves", "gripper"]);
    let sockets = config.local.iter().map(|s| s.path().display().to_string());
    let sockets: Vec<String> = sockets.collect();
    let expected =
        ["device.sock", "observer.sock"].map(|name| format!("/run/longrein/agent/{name}"));
    assert_eq!(sockets, expected);
    assert_eq!(config.dictionary.len(), 2);

    let least = "[[relay]]\nname = \"a\"\naddress = \"a:1\"\n[[function]]\nname = \"drive\"\nadapter = { kind = \"sim\" }\n";
    let least = checked(least).unwrap().function.swap_remove(0);
    let spelled_out = FunctionSection {
        limits: None,
        ..config.function[0].clone()
    };
    assert_eq!(least, spelled_out);
    assert_eq!(config.function[0].limits, Some(LimitsSection::default()));
    let actuation = |section: &FunctionSection| section.actuation().unwrap();
    assert_eq!(actuation(&least), actuation(&config.function[0]));
}

#[test]
fn the_example_file_names_every_key() {
    let complete = complete();
    for line in checked(&complete).unwrap().to_text().lines() {
        if let Some((key, _)) = line.split_once(" = ") {
            // East is a relay's name.
            assert!(
                complete.contains(&format!("{key} = ")) || key == "east",
                "{key}"
            );
        }
    }
}

#[test]
fn the_example_file_says_the_defaults_of_the_adapters() {
    for function in checked(&complete()).unwrap().function {
        let adapter = serde_json::to_value(&function.adapter).unwrap();
        for (key, value) in adapter.as_object().unwrap() {
            if value.is_number() {
                let line = format!("\n#   {key} = {value} ");
                assert!(EXAMPLE.contains(&line), "{line}");
            }
        }
    }
}

#[test]
fn what_is_printed_is_read_back_the_same() {
    for config in [Config::default(), checked(&complete()).unwrap()] {
        assert_eq!(read(&config.to_text()), Ok(config));
    }
}

#[test]
fn an_unknown_key_names_file_key_and_what_is_allowed() {
    for (from, to, expected) in [
        (
            "state_directory",
            "state_folder",
            "agent.toml:7: unknown key `state_folder`; allowed here: `state_directory`, `reset_by_two`, `revocations_max_age_h`, `identity`, `record`, `log`, `relay`, `link`, `function`, `allow`, `local`, `dictionary`, `hub`, `mqtt`, `operator`",
        ),
        (
            "lease_ttl_ms",
            "lease_ms",
            "unknown key `lease_ms`; allowed here: `name`, `kind`, `lease_ttl_ms`, `watchdog`, `limits`, `adapter`",
        ),
        (
            "max_mb",
            "max",
            "unknown key `max`; allowed here: `directory`, `max_mb`, `commands`, `telemetry`, `applied`",
        ),
        (
            "commands = true",
            "commands = 1",
            "invalid type: integer `1`, expected a boolean",
        ),
        (
            "hold_ms",
            "hold",
            "unknown key `hold`; allowed here: `hold_ms`, `ramp_ms`, `minimal_risk_ms`",
        ),
        (
            "kind = \"sim\"",
            "kind = \"sim\", sped = 1",
            "unknown key `sped`; allowed here: `feed_ms`, `telemetry_ms`, ",
        ),
        (
            "kind = \"sim\"",
            "kind = \"can\"",
            "unknown value `can`, expected one of `sim`, `udp`, `process`, `local`, `mqtt`",
        ),
        (
            "\"group/night-shift\"",
            "\"night-shift\"",
            "\"night-shift\" is nobody; allowed are \"anybody\", ",
        ),
        (
            "watchdog = false",
            "watchdog = 3",
            "expected a table with `hold_ms`, `ramp_ms` and `minimal_risk_ms`, or false",
        ),
    ] {
        let error = read(&complete().replace(from, to)).unwrap_err();
        assert!(error.starts_with("agent.toml:"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (from, to, expected) in [
        (
            "name = \"mavlink\"",
            "name = \"drive\"",
            "[[function]]: the name drive is used twice",
        ),
        (
            "watchdog = { hold_ms = 200",
            "watchdog = { hold_ms = 600",
            "[[function]] drive: `watchdog`: the watchdog's limits must grow: hold < ramp < minimal risk",
        ),
        (
            "watchdog = { hold_ms = 200, ramp_ms = 500, minimal_risk_ms = 1500 }",
            "watchdog = false",
            "[[function]] drive: `watchdog = false` is for kind = \"opaque\" only",
        ),
        (
            "\nwatchdog = false",
            "\nlimits = {}",
            "[[function]] mavlink: `limits` are for kind = \"drive\" only",
        ),
        (
            "max_mb = 64",
            "max_mb = 1000001",
            "[record]: `max_mb` is 0 to 1000000",
        ),
        (
            "rate_max_hz = 200",
            "rate_max_hz = 0",
            "[[function]] drive: `limits`: the highest rate of commands must not be zero",
        ),
        (
            "lease_ttl_ms = 500",
            "lease_ttl_ms = 50",
            "[[function]] drive: `lease_ttl_ms` must be 200 to 60000",
        ),
        (
            "adapter = { kind = \"sim\" }",
            "adapter = { kind = \"udp\", send_to = \"127.0.0.1:1\" }",
            "[[function]] drive: adapter \"udp\" takes opaque commands only",
        ),
        (
            "\nfunctions = [\"drive\"]",
            "\nfunctions = [\"wings\"]",
            "[[allow]]: `functions` names wings, which is no [[function]]",
        ),
        (
            "level = \"device\"",
            "level = \"observer\"",
            "[[local]] /run/longrein/agent/device.sock: `functions` is for level = \"device\" only",
        ),
        (
            "\nlevel = \"observer\"",
            "\nlevel = \"device\"",
            "[[local]]: the path /run/longrein/agent/device.sock is used twice",
        ),
        (
            "functions = [\"gripper\"]",
            "functions = [\"arm\"]",
            "[[function]] gripper: adapter \"local\" needs a [[local]] with level = \"device\" for it",
        ),
        (
            "path = \"/run/longrein",
            "path = \"run/longrein",
            "`path` must be absolute and of at most 107 bytes",
        ),
        (
            "name = \"west\"",
            "name = \"east\"",
            "the name east is used twice",
        ),
    ] {
        let error = checked(&complete().replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_makes_no_sense_of_mqtt_is_refused() {
    for (from, to, expected) in [
        (
            "broker = \"yard\", command",
            "broker = \"attic\", command",
            "[[function]] valves: adapter \"mqtt\": `broker` names attic, which is no [[mqtt]]",
        ),
        (
            "command = \"devices/{device}/cmd\"",
            "command = \"devices/+/cmd\"",
            "[[function]] valves: adapter \"mqtt\": `command` is a topic with `{device}`",
        ),
        (
            "fail_safe = \"close\"",
            "fail_safe = \"close\", qos = 3",
            "QoS is 0, 1 or 2",
        ),
        (
            "version = \"5\"",
            "version = \"3.1.1\"\nqos = 1",
            "unknown key `qos`",
        ),
        (
            ", presence = { topic = \"devices/{device}/online\", online = \"online\", offline = \"offline\" }",
            "",
            "commands go to devices that are known to be there: give `presence`, or `telemetry` and `silent_s`",
        ),
        (
            "address = \"broker.example:1883\"",
            "address = \"broker.example\"",
            "[[mqtt]] yard: `address`: \"broker.example\" is no `host:port`",
        ),
        (
            "\n[[mqtt]]\n",
            "\n[[mqtt]]\nname = \"attic\"\naddress = \"broker.example:1883\"\n[[mqtt]]\n",
            "[[mqtt]] attic: no [[function]] and no [[operator]] uses it",
        ),
        (
            "topic = \"panel/drive/set\"",
            "topic = \"panel/{function}/set\"",
            "[[operator]] panel: `topic` has `{vehicle}` and `{function}`, each unless its key is given",
        ),
    ] {
        let error = checked(&complete().replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_broker_of_operators_alone_has_no_devices_to_speak_for() {
    let with_attic = |more: &str| {
        let attic =
            format!("\n[[mqtt]]\nname = \"attic\"\naddress = \"broker.example:1883\"\n{more}");
        let text = complete().replacen("\n[[mqtt]]\n", &format!("{attic}[[mqtt]]\n"), 1);
        let (before, operator) = text.split_once("[[operator]]").unwrap();
        let operator = operator.replacen("\"yard\"", "\"attic\"", 1);
        checked(&format!("{before}[[operator]]{operator}"))
    };
    with_attic("").unwrap();
    assert_eq!(
        with_attic("availability = \"attic\"\n").unwrap_err(),
        "[[mqtt]] attic: `availability` is of devices, and no [[function]] has any there"
    );
}

#[test]
fn without_relays_or_functions_it_says_what_is_needed() {
    assert_eq!(
        checked(""),
        Err(
            "no [[relay]]: name 1 to 8 relays in the --config file, see agent.example.toml"
                .to_string()
        )
    );
    assert_eq!(
        checked("[[relay]]\nname = \"a\"\naddress = \"a:1\"\n"),
        Err(
            "no [[function]]: name 1 to 62 functions in the --config file, see agent.example.toml"
                .to_string()
        )
    );
}
