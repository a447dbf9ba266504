//! The mailer against a real database and a mail server that does as it is told.

mod database;
mod delivery;
mod endurance;
mod folding;
mod operator;
mod process;
mod recipients;
mod relay;
mod support;
