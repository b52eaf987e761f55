//! Machines become nodes of a fleet with a token, through a real relay, and what keeps others from it.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use longrein::fleet::{FleetFolder, TokenOrder};
use longrein_io::clock;
use longrein_io::keys::Identity;
use longrein_proto::crypto::CertificateError;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::complaint::expect;
use super::office::{Office, is_done};
use super::papers::Papers;
use super::program::Program;

#[test]
fn agents_controllers_services_and_relays_enrol_with_a_token_and_are_of_the_fleet() {
    let office = Office::new();
    for (program, node) in [
        ("longrein-agent", "agent/truck-18"),
        ("longrein", "controller/carol"),
        ("longrein", "service/billing"),
        ("longrein-relay", "relay/relay-b"),
    ] {
        let (role, name) = node.split_once('/').unwrap();
        let token = office.token(&format!("--role {role} --name {name} --group yard"));
        let identity = office.path(&format!("{role}-keys"));
        is_done(&office.enroll(program, &identity, &[&token]));
        let identity_of = Identity::load(&identity).unwrap();
        assert_eq!(identity_of.node().to_string(), node);
        let now = clock::unix_time();
        let peer = identity_of
            .fleet()
            .verify(&identity_of.certificate(), now)
            .unwrap();
        assert_eq!(format!("{:?}", peer.groups), "[yard]");
        let files: BTreeSet<String> = fs::read_dir(&identity)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let expected = ["authority.pem", "node.key", "node.pem"].map(String::from);
        assert_eq!(files, expected.into());
        let mode = fs::metadata(identity.join("node.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let config = format!(
        "state_directory = {:?}\nidentity = {{ directory = {:?} }}\nrelay = [{{ name = \"relay-a\", address = \"{}\" }}]\n\
         function = [{{ name = \"drive\", adapter = {{ kind = \"sim\" }} }}]\n",
        office.path("state"),
        office.path("agent-keys"),
        office.address
    );
    let config = office.papers.file("truck-18.toml", &config);
    let mut office = office;
    let _agent = Program::start("longrein-agent", ["--config", &config]);
    office.relay.says("node is here node=agent/truck-18");
    let carol = office.path("controller-keys").display().to_string();
    let relay = format!("relay-a={}", office.address);
    let listed = Program::start(
        "longrein",
        ["vehicles", "--identity", &carol, "--relay", &relay],
    );
    let listed = listed.ended();
    is_done(&listed);
    assert!(listed.stdout.concat().contains("truck-18"), "{listed:?}");
}

#[test]
fn a_token_works_for_one_key_only_also_when_the_authority_was_killed() {
    let mut office = Office::new();
    let token = office.token("--role agent --name truck-18");
    let first = office.path("first");
    is_done(&office.enroll("longrein-agent", &first, &[&token]));
    let certificate = fs::read(first.join("node.pem")).unwrap();

    // A machine that was killed before it had the answer has only its key.
    let killed = office.path("killed");
    fs::create_dir(&killed).unwrap();
    fs::copy(first.join("node.key"), killed.join("enrolling.key")).unwrap();
    // Dropping a program kills it.
    drop(office.authority.take());
    office.open();
    is_done(&office.enroll("longrein-agent", &killed, &[&token]));
    assert_eq!(fs::read(killed.join("node.pem")).unwrap(), certificate);

    let thief = office.arguments("longrein-agent", &office.path("thief"), &[&token]);
    expect("longrein-agent", &thief, 3, &["the token is used up"]);
}

#[test]
fn what_is_in_the_way_of_an_enrolment_is_said_on_one_line() {
    let office = Office::new();
    let expect = |program: &str, words: &[&str], code: i32, parts: &[&str]| {
        let identity = office.path("nowhere");
        let arguments = office.arguments(program, &identity, words);
        expect(program, &arguments, code, parts);
        assert!(!identity.join("node.pem").exists());
    };
    let agents = office.token("--role agent --name truck-18");
    expect(
        "longrein-relay",
        &[&agents],
        2,
        &["for agent, not for relay"],
    );
    expect(
        "longrein",
        &[&agents],
        2,
        &["for agent, not for controller"],
    );
    expect(
        "longrein-agent",
        &["--name", "truck-19", &agents],
        2,
        &["is for truck-18, not for truck-19"],
    );
    expect(
        "longrein-agent",
        &["lrt1_abc"],
        2,
        &["not whole: copy all of it"],
    );
    expect("longrein-agent", &["truck-18"], 2, &["this is no token"]);

    let other = Papers::new();
    let other = FleetFolder::open(&other.folder().join("fleet")).unwrap();
    let order = |until_s| TokenOrder::one("agent/truck-18".parse().unwrap(), until_s);
    let now_s = clock::unix_ms() / 1_000;
    let stranger = other.token(&order(now_s + 60), now_s).unwrap().to_text();
    expect(
        "longrein-agent",
        &[&stranger],
        3,
        &["of another authority than the relay's"],
    );

    let ours = FleetFolder::open(Path::new(&office.folder())).unwrap();
    let past = ours
        .token(&order(YEAR_2020_S + 60), YEAR_2020_S)
        .unwrap()
        .to_text();
    expect("longrein-agent", &[&past], 4, &["it has expired"]);

    let many = office.token("--role agent --name-prefix dev- --uses 1");
    expect(
        "longrein-agent",
        &[&many],
        2,
        &["begin with dev-: give --name"],
    );
    is_done(&office.enroll(
        "longrein-agent",
        &office.path("dev-1"),
        &["--name", "dev-1", &many],
    ));
    expect(
        "longrein-agent",
        &["--name", "dev-2", &many],
        3,
        &["the token is used up"],
    );
}

#[test]
fn an_identity_gives_way_only_when_it_is_told_to() {
    let office = Office::new();
    let identity = office.papers.of("agent/truck-17");
    let before = fs::read(identity.join("node.pem")).unwrap();
    let token = office.token("--role agent --name truck-17");
    let arguments = office.arguments("longrein-agent", &identity, &[&token]);
    expect(
        "longrein-agent",
        &arguments,
        2,
        &["holds an identity already", "--replace"],
    );
    assert_eq!(fs::read(identity.join("node.pem")).unwrap(), before);
    is_done(&office.enroll("longrein-agent", &identity, &["--replace", &token]));
    assert_ne!(fs::read(identity.join("node.pem")).unwrap(), before);
    Identity::load(&identity).unwrap();
}

#[test]
fn without_a_relay_or_the_authority_nobody_enrols_and_is_told_which() {
    let mut office = Office::new();
    let token = office.token("--role agent --name truck-18");
    let authority = office.authority.take().unwrap();
    authority.signal(Signal::TERM);
    is_done(&authority.ended());
    office.relay.says("node is gone node=authority/yard");
    let mut arguments = office.arguments("longrein-agent", &office.path("keys"), &[&token]);
    let patience = arguments.iter().position(|word| word == "30").unwrap();
    arguments[patience] = "1".to_string();
    let parts = ["is `longrein authority serve` running?"];
    expect("longrein-agent", &arguments, 5, &parts);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let relay = arguments
        .iter()
        .position(|word| *word == office.address)
        .unwrap();
    arguments[relay] = silent.local_addr().unwrap().to_string();
    expect("longrein-agent", &arguments, 5, &[&arguments[relay]]);
}

#[test]
fn tokens_for_many_are_printed_as_a_table() {
    let office = Office::new();
    let lines = office.tokens("--role agent --name-prefix dev- --count 3 --csv");
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line.split_once(',').unwrap().0)
        .collect();
    assert_eq!(names, ["dev-1", "dev-2", "dev-3"]);
    let (_, token) = lines[1].split_once(',').unwrap();
    let keys = office.path("dev-2");
    is_done(&office.enroll("longrein-agent", &keys, &[token]));
    assert_eq!(
        Identity::load(&keys).unwrap().node().to_string(),
        "agent/dev-2"
    );
}

/// A relay's machine holds nothing that makes nodes: whatever it signs is no node's certificate.
#[test]
fn what_a_relay_holds_signs_no_node() {
    let office = Office::new();
    let folder = office.papers.of("relay/relay-a");
    let root_key =
        fs::read_to_string(Path::new(&office.folder()).join("authority/authority.key")).unwrap();
    let root_key = KeyPair::from_pem(&root_key).unwrap().serialize_der();
    let identity = Identity::load(&folder).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // What is written just now has another name for a moment.
        let Ok(bytes) = fs::read(&path) else { continue };
        let Ok(key) = KeyPair::from_pem(std::str::from_utf8(&bytes).unwrap_or_default()) else {
            continue;
        };
        assert_ne!(key.serialize_der(), root_key, "{}", path.display());
        for issuer in ["authority.pem", "node.pem"] {
            let issuer = CertificateDer::from_pem_file(folder.join(issuer)).unwrap();
            // As the authority signs, with the key that is there.
            let key = KeyPair::try_from(key.serialize_der()).unwrap();
            let Ok(issuer) = Issuer::from_ca_cert_der(&issuer, key) else {
                continue;
            };
            let mut params = CertificateParams::default();
            let uri = "longrein://yard/agent/truck-17".try_into().unwrap();
            params.subject_alt_names = vec![SanType::URI(uri)];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2040, 1, 1);
            let forged = params
                .signed_by(&KeyPair::generate().unwrap(), &issuer)
                .unwrap();
            let believed = identity.fleet().verify(forged.der(), clock::unix_time());
            assert_eq!(believed, Err(CertificateError::UnknownAuthority));
        }
    }
}

/// 1 January 2020.
const YEAR_2020_S: u64 = 1_577_836_800;
