//! The random numbers of a population.

/// SplitMix64, by Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014). Implemented
/// here, so that no library update can change a population.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// The purpose of the numbers. Each purpose has its own numbers for each index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    User = 1,
    Joining,
    Pair,
    Conversation,
    Length,
    Message,
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The numbers for one user, conversation or message.
    pub(super) fn of(draw: Draw, index: u32) -> Self {
        Self(mix((draw as u64) << 32 | u64::from(index)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`, or 0 if `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let scaled = u128::from(self.next()) * u128::from(bound);
        (scaled >> 64) as u64
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// One of `choices`, with these probabilities in percent. They must add up to 100.
    pub(super) fn weigh<'a, T>(&mut self, choices: &'a [(u64, T)]) -> &'a T {
        let drawn = self.below(100);
        let mut sum = 0;
        let passed = choices.iter().take_while(|(percent, _)| {
            sum += percent;
            sum <= drawn
        });
        &choices[passed.count()].1
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other implementations give the same first numbers for the seeds 0 and 1234567.
    #[test]
    fn numbers_are_splitmix64_s() {
        let mut random = Random(0);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!(Random(1_234_567).next(), 6_457_827_717_110_365_317);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_each_below_it() {
        let mut random = Random::of(Draw::User, 0);
        assert_eq!(random.below(0), 0);
        let mut drawn: Vec<_> = (0..1000).map(|_| random.below(7)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn choices_are_as_likely_as_their_percentages() {
        let mut random = Random::of(Draw::User, 0);
        let choices = [(70, 'a'), (0, 'b'), (30, 'c')];
        let drawn: Vec<_> = (0..10_000).map(|_| *random.weigh(&choices)).collect();
        let count = |wanted| drawn.iter().filter(|choice| **choice == wanted).count();
        assert!((6_800..7_200).contains(&count('a')), "{}", count('a'));
        assert_eq!((count('b'), count('a') + count('c')), (0, 10_000));
    }
}
