//! Who may ask over HTTP: the program that makes tokens, the tokens that are believed, and all those that are not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/tokens.rs"]
mod making_tokens;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use making_tokens::{now_s, pair, read, start, token};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use support::Folder;
use support::http::ask;
use support::program::{Program, run};

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

fn text(path: &Path) -> String {
    path.display().to_string()
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

/// A relay that believes the tokens of one key.
struct Scene {
    _relay: Program,
    address: String,
    own: Ed25519KeyPair,
    stranger: Ed25519KeyPair,
    /// The file with the public key.
    public: Vec<u8>,
    _folder: Folder,
}

impl Scene {
    fn start(test: &str) -> Scene {
        let folder = Folder::new(test);
        let [own, stranger] = ["t.key", "stranger.key"].map(|name| {
            let file = folder.path().join(name);
            run(RELAY, &["token", "--new-key", &text(&file)]);
            pair(&file)
        });
        let public = folder.path().join("t.key.pub");
        let sections = format!("[[http.token_key]]\nname = \"own\"\nfile = {public:?}\n");
        let (relay, address) = start(&folder, &sections);
        Scene {
            _relay: relay,
            address,
            own,
            stranger,
            public: std::fs::read(public).unwrap(),
            _folder: folder,
        }
    }

    /// A token that is good but for these changes.
    fn signed(&self, changes: Value) -> String {
        by(&json!({ "alg": "EdDSA" }), &claims(changes), &self.own)
    }

    fn expect_refused(&self, token: &str, expected: &str) {
        let answer = read(&self.address, token);
        let told = (answer.status, answer.kind());
        assert_eq!(told, (401, "unauthorized".to_string()), "{token}");
        let detail = answer.json()["detail"].as_str().unwrap().to_string();
        assert!(detail.contains(expected), "{expected}: {detail}");
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{answer:?}"
        );
    }
}

/// Good claims with these changes.
fn claims(changes: Value) -> Value {
    let mut claims =
        json!({ "sub": "erp", "scope": "hub.read", "aud": "longrein", "exp": now_s() + 600 });
    let changes = changes.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(changes);
    claims
}

fn by(head: &Value, claims: &Value, key: &Ed25519KeyPair) -> String {
    token(head, claims, |text| key.sign(text).as_ref().to_vec())
}

#[test]
fn a_token_of_the_key_is_believed_and_allows_what_its_scope_says() {
    let scene = Scene::start("tokens-believed");
    for believed in [
        scene.signed(json!({})),
        scene.signed(json!({ "sub": "service/erp" })),
        scene.signed(json!({ "aud": ["other", "longrein"] })),
        scene.signed(json!({ "scope": ["x", "hub.read"] })),
        // Clocks differ.
        scene.signed(json!({ "exp": now_s() - 5, "nbf": now_s() + 5 })),
        by(
            &json!({ "alg": "EdDSA", "kid": "own" }),
            &claims(json!({})),
            &scene.own,
        ),
    ] {
        for _ in 0..2 {
            assert_eq!(read(&scene.address, &believed).status, 200, "{believed}");
        }
    }
    for scope in ["", "hub.send", "read", "hub.readx"] {
        let answer = read(&scene.address, &scene.signed(json!({ "scope": scope })));
        let told = (answer.status, answer.kind());
        assert_eq!(told, (403, "not-allowed".to_string()), "{scope}");
    }
    for lines in [
        "",
        "authorization: Basic eDp5\r\n",
        "authorization: Bearer\r\n",
    ] {
        let answer = ask(&scene.address, "GET", "/v1/quality", lines, "");
        let told = (answer.status, answer.kind());
        assert_eq!(told, (401, "unauthorized".to_string()), "{lines}");
    }
}

#[test]
fn a_token_that_is_over_or_for_somebody_else_is_not_believed() {
    let scene = Scene::start("tokens-claims");
    for (changes, expected) in [
        (json!({ "exp": now_s() - 60 }), "`exp` is in the past"),
        (json!({ "exp": null }), "`exp` is no date"),
        (json!({ "exp": "tomorrow" }), "`exp` is no date"),
        (json!({ "nbf": now_s() + 600 }), "`nbf` is in the future"),
        (json!({ "aud": "other" }), "`aud` is another audience's"),
        (json!({ "aud": null }), "`aud` is another audience's"),
        (json!({ "sub": "Erp" }), "`sub` is no name of a service"),
        (
            json!({ "sub": "agent/truck-17" }),
            "`sub` is no name of a service",
        ),
        (json!({ "sub": null }), "`sub` is missing"),
        (json!({ "x": "y".repeat(9_000) }), "longer than 8 KiB"),
    ] {
        scene.expect_refused(&scene.signed(changes), expected);
    }
    for claim in ["exp", "aud", "sub"] {
        let mut without = claims(json!({}));
        without.as_object_mut().unwrap().remove(claim);
        let token = by(&json!({ "alg": "EdDSA" }), &without, &scene.own);
        scene.expect_refused(&token, &format!("`{claim}` is missing"));
    }
}

#[test]
fn a_token_that_another_key_signed_or_none_or_in_another_way_is_not_believed() {
    let scene = Scene::start("tokens-signed");
    let good = claims(json!({}));
    let eddsa = json!({ "alg": "EdDSA" });
    let signature = "its signature is wrong";
    scene.expect_refused(&by(&eddsa, &good, &scene.stranger), signature);
    let weak = scene.signed(json!({ "scope": "hub.send" }));
    let (head, rest) = weak.split_once('.').unwrap();
    let (_, of_weak) = rest.split_once('.').unwrap();
    let strong = URL_SAFE_NO_PAD.encode(good.to_string());
    scene.expect_refused(&format!("{head}.{strong}.{of_weak}"), signature);
    for (head, expected) in [
        (json!({ "alg": "EdDSA", "kid": "other" }), "no key"),
        (json!({ "alg": "ES256" }), "no key"),
        (json!({ "alg": "RS256" }), "no key"),
        (
            json!({ "alg": "EdDSA", "crit": ["b64"] }),
            "asks for extensions",
        ),
        (json!({}), "not signed by EdDSA"),
    ] {
        scene.expect_refused(&by(&head, &good, &scene.own), expected);
    }
    // Nobody chooses by the header that nothing is verified, or that the public key is a secret.
    for (alg, expected) in [
        ("none", "not signed by EdDSA"),
        ("None", "not signed by EdDSA"),
        ("EdDSA", signature),
    ] {
        let unsigned = token(&json!({ "alg": alg }), &good, |_| Vec::new());
        scene.expect_refused(&unsigned, expected);
    }
    for secret in [&scene.public[..], scene.own.public_key().as_ref()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let sign = |text: &[u8]| hmac::sign(&key, text).as_ref().to_vec();
        let confused = token(&json!({ "alg": "HS256" }), &good, sign);
        scene.expect_refused(&confused, "not signed by EdDSA");
    }
    scene.expect_refused("a.b", "not three parts");
    scene.expect_refused("a.b.c", "no base64url");
}
