//! What went wrong between this program and the mail server, where in the dialogue, and what follows from it.

use std::fmt;

use smtp_proto::Response;

/// The stages of the dialogue, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Connect,
    Greeting,
    Ehlo,
    Starttls,
    Tls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The mail is sent, its acceptance awaited.
    Dot,
}

impl Stage {
    /// Its name in logs, metrics and reasons.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Dot => "dot",
        }
    }
}

/// A reply without its text, which may quote an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: u16,
    pub enhanced: [u8; 3],
    /// The text says that there were too many.
    pub too_many: bool,
}

impl From<&Response<String>> for Code {
    fn from(reply: &Response<String>) -> Self {
        let text = reply.message.to_ascii_lowercase();
        let too_many = ["too many", "rate limit", "throttl", "too fast"].iter().any(|sign| text.contains(sign));
        Self { code: reply.code, enhanced: reply.esc, too_many }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let [class, subject, detail] = self.enhanced;
        if class > 0 { write!(f, " {class}.{subject}.{detail}") } else { Ok(()) }
    }
}

/// How it went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The server said no.
    Refused(Code),
    /// It said nothing in time.
    Timeout,
    /// It closed the connection.
    Closed,
    /// It said what is no reply, or more than one.
    Garbage,
    /// The network or TLS failed.
    Failed(String),
    /// It does not offer what is needed.
    Missing(&'static str),
}

/// A failure with its stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub stage: Stage,
    pub what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.name();
        match &self.what {
            What::Refused(code) => write!(f, "{stage}: refused with {code}"),
            What::Timeout => write!(f, "{stage}: no answer in time"),
            What::Closed => write!(f, "{stage}: the server closed the connection"),
            What::Garbage => write!(f, "{stage}: the server said what is no reply"),
            What::Failed(what) => write!(f, "{stage}: {what}"),
            What::Missing(what) => write!(f, "{stage}: the server does not offer {what}"),
        }
    }
}

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server, the network or the configuration is at fault, whatever the mail: nothing is sent for a while.
    Relay,
    /// This mail is refused for now: it is tried again, and the try counts.
    Later,
    /// This mail is refused for good.
    Never,
    /// The server may have taken it: it is tried again with the same Message-ID, and the try counts.
    Unknown,
    /// The server wants less: fewer connections, and the try does not count.
    Slower,
}

impl Verdict {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Later => "later",
            Self::Never => "never",
            Self::Unknown => "unknown",
            Self::Slower => "slower",
        }
    }
}

impl Fault {
    pub fn new(stage: Stage, what: What) -> Self {
        Self { stage, what }
    }

    pub fn reply(stage: Stage, reply: &Response<String>) -> Self {
        Self::new(stage, What::Refused(reply.into()))
    }

    /// Whether the connection can no longer be used: only a refusal leaves both sides agreed on where they are.
    pub fn breaks(&self) -> bool {
        !matches!(self.what, What::Refused(code) if code.code != 421)
    }

    /// Whether the server may have closed the connection for having been idle or used enough. On one that has carried mail
    /// before, that is nobody's fault as long as the mail itself has not been sent.
    pub fn is_farewell(&self) -> bool {
        self.stage < Stage::Dot
            && match &self.what {
                What::Refused(code) => code.code == 421,
                What::Closed | What::Failed(_) | What::Garbage => true,
                _ => false,
            }
    }

    /// What follows.
    pub fn verdict(&self) -> Verdict {
        if self.stage <= Stage::Mail {
            return match &self.what {
                // Only this recipient needs it.
                What::Missing(_) if self.stage == Stage::Mail => Verdict::Never,
                _ => Verdict::Relay,
            };
        }
        match &self.what {
            What::Refused(code) if code.wants_less() => Verdict::Slower,
            What::Refused(code) if code.code >= 500 && !code.is_full(self.stage) => Verdict::Never,
            What::Refused(_) => Verdict::Later,
            _ if self.stage == Stage::Dot => Verdict::Unknown,
            _ => Verdict::Later,
        }
    }

    /// Whether the server asks for fewer connections or mails.
    pub fn wants_less(&self) -> bool {
        matches!(self.what, What::Refused(code) if code.wants_less())
    }

    /// Why an event is parked: the stage and the codes, and nothing that the server wrote.
    pub fn reason(&self) -> String {
        match &self.what {
            What::Refused(code) => format!("{}: {code}", self.stage.name()),
            What::Missing(what) => format!("{}: {what} not offered", self.stage.name()),
            _ => self.stage.name().to_owned(),
        }
    }
}

impl Code {
    /// A full mailbox is emptied some day: 552 for a recipient, and x.2.2.
    fn is_full(self, stage: Stage) -> bool {
        (self.code == 552 && stage == Stage::Rcpt) || self.enhanced[1..] == [2, 2]
    }

    /// Exchange's 432 and 4.3.2, and what says so in words.
    fn wants_less(self) -> bool {
        let says_so = self.code == 432 || (self.code != 421 && self.enhanced == [4, 3, 2]);
        self.code / 100 == 4 && (says_so || (self.too_many && self.enhanced[..2] != [4, 2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(stage: Stage, code: u16, enhanced: [u8; 3], text: &str) -> Fault {
        let reply = Response { code, esc: enhanced, message: text.to_owned() };
        Fault::reply(stage, &reply)
    }

    #[test]
    fn the_stage_decides_what_an_error_means() {
        let all = [Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::Starttls, Stage::Tls, Stage::Auth, Stage::Mail];
        for stage in all {
            for code in [421, 450, 530, 535, 550, 554] {
                assert_eq!(refused(stage, code, [0; 3], "").verdict(), Verdict::Relay, "{stage:?} {code}");
            }
            assert_eq!(Fault::new(stage, What::Timeout).verdict(), Verdict::Relay);
        }
        for stage in [Stage::Rcpt, Stage::Data, Stage::Dot] {
            assert_eq!(refused(stage, 550, [5, 1, 1], "").verdict(), Verdict::Never, "{stage:?}");
            assert_eq!(refused(stage, 451, [4, 7, 1], "greylisted").verdict(), Verdict::Later, "{stage:?}");
            assert_eq!(refused(stage, 554, [5, 2, 2], "full").verdict(), Verdict::Later, "{stage:?}");
            assert_eq!(refused(stage, 432, [4, 3, 2], "").verdict(), Verdict::Slower, "{stage:?}");
            assert_eq!(refused(stage, 451, [4, 7, 0], "Too many mails").verdict(), Verdict::Slower, "{stage:?}");
        }
        assert_eq!(refused(Stage::Rcpt, 552, [0; 3], "").verdict(), Verdict::Later);
        assert_eq!(refused(Stage::Dot, 552, [5, 3, 4], "too big").verdict(), Verdict::Never);
        for what in [What::Timeout, What::Closed, What::Garbage, What::Failed("reset".into())] {
            assert_eq!(Fault::new(Stage::Dot, what.clone()).verdict(), Verdict::Unknown, "never taken for sent");
            assert_eq!(Fault::new(Stage::Data, what).verdict(), Verdict::Later, "certainly not sent");
        }
    }

    #[test]
    fn a_reason_holds_nothing_that_the_server_wrote() {
        let fault = refused(Stage::Rcpt, 550, [5, 1, 1], "<ada@example.com>: unknown");
        assert_eq!(fault.reason(), "rcpt: 550 5.1.1");
        assert!(!fault.to_string().contains("ada"));
    }
}
