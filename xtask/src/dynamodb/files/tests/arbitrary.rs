//! Random items.

use crate::dynamodb::json::{AttributeValue, Item, bytes};
use fastrand::Rng;

/// Generates random items of every type. The same seed gives the same items.
pub(super) struct Arbitrary(pub(super) Rng);

impl Arbitrary {
    fn one_of(&mut self, characters: &str) -> char {
        characters.chars().nth(self.0.usize(..characters.chars().count())).unwrap()
    }

    fn text(&mut self) -> String {
        let long = if self.0.u32(..2000) == 0 { 400_000 } else { 12 };
        let length = self.0.usize(0..=long);
        let any = self.0.u8(..);
        (0..length)
            .map(|_| match any % 4 {
                0 => self.0.alphanumeric(),
                1 => self.one_of("\"\\,\n\r\t\0\u{1}\u{7f}\u{85}\u{2028}\u{feff}:*{}[]' ;\u{1f600}é\u{301}"),
                2 => self.0.char(..),
                _ => self.0.char('\0'..'\u{100}'),
            })
            .collect()
    }

    fn number(&mut self) -> String {
        let digits: String = (0..self.0.usize(1..=38)).map(|_| self.0.digit(10)).collect();
        let sign = self.0.choice(["", "-"]).unwrap();
        match self.0.u8(..4) {
            0 => format!("{sign}{digits}"),
            1 => format!("{sign}{digits}E-{}", self.0.u8(..90)),
            2 => format!("{sign}{digits}E+{}", self.0.u8(..87)),
            _ => format!("{sign}{}.{digits}", self.0.u8(1..10)).chars().take(39).collect(),
        }
    }

    fn base64(&mut self) -> String {
        const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let whole: String = (0..self.0.usize(..6) * 4).map(|_| self.one_of(DIGITS)).collect();
        whole + self.0.choice(["", "AA==", "/w==", "AAE=", "//8="]).unwrap()
    }

    fn set(&mut self, mut element: impl FnMut(&mut Self) -> String) -> Vec<String> {
        let mut set = vec![element(self)];
        for _ in 0..self.0.u8(..4) {
            let next = element(self);
            if !set.contains(&next) {
                set.push(next);
            }
        }
        set
    }

    fn value(&mut self, depth: u8) -> AttributeValue {
        match self.0.u8(..if depth == 0 { 8 } else { 10 }) {
            0 => AttributeValue::S(self.text()),
            1 => AttributeValue::N(self.number()),
            2 => AttributeValue::B(bytes(&self.base64()).unwrap()),
            3 => AttributeValue::Bool(self.0.bool()),
            4 => AttributeValue::Null(true),
            5 => AttributeValue::Ss(self.set(Self::text)),
            // Two different numbers of this form are never equal in value.
            6 => AttributeValue::Ns(self.set(|own| own.0.u64(..).to_string())),
            7 => AttributeValue::Bs(self.set(Self::base64).iter().map(|text| bytes(text).unwrap()).collect()),
            8 => {
                AttributeValue::M((0..self.0.u8(..4)).map(|_| (self.text(), self.value(depth - 1))).collect())
            }
            _ => AttributeValue::L((0..self.0.u8(..4)).map(|_| self.value(depth - 1)).collect()),
        }
    }

    /// Some names occur in many items, with any type; others in one item only.
    pub(super) fn item(&mut self) -> Item {
        let names = ["pk", "sk", "a", "b", "é", "*", "a:N", ":S", "Item", "S", "", "\u{feff}x"];
        let mut item: Item = (0..self.0.usize(..8))
            .map(|_| (self.0.choice(names).unwrap().to_owned(), self.value(3)))
            .collect();
        if self.0.u8(..4) == 0 {
            item.insert(self.text(), self.value(3));
        }
        if self.0.u8(..50) == 0 {
            let deep = (0..31).fold(self.value(0), |value, level| {
                if level % 2 == 0 {
                    AttributeValue::L(vec![value])
                } else {
                    AttributeValue::M(Item::from([("m".to_owned(), value)]))
                }
            });
            item.insert("deep".to_owned(), deep);
        }
        item
    }
}
