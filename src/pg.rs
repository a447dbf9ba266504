//! The border to PostgreSQL: arguments and results, errors, settings, encodings, time.

pub mod call;
pub mod clock;
pub mod encoding;
pub mod error;
pub mod setting;
