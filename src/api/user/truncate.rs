//! TRUNCATE of a users table: every user in it is forgotten, before the rows are gone.

use pgrx::check_for_interrupts;
use pgrx::pg_sys::{self, Relation};

use super::trigger::Columns;
use crate::announce;
use crate::pg::error::Result;
use crate::store;
use crate::user_id::UserId;

/// Forgets the users of the table and of its partitions, in the order of user_id, in which rows are locked.
pub fn truncated(trigger: &pg_sys::TriggerData) -> Result<()> {
    let mut users = Vec::new();
    // SAFETY: the relation is open and locked, as its partitions are.
    unsafe {
        if (*(*trigger.tg_relation).rd_rel).relkind == pg_sys::RELKIND_PARTITIONED_TABLE as i8 {
            for leaf in store::connected(|| store::leaves((*trigger.tg_relation).rd_id))? {
                let leaf_relation = pg_sys::table_open(leaf, pg_sys::NoLock as i32);
                read(trigger, leaf_relation, &mut users)?;
                pg_sys::table_close(leaf_relation, pg_sys::NoLock as i32);
            }
        } else {
            read(trigger, trigger.tg_relation, &mut users)?;
        }
    }
    users.sort_unstable_by(|a, b| a.stored.cmp(&b.stored));
    store::connected(|| {
        users.iter().try_for_each(|user_id| {
            check_for_interrupts!();
            store::forget(user_id).map(drop)
        })
    })?;
    announce::force_durable();
    Ok(())
}

/// Reads the users of a table: all that a TRUNCATE removes, also rows that were committed after this transaction's snapshot.
///
/// # Safety
/// The relation is open, and locked so that nobody changes it.
unsafe fn read(trigger: &pg_sys::TriggerData, relation: Relation, users: &mut Vec<UserId>) -> Result<()> {
    let columns = Columns::find(trigger, relation)?;
    // SAFETY: the relation is a heap, which was looked at; begin and end are balanced, and on an error PostgreSQL cleans up.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let flags = pg_sys::ScanOptions::SO_TYPE_SEQSCAN
            | pg_sys::ScanOptions::SO_ALLOW_STRAT
            | pg_sys::ScanOptions::SO_ALLOW_SYNC
            | pg_sys::ScanOptions::SO_ALLOW_PAGEMODE;
        let (no_keys, not_parallel) = (std::ptr::null_mut(), std::ptr::null_mut());
        let scan = pg_sys::heap_beginscan(relation, snapshot, 0, no_keys, not_parallel, flags);
        loop {
            let row = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if row.is_null() {
                break;
            }
            users.extend(columns.user(row));
        }
        pg_sys::heap_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
    }
    Ok(())
}
