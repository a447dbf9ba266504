//! The SQL functions, a file for each verb: arguments are read and checked here, and results made.

pub mod attempt;
pub mod confirm;
pub mod disable;
pub mod generate;
pub mod mailer;
pub mod operator;
pub mod status;
pub mod unlock;
pub mod user;
