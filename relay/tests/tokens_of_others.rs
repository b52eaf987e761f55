//! Tokens that others make: keys of other kinds, and an issuer of OpenID Connect.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod issuer;
#[path = "support/tokens.rs"]
mod making_tokens;
mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use making_tokens::{now_s, pair, read, start, token};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use support::Folder;
use support::program::run;

use issuer::Issuer;

const RELAY: &str = env!("CARGO_BIN_EXE_longrein-relay");

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
    run(RELAY, &["token", "--new-key", &key.display().to_string()]);
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
    run(RELAY, &["token", "--new-key", &key.display().to_string()]);
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
