//! The code itself: alphabets, drawing, reading and the check symbol. Knows nothing of PostgreSQL.
//!
//! Invariant: a symbol is stored, compared and hashed in one spelling only (base32 upper case, hex lower case), whatever
//! the user types; and a code that is not well formed is found out before any hash is computed.

use std::ops::RangeInclusive;

use rand::TryRng;
pub use rand::rngs::SysError as RandomError;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::fold;

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

    /// The value of each ASCII character, in either case: every attempt reads a code, so it is looked up.
    fn values(self) -> &'static [u8; 128] {
        const BASE32: [u8; 128] = values(Alphabet::Base32.symbols());
        const HEX: [u8; 128] = values(Alphabet::Hex.symbols());
        const DECIMAL: [u8; 128] = values(Alphabet::Decimal.symbols());
        match self {
            Self::Base32 => &BASE32,
            Self::Hex => &HEX,
            Self::Decimal => &DECIMAL,
        }
    }

    fn value(self, symbol: u8) -> Option<u8> {
        self.values().get(usize::from(symbol)).copied().filter(|value| *value != NO_SYMBOL)
    }
}

/// The value of a character that is no symbol.
const NO_SYMBOL: u8 = u8::MAX;

const fn values(symbols: &[u8]) -> [u8; 128] {
    let mut values = [NO_SYMBOL; 128];
    let mut value = 0;
    while value < symbols.len() {
        values[symbols[value].to_ascii_lowercase() as usize] = value as u8;
        values[symbols[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    values
}

/// The shortest and the longest code, in symbols.
pub const LENGTHS: RangeInclusive<usize> = 6..=64;

/// Whether a set of any format could have such a code. Most typing errors are found here, before anything is read.
pub fn plausible(input: &str) -> bool {
    let Some(symbols) = fold::symbols(input, LENGTHS.end() + fold::LIST_NUMBER_DIGITS) else { return false };
    let some_code = |symbols: &[u8]| {
        ALPHABETS.iter().any(|alphabet| Format { alphabet: *alphabet, length: symbols.len() }.is_code(symbols))
    };
    some_code(&symbols) || matches!(fold::list_number(input), number @ 1.. if some_code(&symbols[number..]))
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
    ///
    /// A list number is dropped only where the whole is too long by just its digits: a decimal code may begin like one.
    pub fn parse(self, input: &str) -> Option<Symbols> {
        let mut symbols = fold::symbols(input, self.length + fold::LIST_NUMBER_DIGITS)?;
        let surplus = symbols.len().checked_sub(self.length)?;
        if surplus > 0 {
            if surplus != fold::list_number(input) {
                return None;
            }
            symbols.drain(..surplus);
        }
        if !self.is_code(&symbols) {
            return None;
        }
        symbols.truncate(self.random_symbols());
        if self.alphabet == Alphabet::Hex {
            symbols.make_ascii_lowercase();
        }
        Some(symbols)
    }

    /// Whether these are symbols of a whole code, its check symbol included.
    fn is_code(self, symbols: &[u8]) -> bool {
        LENGTHS.contains(&self.length)
            && symbols.len() == self.length
            && symbols.iter().all(|symbol| self.alphabet.value(*symbol).is_some())
            && (!self.has_check() || check_symbol(&symbols[..self.random_symbols()]) == symbols[self.random_symbols()])
    }
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

impl Default for Entropy {
    /// Reads nothing yet.
    fn default() -> Self {
        Self { block: Zeroizing::new([0; 256]), used: 256 }
    }
}

impl Entropy {
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
