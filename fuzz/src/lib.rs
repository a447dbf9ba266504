//! What must hold for any input of the code parser and of the key file parser.
//!
//! A function is a fuzz target; it panics where a promise is broken.

use std::collections::HashSet;
use std::sync::LazyLock;

use backup_codes_core::code::{Alphabet, Format, Symbols, plausible};
use backup_codes_core::keyring::{KeyCheck, Keyring, MAC_LEN};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory};

const ALPHABETS: [(Alphabet, &[u8]); 3] = [
    (Alphabet::Base32, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    (Alphabet::Hex, b"0123456789abcdef"),
    (Alphabet::Decimal, b"0123456789"),
];

/// The first two bytes choose alphabet and length (6 to 64, as the setting has it); the rest is the input.
fn format(data: &[u8]) -> Option<(Format, &'static [u8], &[u8])> {
    let [alphabet, length, rest @ ..] = data else { return None };
    let (alphabet, symbols) = ALPHABETS[usize::from(*alphabet) % ALPHABETS.len()];
    Some((Format { alphabet, length: 6 + usize::from(*length) % 59 }, symbols, rest))
}

fn bytes(symbols: Option<Symbols>) -> Option<Vec<u8>> {
    symbols.map(|symbols| symbols.to_vec())
}

/// Any text as a code: read as the rules of the reference say, written down here once more, and always the same way, whatever
/// its case.
pub fn parse(data: &[u8]) {
    let Some((format, alphabet, rest)) = format(data) else { return };
    let input = String::from_utf8_lossy(rest);
    let parsed = format.parse(&input);
    assert_eq!(bytes(format.parse(&input)), model(format, alphabet, &input), "the rules");
    assert_eq!(parsed, format.parse(&input.to_ascii_lowercase()), "lower case");
    assert_eq!(parsed, format.parse(&input.to_ascii_uppercase()), "upper case");
    let Some(symbols) = parsed else { return };
    assert!(plausible(&input), "a set of some format has it");
    assert_eq!(bytes(format.parse(&format.display(&symbols, 0))), Some(symbols.to_vec()), "shown again");
    assert_eq!(format.parse(&format!("{input}0000")), None, "too many symbols");
}

/// What `Format::parse` is to answer, by the whole decomposed text and a line of it at a time.
fn model(format: Format, alphabet: &[u8], input: &str) -> Option<Vec<u8>> {
    // Letters and digits in ASCII, and a blank for what separates.
    let plain = input.nfkd().map(plain).collect::<Option<String>>()?;
    let surplus = plain.replace(' ', "").len().checked_sub(format.length)?;
    let code = if surplus == 0 { &plain } else { without_list_number(plain.trim_start(), surplus)? };
    let symbols = code.replace(' ', "").replace('O', "0").replace(['I', 'L'], "1");
    let symbols = if format.alphabet == Alphabet::Hex { symbols.to_lowercase() } else { symbols }.into_bytes();
    if !symbols.iter().all(|symbol| alphabet.contains(symbol)) {
        return None;
    }
    let random = Symbols::new(symbols[..format.random_symbols()].to_vec());
    (format.display(&random, 0).as_bytes() == symbols).then(|| random.to_vec())
}

fn without_list_number(plain: &str, digits: usize) -> Option<&str> {
    let (number, code) = plain.split_once(' ')?;
    let digits_only = number.bytes().all(|byte| byte.is_ascii_digit());
    let in_a_list = number.len() == digits && digits <= 3 && digits_only && !number.starts_with('0');
    (in_a_list && number.parse::<u32>().is_ok_and(|number| number <= 100)).then_some(code)
}

fn plain(c: char) -> Option<char> {
    use GeneralCategory::{Control, DecimalNumber, Format, PrivateUse};
    if c.is_ascii_alphanumeric() {
        return Some(c.to_ascii_uppercase());
    }
    if matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{30fc}' | '\u{2bc}' | '\u{2c8}') {
        return Some(' ');
    }
    match (c.general_category_group(), c.general_category()) {
        (Group::Punctuation | Group::Symbol | Group::Separator | Group::Mark, _) => Some(' '),
        (_, Control | Format | PrivateUse) => Some(' '),
        (_, DecimalNumber) => {
            static DIGITS: LazyLock<Vec<char>> =
                LazyLock::new(|| ('\0'..=char::MAX).filter(|c| c.general_category() == DecimalNumber).collect());
            let place = DIGITS.binary_search(&c).expect("a digit");
            char::from_digit(place as u32 % 10, 10)
        }
        _ => None,
    }
}

/// Any symbols, shown in groups of any size and typed back: the same symbols, but for one wrong symbol or two neighbours
/// swapped, which base32's check symbol finds.
pub fn display(data: &[u8]) {
    let Some((format, alphabet, rest)) = format(data) else { return };
    let [group_size, at, other, rest @ ..] = rest else { return };
    let group_size = usize::from(*group_size) % 65;
    let symbols: Vec<u8> = rest
        .iter()
        .chain(std::iter::repeat(&0))
        .take(format.random_symbols())
        .map(|byte| alphabet[usize::from(*byte) % alphabet.len()])
        .collect();
    let symbols = Symbols::new(symbols);
    let text = format.display(&symbols, group_size);
    assert_eq!(bytes(format.parse(&text)), Some(symbols.to_vec()), "{text:?}");

    let hyphens = (format.length - 1).checked_div(group_size).unwrap_or(0);
    assert_eq!(text.len(), format.length + hyphens, "{text:?}");
    if group_size > 0 {
        assert!(text.split('-').all(|group| (1..=group_size).contains(&group.len())), "{text:?}");
    }

    let bare: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let spelled = |symbols: Vec<u8>| format.parse(&String::from_utf8(symbols).expect("ASCII"));
    let at = usize::from(*at) % format.length;
    let mut wrong = bare.clone();
    wrong[at] = alphabet[usize::from(*other) % alphabet.len()];
    let mut swapped = bare.clone();
    swapped.swap(at, (at + 1) % format.length);
    let neighbours = at + 1 < format.length;
    for (altered, caught) in [(wrong, true), (swapped, neighbours)] {
        let changed = altered != bare;
        let parsed = spelled(altered);
        if !changed {
            assert_eq!(bytes(parsed), Some(symbols.to_vec()));
        } else if format.alphabet == Alphabet::Base32 {
            assert!(!caught || parsed.is_none(), "{text:?}");
        } else {
            assert!(parsed.is_some_and(|parsed| *parsed != *symbols), "{text:?}");
        }
    }
    let mut cut = bare;
    cut.pop();
    assert!(spelled(cut).is_none(), "{text:?}");
}

/// Any bytes as a key file: refused with a line that exists and without a word of the file, or read as one key a line.
pub fn keyring(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    // A key does not show its bytes, but what it makes of a message.
    let facts = |keyring: &Keyring| -> Vec<(i32, [u8; MAC_LEN], KeyCheck)> {
        keyring.iter().map(|key| (key.id(), key.mac(b""), key.check())).collect()
    };
    let parsed = Keyring::parse(data).map(|keyring| facts(&keyring));

    // Line ends of another system change nothing.
    let returns: Vec<u8> = lines.join(&b"\r\n"[..]);
    assert_eq!(parsed, Keyring::parse(&returns).map(|keyring| facts(&keyring)));

    match parsed {
        Err(error) => {
            use backup_codes_core::keyring::KeyFileError::{Duplicate, Empty, Id, Line, Secret};
            let shown = format!("{error} {error:?}");
            let words = data.split(u8::is_ascii_whitespace).filter_map(|word| std::str::from_utf8(word).ok());
            assert!(words.filter(|word| word.len() >= 24).all(|word| !shown.contains(word)), "{shown}");
            match error {
                Line(line) | Id(line) | Secret(line) | Duplicate(line) => {
                    let line = lines.get(line - 1).expect("a line of the file").trim_ascii();
                    assert!(!line.is_empty() && !line.starts_with(b"#"), "{shown}");
                }
                Empty => assert!(lines.iter().all(|line| matches!(line.trim_ascii(), [] | [b'#', ..])), "{shown}"),
            }
        }
        Ok(keys) => {
            let keyring = Keyring::parse(data).expect("it was read before");
            let meant = lines.iter().filter(|line| !matches!(line.trim_ascii(), [] | [b'#', ..]));
            assert_eq!(keys.len(), meant.clone().count(), "one key a line");
            let ids: HashSet<i32> = keys.iter().map(|(id, ..)| *id).collect();
            assert_eq!(ids.len(), keys.len(), "ids are distinct");
            assert!(ids.iter().all(|id| *id > 0));
            assert_eq!(keyring.current().map(|key| key.id()), keys.first().map(|(id, ..)| *id));
            let found = |id: i32| keyring.get(id).map(|key| key.mac(b""));
            assert!(keys.iter().all(|(id, mac, _)| found(*id) == Some(*mac)));
            let words = |line: &[u8]| -> Vec<u8> {
                let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.collect::<Vec<_>>().join(&b' ')
            };
            let anew = meant.map(|line| words(line)).collect::<Vec<_>>().join(&b'\n');
            assert_eq!(Ok(keys), Keyring::parse(&anew).map(|keyring| facts(&keyring)), "written anew");
        }
    }
}
