//! What a person typed or pasted, read as symbols. Knows nothing of PostgreSQL, and no locale.
//!
//! Each character is taken apart by its full compatibility decomposition (Unicode's NFKD), and every part of it is a symbol,
//! separates, or makes the whole malformed. The order of marks, which NFKD also settles, says nothing here: marks separate.
//!
//! Invariant: the symbols are in one buffer, which is wiped; nothing of a code is in a buffer of a crate.

use std::ops::ControlFlow::{self, Break, Continue};

use unicode_normalization::char::decompose_compatible;
use unicode_properties::{GeneralCategory as Category, GeneralCategoryGroup as Group, UnicodeGeneralCategory};
use zeroize::Zeroizing;

use crate::code::Symbols;

/// The most digits of a list number.
pub const LIST_NUMBER_DIGITS: usize = 3;
/// The highest list number: no set has more codes.
const LAST_LIST_NUMBER: u32 = 100;

/// What a character counts for.
#[derive(Clone, Copy)]
enum Meaning {
    /// A digit, in ASCII.
    Digit(u8),
    /// A letter, as the upper-case symbol that it is read as.
    Letter(u8),
    /// Whatever a printer, a page, a phone or a program puts around codes and groups.
    Separator,
    /// Anything else.
    Foreign,
}

/// Every code that was shown goes through this table and no other.
const ASCII: [Meaning; 128] = {
    let mut meanings = [Meaning::Separator; 128];
    let mut c = 0;
    while c < 128 {
        meanings[c as usize] = match c {
            b'0'..=b'9' => Meaning::Digit(c),
            b'A'..=b'Z' | b'a'..=b'z' => Meaning::Letter(match c.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                letter => letter,
            }),
            _ => Meaning::Separator,
        };
        c += 1;
    }
    meanings
};

/// The symbols of an input, at most so many: None when there are more, or a character that is none and does not separate.
pub fn symbols(input: &str, most: usize) -> Option<Symbols> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(most));
    let flow = read(input, |meaning| match meaning {
        Meaning::Separator => Continue(()),
        Meaning::Digit(symbol) | Meaning::Letter(symbol) if symbols.len() < most => {
            symbols.push(symbol);
            Continue(())
        }
        _ => Break(()),
    });
    flow.is_continue().then_some(symbols)
}

/// How many digits the number has that the input begins with, where it can be that of a line in a list: from 1 to 100, without
/// a leading zero, and set off by a separator. 0 where there is none.
pub fn list_number(input: &str) -> usize {
    let (mut number, mut digits) = (0, 0);
    let end = read(input, |meaning| match meaning {
        Meaning::Separator if digits == 0 => Continue(()),
        Meaning::Separator => Break(true),
        Meaning::Digit(b'0') if digits == 0 => Break(false),
        Meaning::Digit(digit) if digits < LIST_NUMBER_DIGITS => {
            number = 10 * number + u32::from(digit - b'0');
            digits += 1;
            Continue(())
        }
        _ => Break(false),
    });
    if end == Break(true) && number <= LAST_LIST_NUMBER { digits } else { 0 }
}

/// Reads one character after the other, until the reader has enough.
fn read<B>(input: &str, mut reader: impl FnMut(Meaning) -> ControlFlow<B>) -> ControlFlow<B> {
    if input.is_ascii() {
        return input.bytes().try_for_each(|byte| reader(ASCII[usize::from(byte)]));
    }
    for c in input.chars() {
        let mut flow = Continue(());
        decompose_compatible(c, |part| {
            if flow.is_continue() {
                flow = reader(meaning(part));
            }
        });
        flow?;
    }
    Continue(())
}

fn meaning(c: char) -> Meaning {
    if c.is_ascii() {
        return ASCII[c as usize];
    }
    // Hangul fillers, which are invisible; the prolonged sound mark, which stands for a dash; a modifier letter that looks like
    // an apostrophe, and one like a vertical line.
    if matches!(c, '\u{115f}' | '\u{1160}' | '\u{30fc}' | '\u{2bc}' | '\u{2c8}') {
        return Meaning::Separator;
    }
    match c.general_category_group() {
        Group::Punctuation | Group::Symbol | Group::Separator | Group::Mark => Meaning::Separator,
        Group::Letter => Meaning::Foreign,
        Group::Number | Group::Other => match c.general_category() {
            Category::DecimalNumber => Meaning::Digit(b'0' + digit(c)),
            Category::Control | Category::Format | Category::PrivateUse => Meaning::Separator,
            _ => Meaning::Foreign,
        },
    }
}

/// The value of a decimal digit. Unicode encodes the ten digits of a script one after the other, from zero up, so its place
/// among its neighbours tells.
fn digit(c: char) -> u8 {
    let before = (0..u32::from(c)).rev().map_while(char::from_u32);
    let place = before.take_while(|c| c.general_category() == Category::DecimalNumber).count();
    (place % 10) as u8
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
