//! Properties that every answer has.

use crate::client::Answer;
use crate::world::{ONE, World};

/// Refusals by each part of the server that can refuse.
fn refusals(world: &World) -> Vec<(u16, Answer)> {
    let get = |path: &str| world.app.get(path).from(ONE);
    let post =
        |path: &str| world.app.post(path).from(ONE).header("Origin", &format!("http://{}", world.app.0));
    let form = "application/x-www-form-urlencoded";
    let requests = [
        (400, get("/api/users/@%FF/short")),
        (400, get("/api/messages/%FF")),
        (400, get("/parts/groups?open=everything")),
        (400, get("/api/message_groups?limit=0")),
        (401, world.app.get("/api/message_groups")),
        (403, get("/api/message_groups").header("Host", "evil.example")),
        (404, get("/nothing")),
        (405, post("/api/health-check")),
        (405, post("/page.css")),
        (413, post("/user").body(form, &format!("handle={}", "x".repeat(40_000)))),
        (415, post("/user").body("text/plain", "handle=bayko")),
        (415, post("/api/messages").body("text/plain", "{}")),
        (422, post("/user").body(form, "name=bayko")),
    ];
    requests.map(|(status, request)| (status, request.send())).into()
}

#[test]
fn every_refusal_is_json() {
    let world = World::new();
    for (status, answer) in refusals(&world) {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        let field = answer.json()["field"].as_str().unwrap_or_default().to_owned();
        assert!(!field.is_empty(), "{answer:?}");
        answer.refuses(status, &field);
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
}

#[test]
fn every_answer_has_the_headers_that_browsers_are_told_by() {
    let world = World::new();
    let mut answers: Vec<_> = refusals(&world).into_iter().map(|(_, answer)| answer).collect();
    answers.extend(["/", "/api/health-check", "/page.js"].map(|path| world.app.get(path).send()));
    for answer in answers {
        for header in ["cache-control", "content-security-policy", "referrer-policy", "x-request-id"] {
            assert!(answer.header(header).is_some(), "{header} is not in {answer:?}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
}

#[test]
fn a_request_s_id_is_its_own_only_if_it_can_be_logged() {
    let world = World::new();
    let id = |value: &str| {
        let answer = world.app.get("/page.css").header("X-Request-Id", value).send();
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("abc-123_4.5"), "abc-123_4.5");
    for bad in ["", "two words", "<script>", "a\tb", &"x".repeat(65), &"x".repeat(20_000)] {
        assert_eq!(id(bad).len(), 36, "another one than {bad:.20}");
    }
}

/// hyper itself answers an invalid HTTP request. No handler sees it.
#[test]
fn an_invalid_request_head_gets_a_bare_answer() {
    let world = World::new();
    for (status, head) in [
        (400, "nonsense".to_owned()),
        (400, "GET /a b HTTP/1.1".to_owned()),
        (400, "GET / HTTP/1.1\r\nno header".to_owned()),
        (400, "POST / HTTP/1.1\r\nContent-Length: many".to_owned()),
        (400, "GET / HTTP/9.1".to_owned()),
        (431, format!("GET / HTTP/1.1\r\nX-Long: {}", "x".repeat(300_000))),
        (431, format!("GET / HTTP/1.1{}", "\r\nX-Many: x".repeat(200))),
        (431, format!("GET /{} HTTP/1.1", "x".repeat(300_000))),
    ] {
        let answer = world.app.send_head(&head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:.40}: {answer}");
        assert!(answer.ends_with("\r\n\r\n") && answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
    }
}
