//! What is freed when a transaction commits. Nothing is settled here: by the time these callbacks run, others may have read the
//! row and changed it, and a prepared transaction has none. A note that is lost costs an entry for a lockout.

use std::cell::RefCell;
use std::ffi::c_void;

use backup_codes_core::throttle::{Note, Notes};
use pgrx::{pg_guard, pg_sys};

use super::memory::Memory;

thread_local! {
    static NOTES: RefCell<Notes> = const { RefCell::new(Notes::new()) };
}

/// Keeps what may be freed when the transaction, or what of it stays, commits.
pub fn note(note: Note) {
    // SAFETY: reads the state of the transaction.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    NOTES.with_borrow_mut(|notes| notes.add(note, level));
}

/// Begins to look at the ends of transactions and savepoints.
pub fn register() {
    // SAFETY: the callbacks live as long as the backend, raise nothing and allocate nothing.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_end_of_savepoint), std::ptr::null_mut());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    NOTES.with_borrow_mut(|notes| {
        if notes.is_empty() {
            return;
        }
        match event {
            pg_sys::XactEvent::XACT_EVENT_COMMIT => {
                if let Some(memory) = Memory::known() {
                    memory.change(|table| notes.take().for_each(|note| table.release(&note)));
                }
            }
            pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => notes.take().for_each(drop),
            _ => {}
        }
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end_of_savepoint(
    event: pg_sys::SubXactEvent::Type,
    _savepoint: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    NOTES.with_borrow_mut(|notes| {
        if notes.is_empty() {
            return;
        }
        // SAFETY: reads the state of the transaction.
        let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
        match event {
            pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => notes.release_savepoint(level),
            pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => notes.roll_back_savepoint(level),
            _ => {}
        }
    });
}
