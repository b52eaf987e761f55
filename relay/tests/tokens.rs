//! Who may ask over HTTP: the program that makes tokens, the tokens that are believed, and all those that are not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod issuer;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use support::Folder;
use support::fleet::Fleet;
use support::http::{Answer, ask, bearer};
use support::program::{Program, field, run};

use issuer::Issuer;

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

/// A relay with these sections, and where it serves.
fn start(folder: &Folder, sections: &str) -> (Program, String) {
    let identity = Fleet::new("harbour").issue(folder.path(), "relay/east");
    let text = format!(
        "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\napi = true\n{sections}"
    );
    let file = folder.file("relay.toml", &text);
    let mut relay = Program::start(RELAY, &["--config", &file.display().to_string()]);
    let line = relay.line("http is served");
    (relay, field(&line, "address").to_string())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A token of these parts, signed by this.
fn token(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn pair(file: &Path) -> Ed25519KeyPair {
    let key = pem::parse(std::fs::read(file).unwrap()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.contents()).unwrap()
}

/// What is answered to who asks what `hub.read` allows.
fn read(address: &str, token: &str) -> Answer {
    ask(address, "GET", "/v1/quality", &bearer(token), "")
}

#[test]
fn a_key_is_made_once_and_its_tokens_say_who_may_what_and_for_how_long() {
    let folder = Folder::new("tokens-made");
    let key = folder.path().join("t.key");
    let (code, stdout, lines) = run(RELAY, &["token", "--new-key", &text(&key)]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{lines}");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, _, said) = run(RELAY, &["token", "--new-key", &text(&key)]);
    assert_eq!(code, Some(2));
    assert!(said.contains("t.key: there is something already"), "{said}");

    // What it says is what a configuration needs.
    let (_, sections) = lines.split_once("[[http").unwrap();
    let config = folder.file("keys.toml", &format!("[[http{sections}\n"));
    let words = [
        "token",
        "--config",
        &text(&config),
        "--name",
        "erp",
        "--scope",
        "hub.read hub.send",
        "--ttl",
        "12h",
    ];
    let (code, made, said) = run(RELAY, &words);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let parts: Vec<&str> = made.trim_end().split('.').collect();
    let part = |index: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[index]).unwrap()).unwrap()
    };
    assert_eq!(
        part(0),
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": "own" })
    );
    let claims = part(1);
    assert_eq!(claims["sub"], "erp");
    assert_eq!(claims["scope"], "hub.read hub.send");
    assert_eq!(claims["aud"], "longrein");
    let life_s = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life_s, 12 * 3_600);

    let other = folder.file(
        "other.pem",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    );
    let (other, key) = (text(&other), text(&key));
    let wrong: [(&[&str], i32, &str); 7] = [
        (&["--name", "erp"], 2, "no key: --key names one"),
        (
            &[
                "--name",
                "erp",
                "--key",
                &key,
                "--scope",
                "hub.read hub.all",
            ],
            2,
            "`hub.all` is none of hub.read",
        ),
        (&["--name", "erp", "--key", &other], 1, "other.pem: "),
        (&["--name", "erp", "--key", "/nowhere"], 1, "/nowhere: "),
        (&["--key", &key], 2, "--name"),
        (&["--name", "Erp", "--key", &key], 2, "--name"),
        (
            &["--name", "erp", "--key", &key, "--ttl", "1y"],
            2,
            "a number with s, m, h or d",
        ),
    ];
    for (words, code, expected) in wrong {
        let (got, stdout, said) = run(RELAY, &[&["token"][..], words].concat());
        assert_eq!(
            (got, stdout.as_str()),
            (Some(code), ""),
            "{words:?}: {said}"
        );
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn only_a_token_that_is_signed_is_for_this_relay_and_is_of_now_is_believed() {
    let folder = Folder::new("tokens-believed");
    let key = folder.path().join("t.key");
    for name in ["t.key", "stranger.key"] {
        run(
            RELAY,
            &["token", "--new-key", &text(&folder.path().join(name))],
        );
    }
    let public = folder.path().join("t.key.pub");
    let sections = format!("[[http.token_key]]\nname = \"own\"\nfile = {public:?}\n");
    let (_relay, address) = start(&folder, &sections);
    let (own, stranger) = (pair(&key), pair(&folder.path().join("stranger.key")));
    let ed = json!({ "alg": "EdDSA" });
    let good = |changes: Value| {
        let mut claims =
            json!({ "sub": "erp", "scope": "hub.read", "aud": "longrein", "exp": now_s() + 600 });
        claims
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        claims
    };
    let signed =
        |changes: Value| token(&ed, &good(changes), |text| own.sign(text).as_ref().to_vec());

    for believed in [
        signed(json!({})),
        signed(json!({ "sub": "service/erp" })),
        signed(json!({ "aud": ["other", "longrein"] })),
        signed(json!({ "scope": ["x", "hub.read"] })),
        // Clocks differ.
        signed(json!({ "exp": now_s() - 5, "nbf": now_s() + 5 })),
        token(
            &json!({ "alg": "EdDSA", "kid": "own" }),
            &good(json!({})),
            |text| own.sign(text).as_ref().to_vec(),
        ),
    ] {
        for _ in 0..2 {
            assert_eq!(read(&address, &believed).status, 200, "{believed}");
        }
    }
    for scope in ["", "hub.send", "read", "hub.readx"] {
        let answer = read(&address, &signed(json!({ "scope": scope })));
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (403, "not-allowed"),
            "{scope}"
        );
    }

    let by = |head: Value, key: &Ed25519KeyPair| {
        token(&head, &good(json!({})), |text| {
            key.sign(text).as_ref().to_vec()
        })
    };
    let hs256 = json!({ "alg": "HS256" });
    let secret = std::fs::read(&public).unwrap();
    let secrets = [&secret[..], own.public_key().as_ref()];
    let confused = secrets.map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        token(&hs256, &good(json!({})), |text| {
            hmac::sign(&key, text).as_ref().to_vec()
        })
    });
    let changed = {
        let parts = signed(json!({ "scope": "hub.send" }));
        let (head, rest) = parts.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        format!(
            "{head}.{}.{signature}",
            URL_SAFE_NO_PAD.encode(good(json!({})).to_string())
        )
    };
    let none = |alg: &str| token(&json!({ "alg": alg }), &good(json!({})), |_| Vec::new());
    let mut refused = vec![
        (
            signed(json!({ "exp": now_s() - 60 })),
            "`exp` is in the past",
        ),
        (signed(json!({ "exp": null })), "`exp` is no date"),
        (signed(json!({ "exp": "tomorrow" })), "`exp` is no date"),
        (
            signed(json!({ "nbf": now_s() + 600 })),
            "`nbf` is in the future",
        ),
        (
            signed(json!({ "aud": "other" })),
            "`aud` is another audience's",
        ),
        (
            signed(json!({ "aud": null })),
            "`aud` is another audience's",
        ),
        (
            signed(json!({ "sub": "Erp" })),
            "`sub` is no name of a service",
        ),
        (
            signed(json!({ "sub": "agent/truck-17" })),
            "`sub` is no name of a service",
        ),
        (signed(json!({ "sub": null })), "`sub` is missing"),
        (by(ed.clone(), &stranger), "its signature is wrong"),
        (changed, "its signature is wrong"),
        (
            by(json!({ "alg": "EdDSA", "kid": "other" }), &own),
            "no key",
        ),
        (by(json!({ "alg": "ES256" }), &own), "no key"),
        (by(json!({ "alg": "RS256" }), &own), "no key"),
        (
            by(json!({ "alg": "EdDSA", "crit": ["b64"] }), &own),
            "asks for extensions",
        ),
        (none("none"), "not signed by EdDSA"),
        (none("None"), "not signed by EdDSA"),
        (none("EdDSA"), "its signature is wrong"),
        ("a.b".to_string(), "not three parts"),
        ("a.b.c".to_string(), "no base64url"),
        (
            format!("{}x", signed(json!({ "x": "y".repeat(9_000) }))),
            "longer than 8 KiB",
        ),
    ];
    refused.extend(confused.map(|token| (token, "not signed by EdDSA")));
    for (token, expected) in refused {
        let answer = read(&address, &token);
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (401, "unauthorized"),
            "{token}"
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_string();
        assert!(detail.contains(expected), "{expected}: {detail}");
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{answer:?}"
        );
    }
    for lines in [
        "",
        "authorization: Basic eDp5\r\n",
        "authorization: Bearer\r\n",
    ] {
        let answer = ask(&address, "GET", "/v1/quality", lines, "");
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (401, "unauthorized"),
            "{lines}"
        );
    }
}

#[test]
fn keys_of_other_makers_are_read_as_pem_and_as_jwks() {
    let folder = Folder::new("tokens-kinds");
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
    let point = ec.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwks = json!({ "keys": [
        { "kty": "oct", "k": "AAAA" },
        { "kty": "EC", "crv": "P-256", "kid": "two", "use": "sig", "x": part(&point[1..33]), "y": part(&point[33..]) },
    ] });
    let jwks = folder.file("keys.json", &jwks.to_string());
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = folder.file("p256.pem", &other.public_key_pem());
    let sections = format!(
        "[[http.token_key]]\nname = \"jwks\"\nfile = {jwks:?}\naudience = \"fleet\"\n[[http.token_key]]\nname = \"pem\"\nfile = {pem:?}\n"
    );
    let (_relay, address) = start(&folder, &sections);
    let sign = |audience: &str, key: &EcdsaKeyPair| {
        let claims =
            json!({ "sub": "erp", "scope": "hub.read", "aud": audience, "exp": now_s() + 600 });
        let sign = |text: &[u8]| key.sign(&random, text).unwrap().as_ref().to_vec();
        token(&json!({ "alg": "ES256" }), &claims, sign)
    };
    assert_eq!(read(&address, &sign("fleet", &ec)).status, 200);
    assert_eq!(read(&address, &sign("longrein", &ec)).status, 401);
    let from_pem = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &other.serialize_der(),
        &random,
    )
    .unwrap();
    assert_eq!(read(&address, &sign("longrein", &from_pem)).status, 200);
}

#[test]
fn an_issuers_keys_are_fetched_once_and_only_for_tokens_that_say_that_they_are_of_it() {
    let folder = Folder::new("tokens-oidc");
    let key = folder.path().join("t.key");
    run(RELAY, &["token", "--new-key", &text(&key)]);
    let own = pair(&key);
    let issuer = Issuer::start(own.public_key().as_ref());
    let sections = format!(
        "[http.oidc]\nissuer = \"{}\"\naudience = \"fleet\"\nname_claim = \"client_id\"\nscope_claim = \"roles\"\n",
        issuer.url
    );
    let (_relay, address) = start(&folder, &sections);
    let sign = |issuer: &str, kid: &str| {
        let claims = json!({
            "iss": issuer, "client_id": "erp", "roles": ["hub.read"], "aud": "fleet", "exp": now_s() + 600,
        });
        token(&json!({ "alg": "EdDSA", "kid": kid }), &claims, |text| {
            own.sign(text).as_ref().to_vec()
        })
    };
    assert_eq!(
        read(&address, &sign("https://else.example", "one")).status,
        401
    );
    assert_eq!(issuer.asked(), 0);
    assert_eq!(read(&address, &sign(&issuer.url, "one")).status, 200);
    assert_eq!(issuer.asked(), 2);
    for number in 0..20 {
        let answer = read(&address, &sign(&issuer.url, &format!("unknown-{number}")));
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    assert_eq!(issuer.asked(), 2);
}

#[test]
fn an_issuer_that_is_not_reached_is_the_relays_fault_for_now() {
    let folder = Folder::new("tokens-oidc-away");
    let key = folder.path().join("t.key");
    run(RELAY, &["token", "--new-key", &text(&key)]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}");
    let sections = format!("[http.oidc]\nissuer = \"{url}\"\naudience = \"fleet\"\n");
    let (_relay, address) = start(&folder, &sections);
    let claims = json!({ "iss": url, "sub": "erp", "aud": "fleet", "exp": now_s() + 600 });
    let own = pair(&key);
    let of_it = token(&json!({ "alg": "EdDSA" }), &claims, |text| {
        own.sign(text).as_ref().to_vec()
    });
    let answer = read(&address, &of_it);
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (503, "issuer-not-reached")
    );
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
}
