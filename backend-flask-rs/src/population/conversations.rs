//! The conversations: their members, lengths and times.

use super::random::{Draw, Random};
use super::{DAY, Population};

/// The last messages of all conversations lie within a year.
const ACTIVE: u64 = 365 * DAY;

/// The ratio between the longest and the shortest conversations.
const LENGTHS: u64 = 1_024;

/// A conversation between two users, given by their indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    pub(super) index: u32,
    pub(super) members: [u32; 2],
    /// The index of its first message among all messages.
    pub(super) first: u32,
    /// The index after its last message.
    pub(super) behind: u32,
    /// The time from its last message to the population's end, in microseconds.
    pub(super) before_end: u64,
}

impl Population {
    /// All conversations. Each has one message, and a share of the others in proportion to its [`length`].
    pub(super) fn all_conversations(self) -> impl Iterator<Item = Conversation> {
        let all_lengths = u128::from((0..self.conversations).map(length).sum::<u64>());
        let to_share = u128::from(self.messages - self.conversations);
        let slot = ACTIVE / u64::from(self.conversations);
        let step = coprime_step(self.conversations);
        let (mut lengths, mut first) = (0, 0);
        self.pairs().zip(0..).map(move |(members, index)| {
            lengths += u128::from(length(index));
            // At most the number of messages.
            let behind = index + 1 + (to_share * lengths / all_lengths) as u32;
            let place = u64::from(index) * step % u64::from(self.conversations);
            let within = if place == 0 { 0 } else { Random::of(Draw::Conversation, index).below(slot) };
            let before_end = place * slot + within;
            let conversation = Conversation { index, members, first, behind, before_end };
            first = behind;
            conversation
        })
    }

    /// The members of each conversation, as indices. Each user begins about the same number, with users of lower
    /// index. The lower the index, the more likely it is chosen, so a few users have many conversations. No pair
    /// occurs twice.
    pub(super) fn pairs(self) -> impl Iterator<Item = [u32; 2]> {
        let begun = self.begun_by_each();
        let more = u64::from(self.conversations) - self.begun_by_all(begun);
        let first_with_more = u64::from(self.users) - more;
        (1..self.users).flat_map(move |user| {
            let begins = begun.min(user) + u32::from(u64::from(user) >= first_with_more);
            let mut random = Random::of(Draw::Pair, user);
            (0..begins).map(move |nth| [user, partner(&mut random, user, nth, begins)])
        })
    }

    /// The minimum number of conversations that each user begins, if there are enough users of lower index.
    fn begun_by_each(self) -> u32 {
        // At most 92,681, because the number of conversations is a u32.
        let fits = |each: &u32| self.begun_by_all(*each) <= u64::from(self.conversations);
        (0..self.users).take_while(fits).last().unwrap_or_default()
    }

    /// The number of conversations if each user begins `each`, but the user with index `n` at most `n`.
    pub(super) fn begun_by_all(self, each: u32) -> u64 {
        let (others, each) = (u64::from(self.users - 1), u64::from(each));
        each * (each + 1) / 2 + (others - each) * each
    }
}

/// The number of pairs among this many users.
pub(super) fn pairs_of(users: u32) -> u64 {
    let users = u64::from(users);
    users * users.saturating_sub(1) / 2
}

/// The partner in the `nth` of the conversations that `user` begins: an index below `user` and above that of the
/// previous one. Squaring an evenly distributed number makes low indices likely.
pub(super) fn partner(random: &mut Random, user: u32, nth: u32, begins: u32) -> u32 {
    let left = u64::from(user - begins) + 1;
    // Between 0 and 1 in units of 2^-32, and larger than the previous one.
    let drawn = ((u64::from(nth) << 32) + random.below(1 << 32)) / u64::from(begins);
    let squared = (drawn * drawn) >> 32;
    nth + ((left * squared) >> 32) as u32
}

/// The relative length of a conversation, by Zipf's law: most are short.
fn length(conversation: u32) -> u64 {
    (LENGTHS << 10) / (1 + Random::of(Draw::Length, conversation).below(LENGTHS))
}

/// A step near the golden section of `count` that visits each number below it once, so that consecutive places are
/// far apart.
fn coprime_step(count: u32) -> u64 {
    let count = u64::from(count);
    let section = (count * 618 / 1000).max(1);
    (section..).find(|step| greatest_common_divisor(*step, count) == 1).unwrap_or(1)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
