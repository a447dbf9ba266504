//! The code itself: alphabets, drawing, folding and the check symbol. Knows nothing of PostgreSQL.
//!
//! Invariant: a symbol is stored, compared and hashed in one spelling only (base32 upper case, hex lower case), whatever
//! the user types; and a code that is not well formed is found out before any hash is computed.

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
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

impl Alphabet {
    /// The name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base32 => "base32",
            Self::Hex => "hex",
            Self::Decimal => "decimal",
        }
    }

    /// The alphabet of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Base32, Self::Hex, Self::Decimal].into_iter().find(|a| a.name().as_bytes() == name)
    }

    fn symbols(self) -> &'static [u8] {
        match self {
            Self::Base32 => b"0123456789ABCDEFGHJKMNPQRSTVWXYZ",
            Self::Hex => b"0123456789abcdef",
            Self::Decimal => b"0123456789",
        }
    }

    fn fold(self, symbol: char) -> Option<u8> {
        let symbol = u8::try_from(symbol).ok()?;
        let folded = match (self, symbol.to_ascii_uppercase()) {
            (Self::Base32, b'O') => b'0',
            (Self::Base32, b'I' | b'L') => b'1',
            (Self::Base32, upper) => upper,
            _ => symbol.to_ascii_lowercase(),
        };
        self.symbols().contains(&folded).then_some(folded)
    }

    fn value(self, symbol: u8) -> u8 {
        self.symbols().iter().position(|s| *s == symbol).unwrap_or_default() as u8
    }
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
    pub fn draw(self, count: usize) -> Result<Vec<Symbols>, SysError> {
        let mut entropy = Entropy::new();
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
    let sum = symbols.iter().fold(0, |sum, s| times_generator(sum) ^ Alphabet::Base32.value(*s));
    Alphabet::Base32.symbols()[usize::from(times_generator(sum))]
}

/// Multiplies by x in GF(2)[x] / (x⁵ + x² + 1), which is primitive.
fn times_generator(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 0x20 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

/// Random bytes straight from the operating system, read in blocks: no generator state that a fork could copy.
struct Entropy {
    block: Zeroizing<[u8; 256]>,
    used: usize,
}

impl Entropy {
    fn new() -> Self {
        Self { block: Zeroizing::new([0; 256]), used: 256 }
    }

    fn byte(&mut self) -> Result<u8, SysError> {
        if self.used == self.block.len() {
            SysRng.try_fill_bytes(&mut *self.block)?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.block[self.used - 1])
    }
}

/// Fills an array from the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], SysError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
