//! Local access: who may read and write what, and requests that claim another user.

use backend_flask::messages::SEED_GROUP;
use backend_flask::server::Settings;
use serde_json::json;

use crate::client::Request;
use crate::world::{App, ONE, STRANGER, World};

/// Requests that only a member may make.
fn members_only(app: &App) -> [Request; 2] {
    let body = json!({ "message": "x", "message_group_uuid": SEED_GROUP.to_string() });
    [app.get(&format!("/api/messages/{SEED_GROUP}")), app.post("/api/messages").json(&body)]
}

#[test]
fn a_request_without_a_user_is_refused() {
    let world = World::new();
    for request in members_only(&world.app) {
        request.send().refuses(401, "x-cruddur-user");
    }
    for path in ["/api/message_groups", "/api/events"] {
        let answer = world.app.get(path).send();
        answer.refuses(401, "x-cruddur-user");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        world.app.get(path).from("nobody").send().refuses(401, "x-cruddur-user");
        world.app.get(path).header("Cookie", "cruddur_user=nobody").send().refuses(401, "cruddur_user");
    }
}

#[test]
fn a_stranger_neither_reads_nor_writes_nor_learns_that_there_is_a_group() {
    let world = World::new();
    let mut said = Vec::new();
    for group in [SEED_GROUP.to_string(), "5ae290ed-55d1-47a0-bc6d-fe2bc2700390".to_owned()] {
        let read = world.app.get(&format!("/api/messages/{group}")).from(STRANGER).send();
        let body = json!({ "message": "x", "message_group_uuid": group });
        let write = world.app.post("/api/messages").from(STRANGER).json(&body).send();
        read.refuses(403, "message_group_uuid");
        write.refuses(403, "message_group_uuid");
        said.push((read.body, write.body));
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(world.items("").len(), 138, "nothing was written");
}

#[test]
fn a_browser_sees_a_refusal_as_a_page_and_is_asked_for_a_user() {
    let world = World::new();
    let page = world.app.get("/").send();
    assert_eq!(page.status, 401, "{page:?}");
    assert!(page.body.contains("name=\"handle\" value=\"bayko\""), "{page:?}");
    let page = world.app.get(&format!("/messages/{SEED_GROUP}")).from(STRANGER).send();
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains("you are not a member of this group"), "{page:?}");
    for page in [page, world.app.get("/to/nobody").from(ONE).send()] {
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
    }
    world
        .app
        .get(&format!("/parts/messages/{SEED_GROUP}"))
        .from(STRANGER)
        .send()
        .refuses(403, "message_group_uuid");
}

#[test]
fn a_member_of_another_group_is_a_stranger_too() {
    let world = World::new();
    assert_eq!(world.app.write_to(STRANGER, ONE, "We have one").status, 201);
    for request in members_only(&world.app) {
        request.from(STRANGER).send().refuses(403, "message_group_uuid");
    }
}

#[test]
fn a_page_of_another_name_is_refused_even_on_the_loopback() {
    let world = World::new();
    let port = world.app.0.port();
    for host in
        ["evil.example", "cruddur.example:4567", "localhost.evil.example", "", "127.0.0.1.evil.example"]
    {
        for path in ["/api/health-check", "/api/message_groups", "/"] {
            world.app.get(path).from(ONE).header("Host", host).send().refuses(403, "host");
        }
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "localhost".to_owned()] {
        world.app.get("/api/message_groups").from(ONE).header("Host", &host).send().ok();
    }
}

#[test]
fn a_cookie_writes_only_from_the_own_page() {
    let world = World::new();
    let [_, write] = members_only(&world.app);
    write.header("Cookie", "cruddur_user=andrewbrown").send().refuses(403, "origin");
    for origin in
        ["http://localhost:3000", "https://evil.example", "null", &format!("https://{}", world.app.0)]
    {
        let [_, write] = members_only(&world.app);
        let write = write.header("Cookie", "cruddur_user=andrewbrown").header("Origin", origin);
        write.send().refuses(403, "origin");
    }
    let [_, write] = members_only(&world.app);
    let own = format!("http://{}", world.app.0);
    let answer = write.header("Cookie", "cruddur_user=andrewbrown").header("Origin", &own).send();
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn a_request_through_a_proxy_is_not_local() {
    let world = World::new();
    for header in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CDN-Loop",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Tailscale-User-Login",
        "X-Amzn-Trace-Id",
        "X-ARR-ClientIP",
        "X-Cloud-Trace-Context",
        "X-Envoy-External-Address",
    ] {
        let request = world.app.get("/api/message_groups").from(ONE).header(header, "192.0.2.1");
        request.send().refuses(403, "forwarded");
    }
}

#[test]
fn only_the_front_end_s_pages_may_call_the_api() {
    let world = World::new();
    let mut settings = world.settings();
    settings.push(("FRONTEND_URL", "http://localhost:3000".to_owned()));
    let app = App::start(&settings);
    let ask = |origin| {
        let preflight = Request::new(app.0, "OPTIONS", "/api/messages").header("Origin", origin);
        let preflight = preflight.header("Access-Control-Request-Method", "POST");
        preflight.header("Access-Control-Request-Headers", "x-cruddur-user,content-type").send()
    };
    let allowed = |origin| ask(origin).header("access-control-allow-origin").map(str::to_owned);
    assert_eq!(allowed("http://localhost:3000"), Some("http://localhost:3000".to_owned()));
    assert_ne!(allowed("http://evil.example"), Some("http://evil.example".to_owned()));
    let named = ask("http://localhost:3000");
    assert!(named.header("access-control-allow-headers").unwrap().contains("x-cruddur-user"), "{named:?}");
    assert_eq!(named.header("access-control-allow-credentials"), None);
    // A page can also read why its request was refused.
    for path in ["/api/messages/%ff", "/api/message_groups?limit=0", "/nothing"] {
        let refused = app.get(path).from(ONE).header("Origin", "http://localhost:3000").send();
        assert_eq!(
            refused.header("access-control-allow-origin"),
            Some("http://localhost:3000"),
            "{refused:?}"
        );
    }
}

#[test]
fn settings_that_let_anybody_in_are_refused() {
    let error = |settings: &[(&str, &str)]| {
        let local = [
            ("CONNECTION_URL", "postgresql://me@127.0.0.1/d"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
        ];
        let settings: Vec<_> = settings.iter().chain(&local).collect();
        let find = |name: &str| settings.iter().find(|(set, _)| *set == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
            .err()
            .map(|error| error.to_string())
    };
    let local = ("BACKEND_ACCESS", "local");
    for origin in [
        "*",
        "null",
        "cruddur.example",
        "https://*",
        "https://a.example/page",
        "ftp://a.example",
        "https://me@a.example",
    ] {
        let said = error(&[local, ("FRONTEND_URL", origin)]);
        assert_eq!(
            said,
            Some("FRONTEND_URL is not an origin such as https://cruddur.example".to_owned()),
            "{origin}"
        );
    }
    for origin in ["https://cruddur.example", "http://localhost:3000/", "http://[::1]:3000"] {
        assert_eq!(error(&[local, ("FRONTEND_URL", origin)]), None);
    }
    let cognito = [("BACKEND_ACCESS", "cognito"), ("COGNITO_CLIENT_ID", "c")];
    let issuer = ("COGNITO_ISSUER", "https://issuer.example/pool");
    for (name, url) in [
        ("COGNITO_ISSUER", "http://issuer.example/pool"),
        ("COGNITO_ISSUER", "issuer.example"),
        ("COGNITO_ISSUER", "https://me:secret@issuer.example"),
        ("COGNITO_JWKS_URL", "http://issuer.example/keys"),
        ("COGNITO_JWKS_URL", "http://127.0.0.1:secret@issuer.example/keys"),
    ] {
        let said = error(&[&[(name, url)], &cognito[..], &[issuer]].concat());
        assert_eq!(said, Some(format!("{name} must begin with https:// and have no user")), "{url}");
    }
    let near = ("COGNITO_JWKS_URL", "http://127.0.0.1:1/keys");
    assert_eq!(error(&[&[issuer, near], &cognito[..]].concat()), None);
}
