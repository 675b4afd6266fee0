//! The names of users and the texts of messages.

use std::sync::LazyLock;

use super::random::Random;

/// The word lists in `backend-flask-rs/ddb/population`, one entry per line.
static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let lines = |text: &'static str| text.lines().collect::<Vec<_>>();
    let names = |text: &'static str| text.lines().filter_map(|line| line.split_once(' ')).collect::<Vec<_>>();
    Words {
        given_names: names(include_str!("../../ddb/population/given_names.txt")),
        family_names: names(include_str!("../../ddb/population/family_names.txt")),
        replies: lines(include_str!("../../ddb/population/replies.txt")),
        openings: lines(include_str!("../../ddb/population/openings.txt")),
        middles: lines(include_str!("../../ddb/population/middles.txt")),
        endings: lines(include_str!("../../ddb/population/endings.txt")),
    }
});

/// The maximum number of characters in a message.
#[cfg(test)]
pub(super) const LONGEST: usize = 1024;

/// The number of sentences of a message that is not a short reply, with its percentage.
const SENTENCES: [(u64, usize); 9] =
    [(44, 1), (27, 2), (12, 3), (7, 4), (4, 5), (2, 6), (2, 7), (1, 8), (1, 9)];

/// The approximate size of a sentence in bytes, including the space before it.
const SENTENCE: usize = 64;

/// The percentage of messages that are short replies.
const REPLIES: u64 = 15;

struct Words {
    /// Names as displayed, and as used in handles.
    given_names: Vec<(&'static str, &'static str)>,
    family_names: Vec<(&'static str, &'static str)>,
    replies: Vec<&'static str>,
    /// The subjects of sentences.
    openings: Vec<&'static str>,
    middles: Vec<&'static str>,
    endings: Vec<&'static str>,
}

/// A display name and its form for a handle, such as `Zoë Müller` and `zoe.muller`.
pub(super) fn name(random: &mut Random) -> (String, String) {
    let (given, plain_given) = random.choose(&WORDS.given_names);
    let (family, plain_family) = random.choose(&WORDS.family_names);
    (format!("{given} {family}"), format!("{plain_given}.{plain_family}"))
}

/// A short reply, or one or more sentences: about 120 characters on average.
pub(super) fn message(random: &mut Random) -> String {
    let words = &*WORDS;
    if random.below(100) < REPLIES {
        return (*random.choose(&words.replies)).to_owned();
    }
    let sentences = *random.weigh(&SENTENCES);
    let mut text = String::with_capacity(sentences * SENTENCE);
    for _ in 0..sentences {
        let [opening, middle, ending] =
            [&words.openings, &words.middles, &words.endings].map(|list| *random.choose(list));
        let before_ending = if ending.starts_with([',', '.']) { "" } else { " " };
        let before_sentence = if text.is_empty() { "" } else { " " };
        for part in [before_sentence, opening, " ", middle, before_ending, ending] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_says_a_thing_once_and_has_no_blank_line() {
        let words = &*WORDS;
        let names = [&words.given_names, &words.family_names].map(|names| {
            assert!(names.iter().all(|(_, plain)| plain.chars().all(|c| c.is_ascii_lowercase())));
            names.iter().map(|(shown, _)| *shown).collect::<Vec<_>>()
        });
        let lists = [&words.replies, &words.openings, &words.middles, &words.endings, &names[0], &names[1]];
        for list in lists {
            assert!(list.len() >= 30 && list.iter().all(|line| !line.is_empty() && line.trim() == *line));
            let mut once = list.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), list.len());
        }
        assert!(names.iter().flatten().any(|name| !name.is_ascii()));
        assert!(words.replies.iter().any(|reply| !reply.is_ascii()));
    }

    #[test]
    fn no_message_can_be_longer_than_the_longest() {
        let longest = |list: &[&str]| list.iter().map(|text| text.chars().count()).max().unwrap_or_default();
        let words = &*WORDS;
        let sentence = [&words.openings, &words.middles, &words.endings].map(|list| longest(list) + 1);
        let sentences = SENTENCES.iter().map(|(_, sentences)| *sentences).max().unwrap_or_default();
        assert!(sentences * sentence.iter().sum::<usize>() <= LONGEST);
        assert_eq!(SENTENCES.iter().map(|(percent, _)| percent).sum::<u64>(), 100);
    }
}
