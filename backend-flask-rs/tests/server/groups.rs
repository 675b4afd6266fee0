//! A user's conversations, other users, and activities.

use backend_flask::messages::SEED_GROUP;
use serde_json::{Value, json};

use crate::world::{ONE, STRANGER, TWO, World};

#[test]
fn a_member_sees_the_group_with_the_other_one() {
    let world = World::new();
    let last = world.app.write(TWO, "The newest").json();
    for (who, other) in [(ONE, TWO), (TWO, ONE)] {
        let groups = world.app.get("/api/message_groups").from(who).send().ok();
        let expected = json!([{
            "uuid": SEED_GROUP.to_string(),
            "handle": other,
            "display_name": if other == TWO { "Andrew Bayko" } else { "Andrew Brown" },
            "message": "The newest",
            "created_at": last["created_at"],
        }]);
        assert_eq!(groups, expected, "{who}");
    }
    assert_eq!(world.app.get("/api/message_groups").from(STRANGER).send().ok(), json!([]));
}

#[test]
fn the_newest_group_comes_first_and_a_limit_leads_on() {
    let world = World::new();
    for other in [STRANGER, "amemiya", "teapot"] {
        assert_eq!(world.app.write_to(ONE, other, "Hello").status, 201);
    }
    world.app.write_to("amemiya", ONE, "Hello yourself");
    let mut path = "/api/message_groups?limit=2".to_owned();
    let mut handles = Vec::new();
    loop {
        let answer = world.app.get(&path).from(ONE).send();
        handles.extend(answer.ok().as_array().unwrap().iter().map(|group| group["handle"].clone()));
        let Some(link) = answer.header("link") else { break };
        path = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(handles, ["amemiya", "teapot", STRANGER, TWO]);
}

#[test]
fn a_user_in_short() {
    let world = World::new();
    let user = world.app.get("/api/users/@amemiya/short").send().ok();
    let uuid = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e04";
    assert_eq!(user, json!({ "uuid": uuid, "display_name": "雨宮 ことり", "handle": "amemiya" }));
    for nobody in ["nobody", "%00", "%F0%9F%90%A6", "'%20or%201=1"] {
        world.app.get(&format!("/api/users/@{nobody}/short")).send().refuses(404, "handle");
    }
}

#[test]
fn home_shows_what_has_not_expired_newest_first() {
    let world = World::new();
    let home = world.app.get("/api/activities/home").send().ok();
    let home = home.as_array().unwrap();
    assert_eq!(home.iter().map(|a| &a["handle"]).collect::<Vec<_>>(), [TWO, ONE, STRANGER]);
    let first = &home[0];
    assert_eq!(first["display_name"], "Andrew Bayko");
    assert_eq!(first["reply_to_activity_uuid"], home[1]["uuid"]);
    assert_eq!((&first["likes_count"], &first["reposts_count"]), (&json!(2), &json!(0)));
    let time = |value: &Value| backend_flask::time::parse(value.as_str().unwrap()).unwrap();
    assert!(time(&first["created_at"]) < time(&first["expires_at"]));
}

#[test]
fn the_page_shows_the_oldest_of_many_conversations() {
    let world = World::new();
    let user = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
    for number in 0..101 {
        let group = format!("00000000-0000-4000-8000-{number:012}");
        let at = format!("2999-01-01T00:00:00.{number:06}+00:00");
        let rows = [
            ("pk", format!("GRP#{user}")),
            ("sk", at),
            ("message_group_uuid", group.clone()),
            ("message", "Hello".to_owned()),
            ("user_uuid", group),
            ("user_display_name", "Somebody".to_owned()),
            ("user_handle", "somebody".to_owned()),
        ];
        world.endpoint.put(&world.table, &rows.each_ref().map(|(name, value)| (*name, value.as_str())));
    }
    let page = world.app.get(&format!("/messages/{SEED_GROUP}")).from(ONE).send();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("id=\"m-"), "{page:?}");
    let none = world.app.get("/messages/00000000-0000-4000-8000-00000000ffff").from(ONE).send();
    assert_eq!(none.status, 403);
}
