//! Brokers that want TLS, a certificate of the agent and a password.

use std::process::Command;

use longrein::Resolution;
use longrein::local_fleet::{Folder, Plan};
use longrein_io::runtime;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

use super::fleet;
use super::mosquitto::Mosquitto;
use super::mqtt_desk::{Desk, TTL, agent_says, function};

/// A broker's certificate for 127.0.0.1, its client's, the authority of both, and another authority; passwords, right and wrong.
struct Papers(Folder);

impl Papers {
    fn new() -> Papers {
        let papers = Papers(Folder::new().unwrap());
        let (ours, other) = (authority("ours"), authority("other"));
        papers.write("ours.pem", &ours.pem());
        papers.write("other.pem", &other.pem());
        for (name, host) in [("broker", "127.0.0.1"), ("client", "truck-17")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![host.to_string()]).unwrap();
            params.distinguished_name = named(name);
            let certificate = params.signed_by(&key, &ours).unwrap();
            papers.write(&format!("{name}.pem"), &certificate.pem());
            papers.write(&format!("{name}.key"), &key.serialize_pem());
        }
        papers.write("right", "open sesame\n");
        papers.write("wrong", "open barley\n");
        let hashed = Command::new("mosquitto_passwd")
            .args(["-b", "-c", &papers.path("passwords"), "yard", "open sesame"])
            .status()
            .unwrap();
        assert!(hashed.success());
        papers
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// What a broker's listener wants.
    fn wanted(&self) -> String {
        format!(
            "allow_anonymous false\npassword_file {}\nrequire_certificate true\ncafile {}\ncertfile {}\nkeyfile {}\n",
            self.path("passwords"),
            self.path("ours.pem"),
            self.path("broker.pem"),
            self.path("broker.key"),
        )
    }

    /// A `[[mqtt]]` section of an agent that has these.
    fn section(&self, name: &str, port: u16, has: &Has) -> String {
        let tls = format!("ca = {:?}{}", self.path(has.authority), has.more);
        let tls = if has.certificate {
            let (certificate, key) = (self.path("client.pem"), self.path("client.key"));
            format!("{tls}, certificate = {certificate:?}, key = {key:?}")
        } else {
            tls
        };
        format!(
            "[[mqtt]]\nname = {name:?}\naddress = \"127.0.0.1:{port}\"\nusername = \"yard\"\npassword_file = {:?}\ntls = {{ {tls} }}\n",
            self.path(has.password),
        )
    }
}

/// What an agent has for a broker.
struct Has {
    authority: &'static str,
    certificate: bool,
    password: &'static str,
    more: &'static str,
}

const RIGHT: Has = Has {
    authority: "ours.pem",
    certificate: true,
    password: "right",
    more: "",
};

#[test]
fn a_broker_and_an_agent_that_know_each_other_by_certificate_and_password_meet_and_no_others() {
    let papers = Papers::new();
    let broker = Mosquitto::start_with(&papers.wanted());
    let port = broker.guarded_port;
    let _device = broker.devices("5", 1, 0, 1);
    let wrong = [
        (
            "stranger",
            Has {
                authority: "other.pem",
                ..RIGHT
            },
            "UnknownIssuer",
        ),
        (
            "misnamed",
            Has {
                more: ", server_name = \"broker.example\"",
                ..RIGHT
            },
            "not valid for name",
        ),
        (
            "unknown",
            Has {
                certificate: false,
                ..RIGHT
            },
            "CertificateRequired",
        ),
        (
            "forgetful",
            Has {
                password: "wrong",
                ..RIGHT
            },
            "NotAuthorized",
        ),
    ];
    let mut sections = papers.section("yard", port, &RIGHT);
    for (name, has, _) in &wrong {
        sections += &papers.section(name, port, has);
        sections += &function(name, name, 1);
    }
    let fleet = fleet::start(Plan {
        functions: sections + &function("valves", "yard", 1),
        ..fleet::plan()
    });
    runtime::run(async || {
        let mut desk = Desk::new(&fleet).await;
        desk.sees("device-0").await;
        assert_eq!(
            desk.command("device-0", "open", TTL).await,
            Resolution::Applied
        );
        desk.connection.close().await;
    })
    .unwrap();
    for (name, _, why) in wrong {
        agent_says(&fleet, &["broker is not reached", name, why]);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// For OpenSSL, to which an issuer and a subject of one name are one.
fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
