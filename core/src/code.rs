//! The code itself: alphabets, drawing, folding and the check symbol. Knows nothing of PostgreSQL.
//!
//! Invariant: a symbol is stored, compared and hashed in one spelling only (base32 upper case, hex lower case), whatever
//! the user types; and a code that is not well formed is found out before any hash is computed.

use std::ops::RangeInclusive;

use rand::TryRng;
pub use rand::rngs::SysError as RandomError;
use rand::rngs::SysRng;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use zeroize::Zeroizing;

/// From here on a code needs no slow hash (NIST SP 800-63B-4 §3.1.2.2, OWASP ASVS 5.0 §6.5.2).
pub const STRONG_BITS: f64 = 112.0;

/// Symbols in their canonical ASCII spelling, wiped when dropped.
pub type Symbols = Zeroizing<Vec<u8>>;

/// The symbols a code is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Crockford's base32, with a check symbol at the end.
    Base32,
    /// Hexadecimal, lower case.
    Hex,
    /// Decimal digits.
    Decimal,
}

const ALPHABETS: [Alphabet; 3] = [Alphabet::Base32, Alphabet::Hex, Alphabet::Decimal];

impl Alphabet {
    /// The letter in tables.
    pub fn letter(self) -> u8 {
        match self {
            Self::Base32 => b'b',
            Self::Hex => b'h',
            Self::Decimal => b'd',
        }
    }

    /// The alphabet of that letter.
    pub fn from_letter(letter: u8) -> Option<Self> {
        ALPHABETS.into_iter().find(|alphabet| alphabet.letter() == letter)
    }

    const fn symbols(self) -> &'static [u8] {
        match self {
            Self::Base32 => b"0123456789ABCDEFGHJKMNPQRSTVWXYZ",
            Self::Hex => b"0123456789abcdef",
            Self::Decimal => b"0123456789",
        }
    }

    /// What each ASCII character counts for: every attempt folds a code, so it is looked up.
    fn values(self) -> &'static [u8; 128] {
        const BASE32: [u8; 128] = spellings(Alphabet::Base32.symbols(), b"O0I1L1");
        const HEX: [u8; 128] = spellings(Alphabet::Hex.symbols(), b"");
        const DECIMAL: [u8; 128] = spellings(Alphabet::Decimal.symbols(), b"");
        match self {
            Self::Base32 => &BASE32,
            Self::Hex => &HEX,
            Self::Decimal => &DECIMAL,
        }
    }

    fn value(self, symbol: u8) -> Option<u8> {
        self.values().get(usize::from(symbol)).copied().filter(|value| *value != NO_SYMBOL)
    }

    fn fold(self, symbol: char) -> Option<u8> {
        self.value(u8::try_from(symbol).ok()?).map(|value| self.symbols()[usize::from(value)])
    }
}

/// The value of a character that is no symbol.
const NO_SYMBOL: u8 = u8::MAX;

/// The values of symbols in either case, and of characters that are read as one: pairs of the character and the symbol.
const fn spellings(symbols: &[u8], read_as: &[u8]) -> [u8; 128] {
    let mut values = [NO_SYMBOL; 128];
    let mut value = 0;
    while value < symbols.len() {
        values[symbols[value].to_ascii_lowercase() as usize] = value as u8;
        values[symbols[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    let mut pair = 0;
    while pair < read_as.len() {
        let value = values[read_as[pair + 1] as usize];
        values[read_as[pair].to_ascii_lowercase() as usize] = value;
        values[read_as[pair].to_ascii_uppercase() as usize] = value;
        pair += 2;
    }
    values
}

/// The shortest and the longest code, in symbols.
pub const LENGTHS: RangeInclusive<usize> = 6..=64;

/// Whether a set of any format could have such a code. Most typing errors are found here, before anything is read.
pub fn plausible(input: &str) -> bool {
    let length = input.chars().filter(|c| !is_separator(*c)).count();
    LENGTHS.contains(&length)
        && ALPHABETS.iter().any(|alphabet| Format { alphabet: *alphabet, length }.parse(input).is_some())
}

/// What a set remembers of its codes' spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The symbols in use.
    pub alphabet: Alphabet,
    /// Symbols in a code without separators, base32's check symbol included.
    pub length: usize,
}

impl Format {
    /// How many symbols are drawn at random.
    pub fn random_symbols(self) -> usize {
        self.length - usize::from(self.has_check())
    }

    /// Random bits in a code.
    pub fn random_bits(self) -> f64 {
        self.random_symbols() as f64 * (self.alphabet.symbols().len() as f64).log2()
    }

    fn has_check(self) -> bool {
        self.alphabet == Alphabet::Base32
    }

    /// Draws `count` distinct codes. A collision is drawn again: with six decimal digits and a hundred codes it happens
    /// in one set of two hundred, with the default it never will.
    pub fn draw(self, count: usize, entropy: &mut Entropy) -> Result<Vec<Symbols>, RandomError> {
        let mut codes: Vec<Symbols> = Vec::with_capacity(count);
        while codes.len() < count {
            let mut code = Zeroizing::new(Vec::with_capacity(self.random_symbols()));
            while code.len() < self.random_symbols() {
                code.extend(pick(self.alphabet.symbols(), entropy.byte()?));
            }
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        Ok(codes)
    }

    /// The code as a person sees it: with the check symbol, in groups joined by hyphens (no groups when 0).
    pub fn display(self, symbols: &Symbols, group_size: usize) -> Zeroizing<String> {
        // Sized for a hyphen after every symbol: a buffer that grew would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * self.length));
        let check = self.has_check().then(|| check_symbol(symbols));
        for (i, symbol) in symbols.iter().copied().chain(check).enumerate() {
            if group_size > 0 && i > 0 && i % group_size == 0 {
                text.push('-');
            }
            text.push(symbol.into());
        }
        text
    }

    /// Folds what a user typed and takes off the check symbol. None when the length, a symbol or the check is wrong.
    pub fn parse(self, input: &str) -> Option<Symbols> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(self.length));
        for symbol in input.chars().filter(|c| !is_separator(*c)) {
            if symbols.len() == self.length {
                return None;
            }
            symbols.push(self.alphabet.fold(symbol)?);
        }
        if symbols.len() != self.length {
            return None;
        }
        if self.has_check() {
            let check = symbols.pop()?;
            if check != check_symbol(&symbols) {
                return None;
            }
        }
        Some(symbols)
    }
}

/// White space, dashes, hyphens and invisible format characters: whatever a printer, a page or a phone puts between groups.
fn is_separator(c: char) -> bool {
    if c.is_ascii_alphanumeric() {
        return false;
    }
    c.is_whitespace()
        || c == '\u{2212}' // minus sign
        || c == '\u{2043}' // hyphen bullet
        || matches!(c.general_category(), GeneralCategory::DashPunctuation | GeneralCategory::Format)
}

/// Maps a random byte to a symbol, or to none where the byte would favour the first symbols (rejection sampling).
fn pick(symbols: &[u8], byte: u8) -> Option<u8> {
    let fair = 256 - 256 % symbols.len();
    (usize::from(byte) < fair).then(|| symbols[usize::from(byte) % symbols.len()])
}

/// The check symbol: the value that makes the code's polynomial over GF(32), evaluated at a generator, zero.
///
/// Every position weighs a different power of the generator, none of them zero: one wrong symbol always changes the sum,
/// and so does a swap of two different neighbours.
fn check_symbol(symbols: &[u8]) -> u8 {
    let sum = symbols.iter().fold(0, |sum, s| times_generator(sum) ^ Alphabet::Base32.value(*s).unwrap_or_default());
    Alphabet::Base32.symbols()[usize::from(times_generator(sum))]
}

/// Multiplies by x in GF(2)[x] / (x⁵ + x² + 1), which is primitive.
fn times_generator(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 0x20 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

/// Random bytes straight from the operating system, read in blocks: no generator state that a fork could copy, as long as it
/// lives no longer than a call.
pub struct Entropy {
    block: Zeroizing<[u8; 256]>,
    used: usize,
}

impl Entropy {
    /// Reads nothing yet.
    pub fn new() -> Self {
        Self { block: Zeroizing::new([0; 256]), used: 256 }
    }

    fn byte(&mut self) -> Result<u8, RandomError> {
        if self.used == self.block.len() {
            SysRng.try_fill_bytes(&mut *self.block)?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.block[self.used - 1])
    }

    /// Fills an array.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], RandomError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }
}

/// Fills an array from the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
