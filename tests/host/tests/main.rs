//! The promises that take more than one session to keep. A topic is a file.

mod bulk;
mod crash;
mod dump_restore;
mod encodings;
mod leaks;
mod log;
mod notify;
mod pooling;
mod preload;
mod race;
mod standby;
mod two_phase;
