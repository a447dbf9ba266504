//! What an application may say about a request, cut down to what can be shown: it is often a User-Agent, which an attacker
//! writes.

use std::net::IpAddr;

use serde_json::Value;

/// Longest text that is shown.
const LONGEST: usize = 60;

/// Device, place and address, where the application reported them and they look like it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    pub device: Option<String>,
    pub place: Option<String>,
    pub ip: Option<String>,
}

impl Context {
    /// Reads the context of an event, if it is a JSON object.
    pub fn read(context: &str) -> Self {
        let Ok(Value::Object(object)) = serde_json::from_str(context) else { return Self::default() };
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        Self {
            device: text("device").filter(|text| is_harmless(text)).map(str::to_owned),
            place: text("place").filter(|text| is_harmless(text)).map(str::to_owned),
            ip: text("ip").and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_string()),
        }
    }
}

/// Whether no mail client could make a link or markup of it: letters, digits, spaces and a few marks; a dot stands between
/// digits only, as in a version.
fn is_harmless(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let digit = |index: Option<usize>| index.and_then(|index| characters.get(index)).is_some_and(char::is_ascii_digit);
    !text.trim().is_empty()
        && characters.len() <= LONGEST
        && characters.iter().enumerate().all(|(index, c)| match c {
            '.' => digit(index.checked_sub(1)) && digit(Some(index + 1)),
            ' ' | '(' | ')' | '/' | '-' | '_' | ',' => true,
            _ => c.is_alphanumeric(),
        })
        && !text.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_become_a_link_or_markup_is_shown() {
        let shown = |text: &str| Context::read(&serde_json::json!({ "device": text }).to_string()).device;
        for text in ["Firefox 128.0 (Linux)", "Pixel 8, Android 15", "Käse-Phone_2", "a/b"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        for text in [
            "evil.example",
            "http://evil",
            "//evil",
            "evil:80",
            "<b>x</b>",
            "a@b",
            "x.y",
            "1.a",
            "a.1",
            "[x](y)",
            "a\nb",
            "",
            " ",
            "\u{202e}gpj",
            "a&amp;b",
            "\"",
            "'",
            "see evil\u{3002}example",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
        assert_eq!(shown(&"a".repeat(61)), None);
    }

    #[test]
    fn an_address_is_one_or_is_not_shown() {
        let ip = |text: &str| Context::read(&serde_json::json!({ "ip": text }).to_string()).ip;
        assert_eq!(ip("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(ip("2001:DB8::1").as_deref(), Some("2001:db8::1"));
        assert_eq!(ip("192.0.2.7 evil.example"), None);
        for text in ["", "Mozilla/5.0", "[]", "{", "null", "{\"device\": 7}"] {
            assert_eq!(Context::read(text), Context::default());
        }
    }
}
