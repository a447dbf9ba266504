//! Which keys users came to and left in this transaction, and when.
//!
//! The rows of a statement change before the first of its triggers fires, and triggers of others can change them again before ours
//! does. Where one statement renames 1 to 2 and 2 to 3, the codes of 1 are at 2 when the trigger for 2 fires, and must not go on to 3:
//! what came to a key after a row had left it was never that row's. And where another trigger has renamed 2 to 3 before ours
//! hears that 1 became 2, the codes of 1 must go to 3.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys::{self, CommandId, TransactionId};

use crate::user_id::UserId;

/// When something happened in a transaction.
#[derive(Clone, Copy)]
struct Moment {
    subtransaction: TransactionId,
    command: CommandId,
}

impl Moment {
    /// Of what was just written by that command.
    fn new(command: CommandId) -> Self {
        // SAFETY: a transaction is under way.
        Self { subtransaction: unsafe { pg_sys::GetCurrentTransactionId() }, command }
    }

    /// Whether it was after that command. What a savepoint has rolled back did not happen.
    fn is_after(&self, command: CommandId) -> bool {
        // SAFETY: looks at the state of this transaction.
        self.command > command && unsafe { pg_sys::TransactionIdIsCurrentTransactionId(self.subtransaction) }
    }
}

/// What happened in one transaction, by key.
#[derive(Default)]
struct Transit {
    transaction: TransactionId,
    arrivals: HashMap<Vec<u8>, Moment>,
    departures: HashMap<Vec<u8>, Vec<(Moment, Option<UserId>)>>,
}

thread_local! {
    static TRANSIT: RefCell<Transit> = RefCell::default();
}

/// That of this transaction.
fn transit<T>(body: impl FnOnce(&mut Transit) -> T) -> T {
    TRANSIT.with_borrow_mut(|transit| {
        // SAFETY: a transaction is under way.
        let transaction = unsafe { pg_sys::GetTopTransactionIdIfAny() };
        if transit.transaction != transaction {
            *transit = Transit { transaction, ..Transit::default() };
        }
        body(transit)
    })
}

/// Notes that everything of a user has come to this key. To be called after it was written.
pub(super) fn note_arrival(user_id: &UserId) {
    // SAFETY: a transaction is under way.
    let moment = Moment::new(unsafe { pg_sys::GetCurrentCommandId(false) });
    transit(|transit| transit.arrivals.insert(user_id.stored.clone(), moment));
}

/// Whether what there is at a key came there after that command of this transaction.
pub fn arrived_since(user_id: &UserId, command: CommandId) -> bool {
    transit(|transit| transit.arrivals.get(&user_id.stored).is_some_and(|moment| moment.is_after(command)))
}

/// Notes that a row has left a key by that command, for another one or for good.
pub fn note_departure(old_id: &UserId, command: CommandId, new_id: Option<UserId>) {
    let moment = Moment::new(command);
    transit(|transit| transit.departures.entry(old_id.stored.clone()).or_default().push((moment, new_id)));
}

/// Where a row is by now that came to a key by that command; None when it is gone.
pub fn destination(mut user_id: UserId, mut command: CommandId) -> Option<UserId> {
    transit(|transit| {
        while let Some((moment, next)) = transit.departures.get(&user_id.stored).and_then(|departures| {
            let later = departures.iter().filter(|(moment, _)| moment.is_after(command));
            later.min_by_key(|(moment, _)| moment.command)
        }) {
            command = moment.command;
            user_id = next.clone()?;
        }
        Some(user_id)
    })
}
