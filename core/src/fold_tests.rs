use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::*;
use crate::code::{Alphabet, Format, LENGTHS, plausible};

const ALPHABETS: [(Alphabet, &str); 3] = [
    (Alphabet::Base32, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    (Alphabet::Hex, "0123456789abcdef"),
    (Alphabet::Decimal, "0123456789"),
];
const DEFAULT: Format = Format { alphabet: Alphabet::Base32, length: 25 };
const CODE: &str = "B8H6N-4137D-XKM0T-SH41N-2JRWC";
const SYMBOLS: &str = "B8H6N4137DXKM0TSH41N2JRW";

fn parsed(format: Format, input: &str) -> Option<String> {
    format.parse(input).map(|symbols| String::from_utf8(symbols.to_vec()).unwrap())
}

fn decimal(length: usize) -> Format {
    Format { alphabet: Alphabet::Decimal, length }
}

/// Every form in which codes were typed and pasted.
#[test]
fn a_code_is_read_as_people_type_and_paste_it() {
    let typed = |from: &str, to: &str| CODE.replace(from, to);
    let full_width: String = CODE
        .chars()
        .map(|c| if c == '-' { '\u{ff0d}' } else { char::from_u32(u32::from(c) + 0xfee0).unwrap() })
        .collect();
    let digits = |zero: u32| -> String {
        CODE.chars().map(|c| c.to_digit(10).and_then(|digit| char::from_u32(zero + digit)).unwrap_or(c)).collect()
    };
    let mut inputs = vec![
        CODE.to_owned(),
        CODE.to_lowercase(),
        typed("-", ""),
        CODE.chars().flat_map(|c| [c, ' ']).collect(),
        typed("0", "O"),
        typed("0", "o"),
        typed("1", "l"),
        typed("1", "I"),
        full_width.clone(),
        full_width.to_lowercase(),
        digits(0x6f0),
        digits(0x660),
        // Canonical equivalents: a mark that follows a letter, and one letter that holds the mark.
        typed("N", "N\u{303}"),
        typed("N", "\u{d1}"),
        typed("H", "\u{210b}"),
    ];
    for separator in [
        " ",
        "  ",
        "\t",
        "\r\n",
        "\u{a0}",
        "\u{3000}",
        "\u{2028}",
        ".",
        "_",
        "/",
        "\\",
        "\u{b7}",
        "+",
        ",",
        ":",
        "|",
        "*",
        "=",
        "\u{2010}",
        "\u{2011}",
        "\u{2013}",
        "\u{2014}",
        "\u{2212}",
        "\u{2043}",
        "\u{ff0d}",
        "\u{fe63}",
        "\u{2e3a}",
        "~",
        "\u{ff5e}",
        "\u{301c}",
        "\u{30fc}",
        "\u{ff70}",
        "\u{ad}",
        "\u{200b}",
        "\u{200f}",
        "\u{feff}",
        "\u{fe0f}",
        "\u{34f}",
        "\u{3164}",
        "\u{115f}",
        "\u{1160}",
        "\u{ffa0}",
        "\u{17b4}",
        "\u{17b5}",
        "\u{2bc}",
        "\u{2c8}",
        "\u{e000}",
        "\u{0}",
        "\u{7f}",
        "\u{fffd}",
        "\u{1f511}",
    ] {
        inputs.push(typed("-", separator));
    }
    for (before, after) in [
        ("", "."),
        ("", ","),
        ("", ";"),
        ("", "\r\n"),
        (" ", " "),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("```", "```"),
        ("\u{201c}", "\u{201d}"),
        ("\u{201e}", "\u{201c}"),
        ("\u{2018}", "\u{2019}"),
        ("\u{ab}", "\u{bb}"),
        ("\u{300c}", "\u{300d}"),
        ("[", "]"),
        ("(", ")"),
        ("<", ">"),
        ("['", "']"),
        ("\u{2022} ", ""),
        ("- ", ""),
        ("- [ ] ", ""),
        ("\u{2610} ", ""),
        ("1. ", ""),
        ("1) ", ""),
        ("(1) ", ""),
        ("1: ", ""),
        ("1\t", ""),
        ("10. ", ""),
        ("100. ", ""),
        ("  7. \"", "\","),
        ("\u{6f7}. ", ""),
        ("\u{2460} ", ""),
        ("\u{2488}", ""),
        ("1\u{fe0f}\u{20e3}", ""),
    ] {
        inputs.push(format!("{before}{CODE}{after}"));
    }
    for input in inputs {
        assert_eq!(parsed(DEFAULT, &input).as_deref(), Some(SYMBOLS), "{input:?}");
        assert!(plausible(&input), "{input:?}");
    }
}

#[test]
fn what_is_no_code_with_something_around_it_is_malformed() {
    let cut = &CODE[..CODE.len() - 1];
    for input in [
        // Labels in letters.
        format!("code: {CODE}"),
        format!("Code 1: {CODE}"),
        format!("a) {CODE}"),
        format!("I. {CODE}"),
        format!("l) {CODE}"),
        format!("b'{CODE}'"),
        format!("no. 1 {CODE}"),
        format!("\u{43a}\u{43e}\u{434} {CODE}"),
        format!("{CODE} \u{5df2}"),
        // Several codes, and parts of one.
        format!("{CODE} {CODE}"),
        format!("{CODE}\n{CODE}"),
        cut.to_owned(),
        format!("2. {cut}"),
        CODE[1..].to_owned(),
        // Numbers that are no list number.
        format!("1{CODE}"),
        format!("0. {CODE}"),
        format!("01. {CODE}"),
        format!("101. {CODE}"),
        format!("999. {CODE}"),
        format!("1000. {CODE}"),
        format!("1 0. {CODE}"),
        format!("1. 2. {CODE}"),
        format!("\u{bd} {CODE}"),
        format!("{CODE} 1"),
        format!("{CODE}\u{b2}"),
        // Letters and digits of others, and characters that there are not.
        CODE.replace('B', "\u{412}"),
        CODE.replace('H', "\u{df}"),
        CODE.replace('-', "\u{131}"),
        CODE.replace('-', "\u{4e00}"),
        CODE.replace('-', "\u{378}"),
        CODE.replace('4', "\u{16ee}"),
        CODE.replace('B', "U"),
        String::new(),
        "-".repeat(1024),
        "0".repeat(1024),
        "\u{fdfa}".repeat(300),
    ] {
        assert_eq!(parsed(DEFAULT, &input), None, "{input:?}");
    }
}

#[test]
fn look_alikes_are_folded_in_every_alphabet() {
    assert_eq!(parsed(decimal(8), "o123 4S78"), None);
    assert_eq!(parsed(decimal(8), "oI23 4l78").as_deref(), Some("01234178"));
    let hex = Format { alphabet: Alphabet::Hex, length: 8 };
    assert_eq!(parsed(hex, "OLCD-EFIA").as_deref(), Some("01cdef1a"));
    assert_eq!(parsed(hex, "OLCD-EFIG"), None);
}

/// Cut before the length is known, a list number would be cut off a decimal code.
#[test]
fn a_list_number_is_dropped_only_when_the_whole_is_too_long() {
    for (length, input, expected) in [
        (8, "12-345678", Some("12345678")),
        (6, "12-345678", Some("345678")),
        (6, "1 2-345678", None),
        (6, "12345678", None),
        (7, "12-345678", None),
        (8, "1 2345678", Some("12345678")),
        (8, "1. 1 2345678", Some("12345678")),
        (6, "100-100000", Some("100000")),
        (6, "100100000", None),
        (6, "100.100-000", Some("100000")),
        (6, "101.100-000", None),
        (6, "10.0000000", None),
        (6, "1.234.567", Some("234567")),
    ] {
        assert_eq!(parsed(decimal(length), input).as_deref(), expected, "{length}: {input:?}");
    }
}

#[test]
fn no_two_codes_fold_alike() {
    for (_, alphabet) in ALPHABETS {
        let folded = symbols(alphabet, 64).unwrap();
        assert_eq!(*folded, alphabet.to_uppercase().into_bytes(), "{alphabet}");
    }
}

/// The value of a digit is taken from its place among its neighbours.
#[test]
fn decimal_digits_stand_together_from_zero_to_nine() {
    let is_digit = |c: &char| c.general_category() == Category::DecimalNumber;
    let all: Vec<u32> = ('\0'..=char::MAX).filter(is_digit).map(u32::from).collect();
    assert!(all.len() > 700, "{}", all.len());
    for run in all.chunk_by(|a, b| a + 1 == *b) {
        assert_eq!(run.len() % 10, 0, "{:x}", run[0]);
    }
    for (zero, digits) in
        [('0', "\u{660}\u{661}\u{669}"), ('0', "\u{966}\u{967}\u{96f}"), ('0', "\u{116da}\u{116db}\u{116e3}")]
    {
        let values: Vec<u8> = digits.chars().map(|c| zero as u8 + digit(c)).collect();
        assert_eq!(values, b"019", "{digits}");
    }
}

/// A buffer that is too small is moved, and the old one is freed as it is.
#[test]
fn no_symbol_is_left_in_a_buffer_that_grew() {
    for most in 0..70 {
        let symbols = symbols(&"7".repeat(most), most).unwrap();
        assert_eq!((symbols.len(), symbols.capacity()), (most, most));
    }
    let parsed = DEFAULT.parse(&format!("100. {CODE}")).unwrap();
    assert_eq!(parsed.capacity(), DEFAULT.length + LIST_NUMBER_DIGITS);
}

const SEPARATORS: [&str; 24] = [
    " ",
    "-",
    "",
    "\u{2013}",
    ".",
    "_",
    "/",
    "\u{b7}",
    "+",
    "\u{30fc}",
    "\u{ff5e}",
    "\u{a0}",
    "\u{34f}",
    "\u{3164}",
    "\u{fe0f}",
    "\n",
    "\t",
    "\u{200b}\u{200b}",
    " | ",
    "\u{2022}",
    "\u{2bc}",
    "\u{e000}",
    "\u{1f511}",
    " \u{2014} ",
];
const WRAPS: [(&str, &str); 16] = [
    ("", ""),
    ("", "."),
    ("", ","),
    (" ", " \r\n"),
    ("\"", "\""),
    ("'", "';"),
    ("\u{201c}", "\u{201d}"),
    ("\u{ab}\u{a0}", "\u{a0}\u{bb}"),
    ("`", "`"),
    ("[", "]"),
    ("(", ")"),
    ("{", "}"),
    ("\u{2022} ", ""),
    ("- [ ] ", ""),
    ("\u{feff}", "\u{fe0f}"),
    ("\u{300c}", "\u{300d}"),
];
const AFTER_NUMBER: [&str; 8] = [". ", ") ", ": ", "\t", " - ", ".", "\u{ff0e}", " "];
const ZEROS: [u32; 7] = [0x30, 0x660, 0x6f0, 0x966, 0xff10, 0x1d7ce, 0x116da];

/// A way to write a symbol that is read as the same one.
fn spelled(symbol: char, rng: &mut SmallRng) -> String {
    let at = |start: u32, offset: u32| char::from_u32(start + offset).unwrap();
    let c = match (symbol, rng.random_range(0..8)) {
        ('0', 0) => *['O', 'o', '\u{ff2f}', '\u{ba}', '\u{d3}'].choose(rng).unwrap(),
        ('1', 0) => *['I', 'i', 'L', 'l', '\u{2160}', '\u{217c}', '\u{ff29}', '\u{cd}', '\u{130}'].choose(rng).unwrap(),
        ('1'..='9', 1) => at(0x2460, u32::from(symbol) - u32::from('1')),
        ('0'..='9', _) => at(*ZEROS.choose(rng).unwrap(), u32::from(symbol) - u32::from('0')),
        (_, case) => {
            let place = u32::from(symbol.to_ascii_uppercase()) - u32::from('A');
            match case {
                0 => symbol.to_ascii_lowercase(),
                1 => symbol.to_ascii_uppercase(),
                2 => at(0xff21, place),
                3 => at(0xff41, place),
                4 => at(0x1d400, place),
                5 => at(0x24d0, place),
                _ => symbol,
            }
        }
    };
    let mark = if rng.random_bool(0.05) { "\u{301}" } else { "" };
    format!("{c}{mark}")
}

/// A code in any decoration that does not change what it is.
fn decorated(shown: &str, rng: &mut SmallRng) -> String {
    let plain = rng.random_bool(0.3);
    let separator = *SEPARATORS.choose(rng).unwrap();
    let mut code = String::new();
    for c in shown.chars() {
        match c {
            '-' => code.push_str(if rng.random_bool(0.8) { separator } else { SEPARATORS.choose(rng).unwrap() }),
            c if plain => code.push(c),
            c => code.push_str(&spelled(c, rng)),
        }
    }
    let number = match rng.random_range(0..4) {
        0 => {
            let zero = *ZEROS.choose(rng).unwrap();
            let number = rng.random_range(1..=100).to_string();
            let digits = number.chars().map(|c| char::from_u32(zero + c.to_digit(10).unwrap()).unwrap());
            digits.chain(AFTER_NUMBER.choose(rng).unwrap().chars()).collect()
        }
        _ => String::new(),
    };
    let ((outer, after), (inner, behind)) = (*WRAPS.choose(rng).unwrap(), *WRAPS.choose(rng).unwrap());
    format!("{outer}{number}{inner}{code}{behind}{after}")
}

/// As many as a model of the rules was tried with, and in all formats.
#[test]
fn decorated_codes_of_every_format_are_read() {
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..60_000 {
        let (alphabet, of) = *ALPHABETS.choose(&mut rng).unwrap();
        let format = Format { alphabet, length: rng.random_range(LENGTHS) };
        let symbols: Vec<u8> = (0..format.random_symbols()).map(|_| *of.as_bytes().choose(&mut rng).unwrap()).collect();
        let symbols = Zeroizing::new(symbols);
        let group_size = *[0, 3, 4, 5].choose(&mut rng).unwrap();
        let input = decorated(&format.display(&symbols, group_size), &mut rng);
        assert_eq!(format.parse(&input).as_deref(), Some(&*symbols), "{format:?} {input:?}");
        assert!(plausible(&input), "{format:?} {input:?}");
    }
}
