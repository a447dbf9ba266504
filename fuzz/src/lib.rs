//! What must hold for any input of the code parser and of the key file parser.
//!
//! A function is a fuzz target; it panics where a promise is broken.

use std::collections::HashSet;

use backup_codes_core::code::{Alphabet, Format, Symbols};
use backup_codes_core::keyring::Keyring;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const ALPHABETS: [(Alphabet, &[u8]); 3] = [
    (Alphabet::Base32, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    (Alphabet::Hex, b"0123456789abcdef"),
    (Alphabet::Decimal, b"0123456789"),
];

/// What people, printers and phones put between groups.
const SEPARATORS: [char; 8] = [' ', '-', '\t', '\n', '\u{a0}', '\u{2013}', '\u{2212}', '\u{200b}'];

/// The first two bytes choose alphabet and length (6 to 64, as the setting has it); the rest is the input.
fn format(data: &[u8]) -> Option<(Format, &'static [u8], &[u8])> {
    let [alphabet, length, rest @ ..] = data else { return None };
    let (alphabet, symbols) = ALPHABETS[usize::from(*alphabet) % ALPHABETS.len()];
    Some((Format { alphabet, length: 6 + usize::from(*length) % 59 }, symbols, rest))
}

fn bytes(symbols: Option<Symbols>) -> Option<Vec<u8>> {
    symbols.map(|symbols| symbols.to_vec())
}

/// Any text as a code: it is refused, or read as symbols of the set's format, always the same way, whatever its case and
/// whatever stands between the symbols.
pub fn parse(data: &[u8]) {
    let Some((format, alphabet, rest)) = format(data) else { return };
    let input = String::from_utf8_lossy(rest);
    let parsed = format.parse(&input);

    let lower = input.to_ascii_lowercase();
    let upper = input.to_ascii_uppercase();
    assert_eq!(parsed, format.parse(&lower), "lower case");
    assert_eq!(parsed, format.parse(&upper), "upper case");
    let spaced: String = input.chars().zip(SEPARATORS.iter().cycle()).flat_map(|(c, s)| [*s, c]).collect();
    assert_eq!(parsed, format.parse(&spaced), "separators");
    // What is kept of the input is its ASCII letters and digits, so there are as many of them as symbols.
    let meaningful = input.chars().filter(char::is_ascii_alphanumeric).count();
    let Some(symbols) = parsed else { return };
    assert_eq!(meaningful, format.length, "length");
    assert_eq!(symbols.len(), format.random_symbols(), "symbols");
    assert!(symbols.iter().all(|symbol| alphabet.contains(symbol)), "alphabet");
    assert_eq!(bytes(format.parse(&format.display(&symbols, 0))), Some(symbols.to_vec()), "shown again");
    assert_eq!(format.parse(&format!("{input}0")), None, "one symbol too many");
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

    let hyphens = if group_size == 0 { 0 } else { (format.length - 1) / group_size };
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
    let facts = |keyring: &Keyring| -> Vec<(i32, [u8; keyring::KEY_LEN], keyring::KeyCheck)> {
        keyring.iter().map(|key| (key.id(), *key.secret(), key.check())).collect()
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
            assert_eq!(keys.len(), meant.count(), "one key a line");
            let ids: HashSet<i32> = keys.iter().map(|(id, ..)| *id).collect();
            assert_eq!(ids.len(), keys.len(), "ids are distinct");
            assert!(ids.iter().all(|id| *id > 0));
            assert_eq!(keyring.current().map(|key| key.id()), keys.first().map(|(id, ..)| *id));
            let found = |id: i32| keyring.get(id).map(|key| *key.secret());
            assert!(keys.iter().all(|(id, secret, _)| found(*id) == Some(*secret)));
            let again: String =
                keys.iter().map(|(id, secret, _)| format!("{id} {}\n", STANDARD.encode(secret))).collect();
            assert_eq!(Ok(keys), Keyring::parse(again.as_bytes()).map(|keyring| facts(&keyring)), "written anew");
        }
    }
}
