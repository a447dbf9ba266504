//! A mail as it goes over the wire.

use std::time::SystemTime;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::raw::Raw;
use uuid::Uuid;

use crate::address::{self, Mailbox};
use crate::config::Mail;
use crate::failure::Failure;
use crate::templates::Words;

/// Who the mails are from.
pub struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    /// Where bounces go: the reverse path of the envelope.
    pub return_path: address::Address,
}

impl Sender {
    /// Reads the sender of the configuration.
    pub fn new(mail: &Mail) -> Result<Self, Failure> {
        let required = |key: &str, text: &str| {
            if text.is_empty() { Err(Failure::configuration(format!("[mail] {key} is not set"))) } else { Ok(()) }
        };
        required("service", &mail.service)?;
        required("from", &mail.from)?;
        required("support", &mail.support)?;
        if mail.service.chars().any(char::is_control) {
            return Err(Failure::configuration("[mail] service has a control character in it"));
        }
        let mailbox = |key: &str, text: &str| {
            let wrong = |what: &dyn std::fmt::Display| Failure::configuration(format!("[mail] {key}: {what}"));
            let mailbox = Mailbox::parse(text).map_err(|error| wrong(&error))?;
            if mailbox.address.needs_utf8() { Err(wrong(&"it must do without SMTPUTF8")) } else { Ok(mailbox) }
        };
        let optional = |key, text: &str| if text.is_empty() { Ok(None) } else { mailbox(key, text).map(Some) };
        let from = mailbox("from", &mail.from)?;
        let return_path =
            optional("return_path", &mail.return_path)?.map_or_else(|| from.address.clone(), |mailbox| mailbox.address);
        Ok(Self { reply_to: optional("reply_to", &mail.reply_to)?, from, return_path })
    }

    /// The mail about an event, the same for each try but for its date. `part` counts the addresses of a user from 0: each has a
    /// mail of its own, and no two have one Message-ID.
    pub fn compose(&self, event: Uuid, part: usize, to: &address::Address, words: &Words) -> Vec<u8> {
        let suffix = if part == 0 { String::new() } else { format!(".{part}") };
        let domain = self.from.address.domain();
        let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut mail = MessageBuilder::new()
            .message_id(format!("{event}{suffix}@{domain}"))
            .date(date as i64)
            .from(header(&self.from))
            .to(to.as_str())
            .subject(words.subject.as_str())
            // RFC 3834 §5; and what Exchange asks instead, which must not suppress bounces.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .header("X-Auto-Response-Suppress", Raw::new("OOF, AutoReply"))
            .text_body(words.text.as_str())
            .html_body(words.html.as_str());
        if let Some(reply_to) = &self.reply_to {
            mail = mail.reply_to(header(reply_to));
        }
        let mut bytes = Vec::with_capacity(words.text.len() + words.html.len() + 1024);
        mail.serialize(&mut bytes);
        bytes
    }
}

fn header(mailbox: &Mailbox) -> Address<'_> {
    Address::new_address(Some(mailbox.name.as_str()).filter(|name| !name.is_empty()), mailbox.address.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_says_that_a_machine_sent_it_and_keeps_its_id() {
        let config = Mail {
            service: "Example".into(),
            from: "Exämple <security@example.com>".into(),
            support: "help@example.com".into(),
            ..Mail::default()
        };
        let sender = Sender::new(&config).expect("a sender");
        let to = address::Address::parse("ada@bücher.example").expect("an address");
        let words = Words {
            subject: "Ein Code für dich\r\nBcc: eve@evil.example".into(),
            text: ".\n..\nfrom".into(),
            html: "<p>ü".into(),
        };
        let id = Uuid::from_u128(7);
        let mail = String::from_utf8(sender.compose(id, 1, &to, &words)).expect("ASCII");
        assert!(mail.is_ascii(), "{mail}");
        let headers: Vec<&str> = mail.split("\r\n\r\n").next().expect("headers").split("\r\n").collect();
        for header in [
            "Message-ID: <00000000-0000-0000-0000-000000000007.1@example.com>",
            "To: <ada@xn--bcher-kva.example>",
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: OOF, AutoReply",
            "MIME-Version: 1.0",
        ] {
            assert!(headers.contains(&header), "{header} is not in {headers:#?}");
        }
        assert!(!headers.iter().any(|header| header.starts_with("Bcc")), "{headers:#?}");
    }
}
