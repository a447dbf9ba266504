//! The promises that take more than one session to keep. A topic is a file.

mod argon2;
mod bulk;
mod crash;
mod delivery;
mod doctor;
mod dump_restore;
mod encodings;
mod hostile;
mod keys;
mod leaks;
mod log;
mod maintenance;
mod make_key;
mod notify;
mod partition;
mod pooling;
mod preload;
mod properties;
mod race;
mod standby;
mod statements;
mod throttle;
mod throttle_memory;
mod throttle_random;
mod two_phase;
