use uuid::Uuid;

use super::*;

const GROUP: Uuid = super::super::SEED_GROUP;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn user(number: u128, name: &str) -> User {
    User { uuid: Uuid::from_u128(number), display_name: name.to_uppercase(), handle: name.to_owned() }
}

fn message(sender: &User, at: &str) -> anyhow::Result<Message> {
    Ok(Message {
        message_group_uuid: GROUP,
        created_at: time::parse(at)?,
        message_uuid: Uuid::from_u128(99),
        message: "Hello".to_owned(),
        sender: sender.clone(),
    })
}

/// A row of `member`, with its key in another program's form.
fn row(member: &User, other: &User) -> anyhow::Result<MemberRow> {
    let sort_key = "2023-03-20T14:05:09+00:00".to_owned();
    let group = MessageGroup {
        member_uuid: member.uuid,
        last_message_at: time::parse(&sort_key)?,
        message_group_uuid: GROUP,
        message: "Before".to_owned(),
        other: User { display_name: "An earlier name".to_owned(), handle: "earlier".to_owned(), ..*other },
    };
    Ok(MemberRow { sort_key, group })
}

/// The actions of a request: `put` or `delete`, both keys, and the condition.
fn actions(request: TransactWriteItemsInputBuilder) -> Vec<(&'static str, String, String, String)> {
    let text = |item: &Item, name| item.get(name).and_then(|v| v.as_s().ok()).cloned().unwrap_or_default();
    let items = request.get_transact_items().clone().unwrap_or_default();
    let action = |item: TransactWriteItem| match (item.put(), item.delete()) {
        (Some(put), None) => {
            let condition = put.condition_expression().unwrap_or_default().to_owned();
            Some(("put", text(put.item(), "pk"), text(put.item(), "sk"), condition))
        }
        (None, Some(delete)) => {
            let condition = delete.condition_expression().unwrap_or_default().to_owned();
            Some(("delete", text(delete.key(), "pk"), text(delete.key(), "sk"), condition))
        }
        _ => None,
    };
    items.into_iter().filter_map(action).collect()
}

#[test]
fn a_post_moves_both_rows_to_the_message() -> TestResult {
    let (sender, receiver) = (user(1, "one"), user(2, "two"));
    let message = message(&sender, "2023-03-20T14:06:00Z")?;
    let rows = [row(&sender, &receiver)?, row(&receiver, &sender)?];
    let request = post("t", &message, [&rows[0], &rows[1]]);
    let (new, old) = ("2023-03-20T14:06:00.000000+00:00", "2023-03-20T14:05:09+00:00");
    let absent = "attribute_not_exists(pk)";
    let keys = [format!("MSG#{GROUP}"), group_key(sender.uuid), group_key(receiver.uuid)];
    let expected = [
        ("put", &keys[0], new, absent),
        ("delete", &keys[1], old, "message_group_uuid = :group"),
        ("put", &keys[1], new, absent),
        ("delete", &keys[2], old, "message_group_uuid = :group"),
        ("put", &keys[2], new, absent),
    ];
    let expected = expected.map(|(what, pk, sk, c)| (what, pk.clone(), sk.to_owned(), c.to_owned()));
    assert_eq!(actions(request), expected);
    Ok(())
}

#[test]
fn the_receiver_sees_the_senders_present_name() -> TestResult {
    let (sender, receiver) = (user(1, "one"), user(2, "two"));
    let message = message(&sender, "2023-03-20T14:06:00Z")?;
    let theirs = moved(&row(&receiver, &sender)?.group, &message);
    assert_eq!((theirs.other.display_name.as_str(), theirs.other.handle.as_str()), ("ONE", "one"));
    let own = moved(&row(&sender, &receiver)?.group, &message);
    assert_eq!((own.other.handle.as_str(), own.message.as_str()), ("earlier", "Hello"));
    Ok(())
}

#[test]
fn opening_a_group_gives_each_member_a_row_of_the_other() -> TestResult {
    let (sender, receiver) = (user(1, "one"), user(2, "two"));
    let message = message(&sender, "2023-03-20T14:06:00Z")?;
    let request = open("t", &message, &receiver);
    let others: Vec<_> = request.get_transact_items().iter().flatten().skip(1).collect();
    let others = others.iter().filter_map(|item| item.put()?.item().get("user_handle")?.as_s().ok());
    assert_eq!(others.collect::<Vec<_>>(), ["two", "one"]);
    assert!(actions(request).iter().all(|action| action.3 == "attribute_not_exists(pk)"));
    Ok(())
}

#[test]
fn times_rise_whatever_the_clock_says() -> TestResult {
    let last = time::parse("2023-03-20T14:06:00.000005Z")?;
    let next = |now: &str| anyhow::Ok(time::format(next_time(time::parse(now)?, last)));
    assert_eq!(next("2023-03-20T14:05:00Z")?, "2023-03-20T14:06:00.000006+00:00");
    assert_eq!(next("2023-03-20T14:06:00.000005999Z")?, "2023-03-20T14:06:00.000006+00:00");
    assert_eq!(next("2023-03-20T14:06:00.000007999Z")?, "2023-03-20T14:06:00.000007+00:00");
    // A key in the year 10000 would sort before all others.
    let end = time::parse("9999-12-31T23:59:59.999999Z")?;
    assert_eq!(next_time(last, end), end);
    Ok(())
}

#[test]
fn a_text_is_not_blank_and_not_too_long() {
    assert_eq!(check_text(&"é".repeat(LONGEST_MESSAGE)), Ok(()));
    assert_eq!(check_text(&"é".repeat(LONGEST_MESSAGE + 1)), Err("has more than 1024 characters"));
    assert_eq!(check_text(" \n\t"), Err("is empty"));
    assert_eq!(check_text(""), Err("is empty"));
}

const ONE: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01");
const TWO: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02");

#[test]
fn a_pair_has_one_group_in_either_order() {
    assert_eq!(group_of_pair([ONE, TWO]), group_of_pair([TWO, ONE]));
    assert_ne!(group_of_pair([ONE, TWO]), group_of_pair([ONE, ONE]));
}

#[test]
fn a_key_is_its_sender_s_and_its_group_s() {
    let uuid = message_of_key(GROUP, ONE, "k");
    assert_eq!(message_of_key(GROUP, ONE, "k"), uuid);
    for (group, sender, key) in [(GROUP, TWO, "k"), (ONE, ONE, "k"), (GROUP, ONE, "l")] {
        assert_ne!(message_of_key(group, sender, key), uuid);
    }
}

#[test]
fn a_key_is_remembered_without_a_condition_and_read_by_its_own() -> TestResult {
    let message = message(&user(1, "one"), "2023-03-20T14:06:00Z")?;
    let request = TransactWriteItemsInput::builder().transact_items(remember("t", &message));
    let (pk, sk) = (format!("KEY#{}", message.message_uuid), format!("MSG#{GROUP}"));
    assert_eq!(actions(request), [("put", pk.clone(), sk.clone(), String::new())]);
    let read = remembered("t", GROUP, message.message_uuid);
    let key =
        Item::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))]);
    assert_eq!((read.get_key(), read.get_consistent_read()), (&Some(key), &Some(true)));
    Ok(())
}

#[test]
fn a_replacement_wants_each_item_as_it_was_read() -> TestResult {
    let (one, two) = (user(1, "one"), user(2, "two"));
    let right = row(&one, &two)?.group.to_item();
    let key = |sk: &str| strings([("pk", group_key(one.uuid)), ("sk", sk.to_owned())]);
    let (moved, absent) = (key("2023"), "attribute_not_exists(pk)");
    let request = replace("t", &[(None, right.clone()), (Some(moved), right)]);
    let written: Vec<_> = actions(request).into_iter().map(|(what, _, sk, when)| (what, sk, when)).collect();
    assert_eq!([written[0].0, written[1].0, written[2].0], ["put", "delete", "put"]);
    assert_eq!([&*written[0].2, &*written[2].2], [absent; 2]);
    assert_eq!((&*written[1].1, &*written[1].2), ("2023", "#0 = :0 and #1 = :1"));

    let (old, new) = (key("2024"), [key("2024"), strings([("message", "x".to_owned())])]);
    let request = replace("t", &[(Some(old), new.into_iter().flatten().collect())]);
    let items = request.get_transact_items().clone().unwrap_or_default();
    let update = items[0].update().ok_or("no update")?;
    assert_eq!(update.condition_expression(), Some("#0 = :0 and #1 = :1"));
    let name = update.update_expression().strip_prefix("set ").and_then(|set| set.split(' ').next());
    let names = update.expression_attribute_names().ok_or("no names")?;
    assert_eq!(name.and_then(|name| names.get(name)).map(String::as_str), Some("message"));
    Ok(())
}
