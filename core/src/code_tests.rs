use super::*;

const ALPHABETS: [Alphabet; 3] = [Alphabet::Base32, Alphabet::Hex, Alphabet::Decimal];
const DEFAULT: Format = Format { alphabet: Alphabet::Base32, length: 25 };

fn format(alphabet: Alphabet, length: usize) -> Format {
    Format { alphabet, length }
}

/// A code of the default format as it is shown, and its symbols.
fn shown() -> (String, Symbols) {
    let symbols = DEFAULT.draw(1, &mut Entropy::default()).unwrap().remove(0);
    (DEFAULT.display(&symbols, 5).to_string(), symbols)
}

#[test]
fn no_symbol_is_favoured() {
    // By exhaustion over a byte: every symbol is picked by equally many bytes.
    for alphabet in ALPHABETS {
        let symbols = alphabet.symbols();
        let mut picked = [0u32; 256];
        for symbol in (0..=255).filter_map(|byte| pick(symbols, byte)) {
            picked[usize::from(symbol)] += 1;
        }
        let each: Vec<u32> = symbols.iter().map(|s| picked[usize::from(*s)]).collect();
        assert!(each[0] > 0 && each.iter().all(|n| *n == each[0]), "{alphabet:?}: {each:?}");
        assert_eq!(picked.iter().sum::<u32>(), each.iter().sum::<u32>(), "{alphabet:?} picks foreign symbols");
    }
}

#[test]
fn drawn_codes_use_the_whole_alphabet_at_every_position() {
    for alphabet in ALPHABETS {
        let format = format(alphabet, 8);
        let codes: Vec<_> = (0..40).flat_map(|_| format.draw(100, &mut Entropy::default()).unwrap()).collect();
        for position in 0..format.random_symbols() {
            for symbol in alphabet.symbols() {
                // Odds that a symbol misses a position in 4,000 codes: below 32 × (31/32)^4000, about 10^-53.
                assert!(codes.iter().any(|code| code[position] == *symbol), "{alphabet:?} {position}");
            }
        }
    }
}

#[test]
fn codes_of_a_set_are_distinct_in_the_smallest_format() {
    // 100 of 10^6: a repeat would come up in one of two hundred sets, so in 2,000 sets it surely does when not redrawn.
    let smallest = format(Alphabet::Decimal, 6);
    for _ in 0..2000 {
        let codes = smallest.draw(100, &mut Entropy::default()).unwrap();
        let distinct: std::collections::HashSet<_> = codes.iter().map(|code| code.to_vec()).collect();
        assert_eq!(distinct.len(), 100);
    }
}

#[test]
fn every_format_reads_back_what_it_shows() {
    for alphabet in ALPHABETS {
        for length in 6..=64 {
            let format = format(alphabet, length);
            let symbols = format.draw(1, &mut Entropy::default()).unwrap().remove(0);
            for group_size in [0, 1, 4, 5, 63, 64] {
                let text = format.display(&symbols, group_size);
                assert_eq!(format.parse(&text).as_deref(), Some(&*symbols), "{text:?}");
                let hyphens = (length - 1).checked_div(group_size).unwrap_or(0);
                assert_eq!(text.len(), length + hyphens);
                assert!(text.capacity() >= text.len() && text.capacity() <= 2 * length, "the buffer grew");
            }
        }
    }
}

#[test]
fn other_lengths_and_symbols_are_malformed() {
    let (code, _) = shown();
    for input in ["", "-", "U", &code[1..], &format!("{code}0"), &code.replacen(&code[..1], "U", 1), &"0".repeat(1024)]
    {
        assert!(DEFAULT.parse(input).is_none(), "{input:?}");
    }
}

#[test]
fn every_single_wrong_symbol_is_caught() {
    for _ in 0..200 {
        let (code, _) = shown();
        let symbols: Vec<char> = code.chars().filter(|c| *c != '-').collect();
        for position in 0..symbols.len() {
            for wrong in Alphabet::Base32.symbols().iter().map(|s| char::from(*s)) {
                let mut typed = symbols.clone();
                typed[position] = wrong;
                let expected = wrong == symbols[position];
                assert_eq!(DEFAULT.parse(&typed.iter().collect::<String>()).is_some(), expected);
            }
        }
    }
}

#[test]
fn every_swap_of_neighbours_is_caught() {
    // All pairs of symbols at all positions of the longest code, which has more positions than the generator has powers.
    let longest = format(Alphabet::Base32, 64);
    for position in 0..63 {
        for a in Alphabet::Base32.symbols() {
            for b in Alphabet::Base32.symbols().iter().filter(|b| *b != a) {
                let mut symbols = Zeroizing::new(b"7".repeat(63));
                symbols[position] = *a;
                if position < 62 {
                    symbols[position + 1] = *b;
                }
                let mut typed = longest.display(&symbols, 0).as_bytes().to_vec();
                if typed[position] == typed[position + 1] {
                    continue;
                }
                typed.swap(position, position + 1);
                assert!(longest.parse(std::str::from_utf8(&typed).unwrap()).is_none());
            }
        }
    }
    for _ in 0..500 {
        let (code, _) = shown();
        let symbols: Vec<char> = code.chars().filter(|c| *c != '-').collect();
        for position in 0..symbols.len() - 1 {
            let mut typed = symbols.clone();
            typed.swap(position, position + 1);
            let expected = symbols[position] == symbols[position + 1];
            assert_eq!(DEFAULT.parse(&typed.iter().collect::<String>()).is_some(), expected);
        }
    }
}

#[test]
fn entropy_counts_random_symbols_only() {
    let cases = [
        (Alphabet::Base32, 25, 120.0),
        (Alphabet::Base32, 24, 115.0),
        (Alphabet::Base32, 23, 110.0),
        (Alphabet::Hex, 28, 112.0),
        (Alphabet::Hex, 27, 108.0),
        (Alphabet::Decimal, 34, 34.0 * 10f64.log2()),
        (Alphabet::Decimal, 33, 33.0 * 10f64.log2()),
    ];
    for (alphabet, length, bits) in cases {
        assert!((format(alphabet, length).random_bits() - bits).abs() < 1e-9);
    }
    assert!(format(Alphabet::Decimal, 34).random_bits() >= STRONG_BITS);
    assert!(format(Alphabet::Decimal, 33).random_bits() < STRONG_BITS);
}

#[test]
fn an_alphabet_is_found_by_its_letter() {
    for alphabet in ALPHABETS {
        assert_eq!(Alphabet::from_letter(alphabet.letter()), Some(alphabet));
    }
    assert_eq!(Alphabet::from_letter(b'x'), None);
}

/// What is parsed by some format must be plausible, and nothing else is.
#[test]
fn plausible_is_what_a_set_of_some_format_could_have() {
    let parsed = |input: &str| {
        ALPHABETS
            .iter()
            .any(|alphabet| LENGTHS.into_iter().any(|length| format(*alphabet, length).parse(input).is_some()))
    };
    let (code, _) = shown();
    let mut mistyped: Vec<char> = code.chars().collect();
    mistyped[0] = if mistyped[0] == 'Z' { 'Y' } else { 'Z' };
    let mistyped: String = mistyped.into_iter().collect();
    let cases = [
        (code.as_str(), true),
        (mistyped.as_str(), false),
        ("123456", true),
        ("12345", false),
        ("1 2-3 4-5 6", true),
        ("", false),
        ("- -", false),
        ("deadbeef", true),
        ("DEADBEEF", true),
        ("x", false),
        ("00000-00000-00000-00000-00000", true),
        ("\u{660}\u{661}\u{662}\u{663}\u{664}\u{665}", true),
        ("7. 123456", true),
        ("1. 12345", true),
        ("1. 1234", false),
    ];
    for (input, expected) in cases {
        assert_eq!(plausible(input), expected, "{input:?}");
        assert_eq!(parsed(input), expected, "{input:?}");
    }
    for length in 0..70 {
        let digits = "7".repeat(length);
        assert_eq!(plausible(&digits), LENGTHS.contains(&length), "{length}");
        assert_eq!(parsed(&digits), LENGTHS.contains(&length), "{length}");
    }
}
