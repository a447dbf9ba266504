//! Which keys got codes by a rename in this transaction, and when.
//!
//! The rows of a statement change before the first of its triggers fires. Where one statement renames 1 to 2 and 2 to 3, the codes
//! of 1 are at 2 when the trigger for 2 fires, and must not go on to 3: what came to a key after a row had left it was never that
//! row's.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys::{self, CommandId, TransactionId};

use crate::user_id::UserId;

/// The arrivals of one transaction.
struct Arrivals {
    transaction: TransactionId,
    /// By key: the subtransaction and the command.
    by_key: HashMap<Vec<u8>, (TransactionId, CommandId)>,
}

thread_local! {
    static ARRIVALS: RefCell<Option<Arrivals>> = const { RefCell::new(None) };
}

/// Notes that everything of a user has come to this key. To be called after it was written.
pub fn note(user_id: &UserId) {
    // SAFETY: a transaction is under way, and has written.
    let (transaction, subtransaction, command) = unsafe {
        (pg_sys::GetTopTransactionId(), pg_sys::GetCurrentTransactionId(), pg_sys::GetCurrentCommandId(false))
    };
    ARRIVALS.with_borrow_mut(|arrivals| {
        let known = arrivals.take().filter(|arrivals| arrivals.transaction == transaction);
        let known = arrivals.insert(known.unwrap_or_else(|| Arrivals { transaction, by_key: HashMap::new() }));
        known.by_key.insert(user_id.stored.clone(), (subtransaction, command));
    });
}

/// Whether what there is at a key came there after that command of this transaction.
pub fn arrived_since(user_id: &UserId, command: CommandId) -> bool {
    // SAFETY: a transaction is under way.
    let transaction = unsafe { pg_sys::GetTopTransactionIdIfAny() };
    ARRIVALS.with_borrow(|arrivals| {
        let arrivals = arrivals.as_ref().filter(|arrivals| arrivals.transaction == transaction);
        arrivals.and_then(|arrivals| arrivals.by_key.get(&user_id.stored)).is_some_and(|(subtransaction, arrived)| {
            // SAFETY: looks at the state of this transaction. What a savepoint has rolled back did not happen.
            *arrived > command && unsafe { pg_sys::TransactionIdIsCurrentTransactionId(*subtransaction) }
        })
    })
}
