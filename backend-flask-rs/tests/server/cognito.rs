//! Production's access: tokens like Cognito's, signed with the tests' own key, and every kind of wrong token. The
//! issuer's keys are served at the loopback address.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use backend_flask::messages::SEED_GROUP;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::common::wait_for;
use crate::program::Program;
use crate::world::{ONE, World};

const ISSUER: &str = "https://127.0.0.1/eu-west-1_tests";
const CLIENT: &str = "a-client-of-the-tests";

/// Keys that were created for these tests only.
const ISSUER_KEY: &[u8] = include_bytes!("keys/issuer.pk8");
const FORGER_KEY: &[u8] = include_bytes!("keys/forger.pk8");

fn key(pkcs8: &[u8]) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(pkcs8).unwrap()
}

/// Serves the issuer's public keys until the test program ends.
struct Issuer {
    url: String,
    asked: Arc<AtomicUsize>,
}

/// The issuer's behaviour for one request.
#[derive(Clone, Copy)]
enum Conduct {
    Prompt,
    Slow(Duration),
    Broken,
}

impl Issuer {
    fn start() -> Self {
        Self::that_first([])
    }

    /// Treats the first requests like this, and answers all others promptly.
    fn that_first<const N: usize>(conducts: [Conduct; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let RsaPublicKeyComponents { n, e } =
            RsaPublicKeyComponents::<Vec<u8>>::from(key(ISSUER_KEY).public());
        let keys = json!({ "keys": [{
            "kid": "tests", "kty": "RSA", "use": "sig", "alg": "RS256", "n": base64(n), "e": base64(e),
        }]});
        let body = keys.to_string();
        std::thread::spawn(move || {
            let conducts = conducts.into_iter().chain(std::iter::repeat(Conduct::Prompt));
            for (stream, conduct) in listener.incoming().flatten().zip(conducts) {
                count.fetch_add(1, Ordering::SeqCst);
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                _ = lines.take_while(|line| !line.is_empty()).count();
                let status = if let Conduct::Broken = conduct { 500 } else { 200 };
                if let Conduct::Slow(time) = conduct {
                    std::thread::sleep(time);
                }
                let head =
                    format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\nConnection: close", body.len());
                _ = write!(&stream, "{head}\r\n\r\n{body}");
            }
        });
        Self { url, asked }
    }
}

/// The program with production's access, on local databases. It is a separate process, because AWS's chain reads the
/// environment.
struct Production {
    app: Program,
    issuer: Issuer,
    world: World,
}

impl Production {
    fn new() -> Self {
        Self::with(Issuer::start())
    }

    fn with(issuer: Issuer) -> Self {
        Self::with_keys_at(issuer.url.clone(), issuer)
    }

    fn with_keys_at(url: String, issuer: Issuer) -> Self {
        let world = World::new();
        let mut settings = world.settings();
        settings.retain(|(name, _)| *name != "BACKEND_ACCESS");
        settings.extend([
            ("BACKEND_ACCESS", "cognito".to_owned()),
            ("COGNITO_ISSUER", ISSUER.to_owned()),
            ("COGNITO_CLIENT_ID", CLIENT.to_owned()),
            ("COGNITO_JWKS_URL", url),
            // A role or a profile would provide these.
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]);
        Self { app: Program::start(&settings), issuer, world }
    }

    fn ask(&self, token: &str) -> Answer {
        self.app.get("/api/message_groups").header("Authorization", &format!("Bearer {token}")).send()
    }

    #[track_caller]
    fn refuses(&self, token: &str, why: &str) {
        let answer = self.ask(token);
        answer.refuses(401, "authorization");
        assert!(answer.body.contains(why), "{why:?} is not in {answer:?}");
    }
}

/// The claims of a valid access token of a user.
fn access_claims(handle: &str) -> Value {
    json!({
        "sub": format!("MOCK-{handle}"),
        "iss": ISSUER,
        "client_id": CLIENT,
        "token_use": "access",
        "exp": now() + 3600,
        "iat": now(),
    })
}

/// The claims of a valid access token with one claim changed. Null removes it.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = access_claims(ONE);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
        value => claims[claim] = value,
    }
    claims
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "tests" })
}

fn token(header: &Value, claims: &Value, signer: &[u8]) -> String {
    let text = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let signer = key(signer);
    let mut signature = vec![0; signer.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    signer.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", base64(signature))
}

fn good(claims: &Value) -> String {
    token(&header(), claims, ISSUER_KEY)
}

/// Base64 as RFC 7515 defines it: URL-safe, without padding.
fn base64(bytes: impl AsRef<[u8]>) -> String {
    let text = aws_smithy_types::base64::encode(bytes);
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[test]
fn a_good_token_is_its_user_s() {
    let production = Production::new();
    let groups = production.ask(&good(&access_claims(ONE))).ok();
    assert_eq!(groups[0]["uuid"], SEED_GROUP.to_string());
    let id = json!({
        "sub": format!("MOCK-{ONE}"), "iss": ISSUER, "aud": CLIENT, "token_use": "id", "exp": now() + 60,
    });
    production.ask(&good(&id)).ok();
}

#[test]
fn a_token_that_was_altered_or_forged_is_refused() {
    let production = Production::new();
    production
        .refuses(&token(&header(), &access_claims(ONE), FORGER_KEY), "its signature is not the issuer's");
    let good = good(&access_claims(ONE));
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = base64(access_claims("bayko").to_string());
    production.refuses(&format!("{head}.{other}.{signature}"), "its signature is not the issuer's");
    production.refuses(&format!("{head}.{rest}x"), "its ");
    for nonsense in ["x", "a.b.c", "..", &"x".repeat(9_000)] {
        production.refuses(nonsense, "the token is invalid");
    }
}

#[test]
fn no_other_algorithm_is_taken() {
    let production = Production::new();
    for algorithm in ["HS256", "RS512", "PS256", "ES256"] {
        let header = json!({ "alg": algorithm, "kid": "tests" });
        production.refuses(&token(&header, &access_claims(ONE), ISSUER_KEY), "it is not signed with RS256");
    }
    let none = format!(
        "{}.{}.",
        base64(json!({ "alg": "none", "kid": "tests" }).to_string()),
        base64(access_claims(ONE).to_string())
    );
    production.refuses(&none, "it is not a JSON web token");
    // A signature that anybody can make: with the public key as its secret.
    let head = base64(json!({ "alg": "HS256", "kid": "tests" }).to_string());
    let text = format!("{head}.{}", base64(access_claims(ONE).to_string()));
    let public = key(ISSUER_KEY);
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.public().as_ref());
    let signature = ring::hmac::sign(&secret, text.as_bytes());
    production.refuses(&format!("{text}.{}", base64(signature)), "it is not signed with RS256");
}

#[test]
fn each_claim_counts() {
    let production = Production::new();
    let expired = "it has expired";
    let other_client = "it was given to another client";
    let no_sign_in = "its claims are not those of a sign-in";
    for (claim, value, why) in [
        ("exp", json!(now() - 60), expired),
        ("exp", Value::Null, no_sign_in),
        ("exp", json!("never"), no_sign_in),
        ("nbf", json!(now() + 600), "it is not valid yet"),
        ("iss", json!("https://127.0.0.1/another-pool"), "it is from another issuer"),
        ("iss", Value::Null, no_sign_in),
        ("sub", Value::Null, no_sign_in),
        ("client_id", json!("another-client"), other_client),
        ("client_id", Value::Null, other_client),
        ("token_use", json!("refresh"), other_client),
        ("token_use", json!("id"), other_client),
        ("token_use", Value::Null, no_sign_in),
    ] {
        production.refuses(&good(&with(claim, value)), why);
    }
    production.ask(&good(&with("sub", json!("MOCK-nobody")))).refuses(403, "authorization");
}

#[test]
fn an_unknown_key_is_not_fetched_repeatedly() {
    let production = Production::new();
    production.ask(&good(&access_claims(ONE))).ok();
    for number in 0..10 {
        let header = json!({ "alg": "RS256", "kid": format!("made-up-{number}") });
        production
            .refuses(&token(&header, &access_claims(ONE), FORGER_KEY), "none of the issuer's keys signed it");
    }
    production
        .refuses(&token(&json!({ "alg": "RS256" }), &access_claims(ONE), ISSUER_KEY), "it names no key");
    assert_eq!(production.issuer.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn an_event_stream_ends_with_its_token() {
    let production = Production::new();
    // Valid for two more seconds, within the leeway of 30 s for other clocks.
    let bearer = format!("Bearer {}", good(&with("exp", json!(now() - 28))));
    let (mut events, head) = production.app.get("/api/events").header("Authorization", &bearer).begin();
    assert_eq!(head.status, 200, "{head:?}");
    let started = Instant::now();
    let mut line = String::new();
    while events.read_line(&mut line).unwrap() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "still open: {line:?}");
    }
    wait_for("refusal", Duration::from_secs(5), || {
        let later = production.app.get("/api/events").header("Authorization", &bearer).begin();
        (later.1.status == 401).then_some(())
    });
}

#[test]
fn a_request_that_is_cancelled_does_not_stop_sign_in() {
    let production = Production::with(Issuer::that_first([Conduct::Slow(Duration::from_secs(1))]));
    let unknown = token(&json!({ "alg": "RS256", "kid": "made-up" }), &access_claims(ONE), FORGER_KEY);
    let address = production.app.0;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/message_groups HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {unknown}\r\n\r\n"
    )
    .unwrap();
    let asked = || (production.issuer.asked.load(Ordering::SeqCst) == 1).then_some(());
    wait_for("request for keys", Duration::from_secs(10), asked);
    drop(stream);
    production.ask(&good(&access_claims(ONE))).ok();
    assert_eq!(production.issuer.asked.load(Ordering::SeqCst), 1, "one fetch serves all requests");
}

#[test]
fn keys_are_asked_for_again_soon_after_a_failure() {
    let production = Production::with(Issuer::that_first([Conduct::Broken]));
    production.ask(&good(&access_claims(ONE))).refuses(503, "cognito");
    wait_for("sign-in", Duration::from_secs(5), || {
        (production.ask(&good(&access_claims(ONE))).status == 200).then_some(())
    });
}

#[test]
fn without_the_issuer_s_keys_nobody_is_let_in() {
    let nowhere = format!("http://127.0.0.1:{}/", crate::common::free_port());
    let production = Production::with_keys_at(nowhere, Issuer::start());
    production.ask(&good(&access_claims(ONE))).refuses(503, "cognito");
}

#[test]
fn production_ignores_header_and_cookie_and_has_no_page() {
    let production = Production::new();
    let ask = || production.app.get("/api/message_groups");
    ask().from(ONE).send().refuses(401, "authorization");
    ask().header("Cookie", "cruddur_user=andrewbrown").send().refuses(401, "authorization");
    production.app.get("/").send().refuses(404, "path");
    let body = json!({ "message": "x", "message_group_uuid": SEED_GROUP.to_string() });
    production.app.post("/api/messages").from(ONE).json(&body).send().refuses(401, "authorization");
    // With a token, the header is ignored.
    let token = good(&access_claims("zoekestrel"));
    let bearer = format!("Bearer {token}");
    assert_eq!(ask().from(ONE).header("Authorization", &bearer).send().ok(), json!([]));
}

#[test]
fn a_member_of_another_group_is_refused_by_token_too() {
    let production = Production::new();
    let bearer = format!("Bearer {}", good(&access_claims("zoekestrel")));
    let read = production.app.get(&format!("/api/messages/{SEED_GROUP}")).header("Authorization", &bearer);
    read.send().refuses(403, "message_group_uuid");
    let body = json!({ "message": "x", "message_group_uuid": SEED_GROUP.to_string() });
    let write = production.app.post("/api/messages").header("Authorization", &bearer).json(&body);
    write.send().refuses(403, "message_group_uuid");
    let one = format!("Bearer {}", good(&access_claims(ONE)));
    let write = production.app.post("/api/messages").header("Authorization", &one).json(&body).send();
    assert_eq!(write.status, 201, "{write:?}");
    assert_eq!(production.world.items("MSG#").len(), 137);
}
