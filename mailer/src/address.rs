//! Addresses of users, as they may be put into a command of SMTP and a header. Stricter than RFC 5321: what is refused here
//! could carry a second recipient or a second header, and no provider hands it out.

use std::fmt;

/// An address that is safe to use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
    ascii: bool,
}

/// Why a text is no address. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid(&'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address refused: {}", self.0)
    }
}

/// Longest local part (RFC 5321 §4.5.3.1.1) and address (§4.5.3.1.3, less the angle brackets).
const LOCAL_MAX: usize = 64;
const ADDRESS_MAX: usize = 254;

impl Address {
    /// Reads an address: a dot-atom, `@`, a domain. A domain of other letters becomes its A-labels, unless the local part needs
    /// SMTPUTF8 as well: then it stays (RFC 6531 §3.2).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (local, domain) = text.rsplit_once('@').ok_or(Invalid("no @"))?;
        if local.is_empty() || local.len() > LOCAL_MAX {
            return Err(Invalid("the part before @ is empty or too long"));
        }
        if !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(in_atom)) {
            return Err(Invalid("a character before @ that is not allowed there"));
        }
        let ascii = local.is_ascii();
        let a_labels = idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::STD3)
            .map_err(|_| Invalid("the part behind @ is no domain"))?;
        let labels = a_labels.split('.');
        if !labels
            .clone()
            .all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'))
        {
            return Err(Invalid("the part behind @ is no domain"));
        }
        let text = if ascii { format!("{local}@{a_labels}") } else { format!("{local}@{domain}") };
        if text.len() > ADDRESS_MAX {
            return Err(Invalid("too long"));
        }
        Ok(Self { text, ascii })
    }

    /// As it stands in commands and headers.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the server must offer SMTPUTF8.
    pub fn needs_utf8(&self) -> bool {
        !self.ascii
    }

    /// What follows the last @.
    pub fn domain(&self) -> &str {
        self.text.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A log must not show whose mail it was.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// RFC 5322's atext, and with RFC 6531 every character beyond ASCII but spaces, controls and what makes text run backwards.
fn in_atom(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{ffff}' => false,
        _ => !c.is_control() && !c.is_whitespace(),
    }
}

/// A sender as the configuration writes it: `Name <address>`, or the address alone.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// May be empty.
    pub name: String,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Reads a sender.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"'), address),
            None => ("", text),
        };
        if name.chars().any(|c| c.is_control() || c == '<' || c == '>') {
            return Err(Invalid("a name with a control character or an angle bracket"));
        }
        Ok(Self { name: name.to_owned(), address: Address::parse(address)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_carry_a_second_recipient_or_header_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.example",
            "a@b@c.example",
            "a b@c.example",
            "a@b c.example",
            " a@b.example",
            "a@b.example ",
            "a@b.example\r\nRCPT TO:<eve@evil.example>",
            "bob@example.com>\r\nRCPT TO:<eve@evil.example",
            "a@b.example>",
            "<a@b.example>",
            "a@b.example,eve@evil.example",
            "a@b.example;c@d.example",
            "\"a b\"@c.example",
            "a\"b@c.example",
            "a\0@b.example",
            "a@b\0.example",
            ".a@b.example",
            "a.@b.example",
            "a..b@c.example",
            "a@-b.example",
            "a@b-.example",
            "a@b..example",
            "a@.example",
            "a@[192.0.2.1]",
            "a@b_c.example",
            "a(c)@b.example",
            "a\\@b.example",
            "a:b@c.example",
            "a@b.example:25",
            "a\u{202e}b@c.example",
            "a\u{a0}b@c.example",
            "a\u{85}b@c.example",
            "a@b.example\n",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert!(Address::parse(&format!("{}@b.example", "a".repeat(65))).is_err());
        assert!(Address::parse(&format!("a@{}.example", "b".repeat(64))).is_err());
        let long = format!("{}@{}example", "a".repeat(64), "bcdefghij.".repeat(19));
        assert!(Address::parse(&long).is_err(), "{}", long.len());
    }

    #[test]
    fn a_domain_becomes_a_labels_unless_the_local_part_needs_utf8() {
        let read = |text| Address::parse(text).map(|address| (address.as_str().to_owned(), address.needs_utf8()));
        assert_eq!(read("o'hara+codes@Example.COM"), Ok(("o'hara+codes@example.com".to_owned(), false)));
        assert_eq!(read("info@bücher.example"), Ok(("info@xn--bcher-kva.example".to_owned(), false)));
        assert_eq!(read("jürgen@bücher.example"), Ok(("jürgen@bücher.example".to_owned(), true)));
        assert_eq!(read("root@localhost"), Ok(("root@localhost".to_owned(), false)));
    }

    #[test]
    fn a_sender_may_have_a_name() {
        let sender = Mailbox::parse("Example security <security@example.com>").expect("a sender");
        assert_eq!((sender.name.as_str(), sender.address.as_str()), ("Example security", "security@example.com"));
        assert_eq!(Mailbox::parse("security@example.com").expect("a sender").name, "");
        assert!(Mailbox::parse("A\r\nBcc: b@c.example <a@b.example>").is_err());
        assert!(Mailbox::parse("A <a@b.example> <c@d.example>").is_err());
    }
}
