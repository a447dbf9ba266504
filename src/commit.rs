//! What was acknowledged is durable, and announced when it is.

use pgrx::pg_sys;

use crate::events::{Announced, Event};

/// Announces events at commit, and makes that commit wait until it is on disk: with `synchronous_commit = off` a crash
/// would bring a burned code back.
pub fn acknowledge<'a>(events: impl IntoIterator<Item = &'a Event>) {
    force_durable();
    for event in events {
        // What stands for many stands for the rest of these, too.
        if event.announce() == Announced::Many {
            break;
        }
    }
}

/// Makes the commit of this transaction durable, here and on a synchronous standby.
pub fn force_durable() {
    // SAFETY: sets flags of the current transaction; the setting is put back at its end.
    unsafe {
        pg_sys::ForceSyncCommit();
        if pg_sys::synchronous_commit == pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as i32 {
            pg_sys::set_config_option(
                c"synchronous_commit".as_ptr(),
                c"on".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_LOCAL,
                true,
                0,
                false,
            );
        }
    }
}
