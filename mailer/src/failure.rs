//! Why the program ends: one clear line for the operator, and an exit code for whatever started it.

use std::fmt;

/// What kind of failure it is. The numbers are those of BSD's sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The command line is wrong.
    Usage = 64,
    /// The database or the mail server cannot be reached.
    Unavailable = 69,
    /// A fault of this program.
    Bug = 70,
    /// `--once` left something for later.
    Later = 75,
    /// A login or a privilege was refused, or a secret cannot be read.
    Rights = 77,
    /// The configuration, a template or the query for recipients is wrong.
    Configuration = 78,
}

/// A failure that ends the program, or that a running one reports and lives with.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub class: Class,
    /// What is wrong and what to do about it, in one line and without a secret.
    pub message: String,
}

impl Failure {
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Class::Configuration, message)
    }

    pub fn rights(message: impl Into<String>) -> Self {
        Self::new(Class::Rights, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Class::Unavailable, message)
    }

    /// The same failure, with what was being done in front.
    pub fn during(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with everything that caused it, since many of them say only at the end of the chain what happened.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
