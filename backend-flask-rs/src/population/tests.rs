use std::collections::{HashMap, HashSet};

use super::conversations::partner;
use super::*;
use crate::messages::{PARTITION_KEY, SORT_KEY};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn population(users: u32, conversations: u32, messages: u32) -> Result<Population> {
    until(users, conversations, messages, DEFAULT_END)
}

fn until(users: u32, conversations: u32, messages: u32, end: DateTime<Utc>) -> Result<Population> {
    Population::new(Some(users), Some(conversations), Some(messages), end)
}

fn texts(item: &Item) -> HashMap<&str, &str> {
    item.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_s().ok()?.as_str()))).collect()
}

/// The groups and the messages, in the order of the items.
fn read(population: Population) -> Result<(Vec<MessageGroup>, Vec<Message>)> {
    let (mut groups, mut messages) = (Vec::new(), Vec::new());
    for item in population.items() {
        match item.contains_key("message_uuid") {
            true => messages.push(Message::from_item(&item)?),
            false => groups.push(MessageGroup::from_item(&item)?),
        }
    }
    Ok((groups, messages))
}

#[test]
fn the_same_numbers_and_end_give_the_same_items() -> TestResult {
    let one = population(30, 100, 2_000)?;
    assert!(one.items().eq(population(30, 100, 2_000)?.items()));
    let later = until(30, 100, 2_000, DEFAULT_END + Duration::from_secs(1))?;
    assert!(one.items().ne(later.items()));
    Ok(())
}

/// A new version of the program must not change populations, because load results are compared.
#[test]
fn populations_do_not_change_between_versions() -> TestResult {
    let items = population(3, 2, 3)?.items();
    let shown = |item: &Item| ["pk", "sk", "user_handle", "message"].map(|name| texts(item)[name].to_owned());
    let shown: Vec<_> = items.map(|item| shown(&item)).collect();
    let last = "Our gardener is still the best thing about this street – at least that is what I heard.";
    let expected = [
        [
            "GRP#5eed0001-0000-8000-8000-000000000002",
            "2023-03-08T00:29:14.868958+00:00",
            "chidi.nakashima.000001",
            last,
        ],
        [
            "GRP#5eed0001-0000-8000-8000-000000000001",
            "2023-03-08T00:29:14.868958+00:00",
            "kalpana.yamamoto.000002",
            last,
        ],
        [
            "MSG#5eed0002-0000-8000-8000-000000000001",
            "2023-03-08T00:29:14.868958+00:00",
            "kalpana.yamamoto.000002",
            last,
        ],
        [
            "MSG#5eed0002-0000-8000-8000-000000000001",
            "2023-03-08T00:28:11.424235+00:00",
            "kalpana.yamamoto.000002",
            "The night bus needed one more try. Shall we try again on Friday? The blackbird outside turned out \
             better than anybody expected when the lights went out.",
        ],
    ];
    assert_eq!(shown[3..], expected.map(|item| item.map(str::to_owned)));
    Ok(())
}

#[test]
fn there_are_exactly_as_many_as_asked_for() -> TestResult {
    for (users, conversations, messages) in [
        (2, 1, 1),
        (2, 1, 500),
        (3, 3, 3),
        (3, 3, 100),
        (40, 780, 781),
        (40, 779, 2_000),
        (1_000, 7, 300),
        (1_000, 999, 1_000),
        (1_000, 5_000, 20_000),
    ] {
        let population = population(users, conversations, messages)?;
        let (groups, sent) = read(population)?;
        let counts = [groups.len() as u32, sent.len() as u32];
        assert_eq!(counts, [2 * conversations, messages], "{population:?}");
        assert_eq!(population.item_count(), groups.len() as u64 + sent.len() as u64);

        let conversations_with_messages: HashSet<_> = sent.iter().map(|m| m.message_group_uuid).collect();
        assert_eq!(conversations_with_messages.len() as u32, conversations, "{population:?}");
        let uuids: HashSet<_> = sent.iter().map(|message| message.message_uuid).collect();
        assert_eq!(uuids.len(), sent.len(), "{population:?}");
        let pairs: HashSet<_> = groups.iter().map(|group| (group.member_uuid, group.other.uuid)).collect();
        assert_eq!(pairs.len(), groups.len(), "{population:?}");
        assert!(groups.iter().all(|group| group.member_uuid != group.other.uuid));
    }
    Ok(())
}

#[test]
fn no_two_items_of_a_large_population_have_the_same_key() -> TestResult {
    let population = population(5_000, 25_000, 100_000)?;
    let mut keys = HashSet::new();
    for item in population.items() {
        let texts = texts(&item);
        assert!(keys.insert([PARTITION_KEY, SORT_KEY].map(|name| texts[name].to_owned())), "{texts:?}");
    }
    assert_eq!(keys.len() as u64, population.item_count());
    Ok(())
}

#[test]
fn users_have_names_and_handles_of_their_own() -> TestResult {
    let population = population(3_000, 1, 1)?;
    let users: Vec<_> = (0..population.users).map(|index| population.user(index)).collect();
    let handles: HashSet<_> = users.iter().map(|user| &user.handle).collect();
    assert_eq!(handles.len(), users.len());
    assert!(users.iter().any(|user| !user.display_name.is_ascii()));
    for (index, user) in users.iter().enumerate() {
        assert!(user.handle.ends_with(&format!(".{index:06}")) && user.handle.is_ascii(), "{user:?}");
        assert_eq!(user.uuid.get_version_num(), 8);
        assert_eq!(user.uuid.get_variant(), uuid::Variant::RFC4122);
    }
    Ok(())
}

#[test]
fn items_name_users_as_they_are() -> TestResult {
    let population = population(50, 200, 1_000)?;
    let users = (0..population.users).map(|index| population.user(index));
    let users: HashMap<_, _> = users.map(|user| (user.uuid, user)).collect();
    let (groups, messages) = read(population)?;
    let members: HashSet<_> =
        groups.iter().map(|group| (group.message_group_uuid, group.member_uuid)).collect();
    for group in groups {
        assert_eq!(group.other, users[&group.other.uuid]);
    }
    for message in messages {
        assert_eq!(message.sender, users[&message.sender.uuid]);
        assert!(members.contains(&(message.message_group_uuid, message.sender.uuid)), "{message:?}");
    }
    Ok(())
}

#[test]
fn both_groups_carry_the_last_message_and_name_the_other() -> TestResult {
    let (groups, messages) = read(population(100, 300, 3_000)?)?;
    let mut last = HashMap::new();
    for message in messages {
        last.entry(message.message_group_uuid).or_insert(message);
    }
    for pair in groups.chunks(2) {
        let [one, two] = pair else { return Err("a group for one member only".into()) };
        assert_eq!((one.member_uuid, one.other.uuid), (two.other.uuid, two.member_uuid));
        for group in [one, two] {
            let last = &last[&group.message_group_uuid];
            assert_eq!((group.last_message_at, &group.message), (last.created_at, &last.message));
        }
    }
    Ok(())
}

#[test]
fn times_rise_strictly_and_end_at_the_end() -> TestResult {
    for (users, conversations, messages) in [(2, 1, 100_000), (50, 500, 20_000)] {
        let population = population(users, conversations, messages)?;
        let (_, messages) = read(population)?;
        // Newest first.
        for pair in messages.windows(2) {
            let [newer, older] = pair else { continue };
            let same = newer.message_group_uuid == older.message_group_uuid;
            assert!(!same || older.created_at < newer.created_at, "{older:?} {newer:?}");
        }
        assert_eq!(messages.iter().map(|message| message.created_at).max(), Some(DEFAULT_END));
        let first = messages.iter().map(|message| message.created_at).min().ok_or("no message")?;
        let joined = (0..users).map(|index| population.joined(index)).max().ok_or("no user")?;
        assert!(joined < first, "{joined} {first}");
    }
    Ok(())
}

/// Messages must not reach back before years with four digits, which sort correctly.
#[test]
fn the_earliest_population_has_times_that_can_be_written() -> TestResult {
    let population = until(2, 1, 10_000, EARLIEST_END)?;
    let (_, messages) = read(population)?;
    assert!(messages.iter().all(|message| time::format(message.created_at).len() == 32));
    assert!((1..u32::MAX).step_by(1 << 20).all(|messages| second(messages) > 0));
    Ok(())
}

#[test]
fn messages_are_as_long_as_people_s() -> TestResult {
    let (_, messages) = read(population(100, 300, 30_000)?)?;
    let mut lengths: Vec<_> = messages.iter().map(|message| message.message.chars().count()).collect();
    lengths.sort_unstable();
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    assert!((100..=140).contains(&mean), "{mean}");
    let [shortest, longest] = [lengths[0], lengths[lengths.len() - 1]];
    assert!((1..10).contains(&shortest) && (400..=words::LONGEST).contains(&longest), "{shortest} {longest}");
    assert!(messages.iter().any(|message| !message.message.is_ascii()));
    let different: HashSet<_> = messages.iter().map(|message| &message.message).collect();
    assert!(different.len() > messages.len() / 2, "{}", different.len());
    Ok(())
}

#[test]
fn few_conversations_are_long_and_few_users_have_many() -> TestResult {
    let population = population(1_000, 5_000, 500_000)?;
    let mut sizes: Vec<_> = population.all_conversations().map(|c| c.behind - c.first).collect();
    sizes.sort_unstable();
    let [median, longest] = [sizes[sizes.len() / 2], sizes[sizes.len() - 1]];
    assert!(median < 50 && longest > 5_000, "{median} {longest}");

    let mut conversations = vec![0; 1_000];
    population.pairs().flatten().for_each(|user| conversations[user as usize] += 1);
    conversations.sort_unstable();
    let [fewest, median, most] = [conversations[0], conversations[500], conversations[999]];
    assert!(fewest >= 5 && median < 10 && most > 100, "{fewest} {median} {most}");
    Ok(())
}

#[test]
fn missing_numbers_follow_from_the_others() -> TestResult {
    let counts = |users, conversations, messages| {
        let population = Population::new(users, conversations, messages, DEFAULT_END)?;
        anyhow::Ok((population.users, population.conversations, population.messages))
    };
    assert_eq!(counts(None, None, Some(1_000_000))?, (2_000, 10_000, 1_000_000));
    assert_eq!(counts(None, None, Some(1))?, (2, 1, 1));
    assert_eq!(counts(None, None, Some(450))?, (4, 4, 450));
    assert_eq!(counts(None, Some(1_000), None)?, (200, 1_000, 100_000));
    assert_eq!(counts(None, Some(7), None)?, (5, 7, 700));
    assert_eq!(counts(Some(1_000), None, None)?, (1_000, 5_000, 500_000));
    assert_eq!(counts(Some(3), None, None)?, (3, 3, 300));
    assert_eq!(counts(Some(3), None, Some(1_000))?, (3, 3, 1_000));
    assert_eq!(counts(Some(1_000), None, Some(90))?, (1_000, 1, 90));
    assert_eq!(counts(None, Some(10), Some(20))?, (5, 10, 20));
    assert_eq!(counts(None, None, Some(u32::MAX))?.1, u32::MAX / 100);
    for conversations in 1..2_000 {
        counts(None, Some(conversations), None)?;
    }
    counts(None, Some(u32::MAX), None)?;
    Ok(())
}

#[test]
fn a_population_that_there_cannot_be_is_refused() {
    let error = |users, conversations, messages| match population(users, conversations, messages) {
        Ok(population) => format!("{population:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(error(1, 1, 1), "the number of users is 1: a conversation takes two");
    assert_eq!(error(2, 0, 1), "the number of conversations is 0: a population needs at least one");
    assert_eq!(
        error(4, 7, 100),
        "the number of conversations is 7: 4 users can have 6 at most, one for each pair"
    );
    assert_eq!(
        error(4, 6, 5),
        "the number of messages is 5: at least 6 are needed, one for each conversation"
    );
    let early = Population::new(None, None, None, EARLIEST_END - Duration::from_secs(1));
    assert_eq!(
        early.map_err(|error| error.to_string()),
        Err("1969-12-31T23:59:59.000000+00:00 is too early for a population's end: \
             1970-01-01T00:00:00.000000+00:00 is the earliest"
            .to_owned())
    );
}

#[test]
fn the_largest_populations_do_not_overflow() -> TestResult {
    let most = u32::MAX;
    let population = population(most, most, most)?;
    assert_eq!(population.pairs().take(3).count(), 3);
    assert!(population.begun_by_all(most - 1) > u64::from(most));
    let mut random = Random::of(Draw::Pair, 0);
    for (user, begins) in [(most - 1, most - 1), (most - 1, 1), (1, 1)] {
        for nth in [0, begins - 1] {
            assert!(partner(&mut random, user, nth, begins) < user);
        }
    }
    assert_eq!(nth(USERS, most).to_string(), "5eed0001-0000-8000-8000-0000ffffffff");
    assert!(nth(USERS, most) < last(USERS) && last(USERS) < GROUPS);
    Ok(())
}

#[test]
fn the_scan_for_synthetic_items_knows_them_by_their_keys() {
    assert_eq!(without_index(group_key(USERS)), "GRP#5eed0001-0000-8000-8000-");
    assert_eq!(without_index(message_key(GROUPS)), "MSG#5eed0002-0000-8000-8000-");
}
