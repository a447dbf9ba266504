//! The tables: every statement on them stands beside the function that runs it, and nothing else talks to SPI but doctor.
//!
//! Invariant: a statement is about one user and probes indexes led by user_id, unless it says otherwise
//! ([`About`](statement::About)); tests hold every text against that.
//!
//! Whoever writes takes the account row first, in a statement of its own: what is decided is read under that lock. Statements
//! write one table each where it matters: a statement of several modifying CTEs starts slower than they do one by one, and
//! is one more thing that a distributed database has to understand.

mod array;
mod attempts;
mod burned;
mod event;
pub mod facts;
mod forget;
mod maintenance;
mod mark;
mod moved;
mod outbox;
mod partitions;
mod pending;
mod planner;
mod removal;
mod rename;
mod sets;
mod shown;
pub mod statement;
mod transit;
mod unlock;
pub mod value;

pub use attempts::{
    Account, account, burn, count_consumed, count_failure, count_nobodys_failure, hold, is_there, tell_locked,
};
pub use facts::Facts;
pub use forget::{forget, forget_unless};
pub use maintenance::{keys_in_use, purge, revoke_all};
pub use moved::{KeyColumn, in_partitioned_table};
#[cfg(any(test, feature = "pg_test"))]
pub use outbox::claim_in_two_steps;
pub use outbox::{Lease, acknowledge, backlog, claim, extend, park, release, unpark, waiting};
pub use partitions::leaves;
pub use pending::{cancel, confirm, count_proof, pending, take};
#[cfg(any(test, feature = "pg_test"))]
pub use planner::SETTINGS as PLANNER_SETTINGS;
pub use removal::{disable, remove_active};
pub use rename::{rename, require_vacant};
pub use sets::{CodeSet, NewSet, prepare, replace, replace_many};
pub use shown::{remaining, status};
pub use statement::connected;
pub use transit::{arrived_since, destination, note_departure};
pub use unlock::unlock;
