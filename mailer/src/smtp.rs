//! The dialogue with the mail server. What an error means is decided by the stage it comes in.

pub mod connection;
pub mod fault;
pub mod relay;
pub mod replies;
