//! The trigger function of forget_user: what happens to rows of the application's users table happens to codes.
//!
//! An update that leaves the key as it is returns before anything of ours is touched.

use std::ffi::CStr;

use pgrx::direct_function_call;
use pgrx::pg_sys::{self, CommandId, HeapTuple, TupleDesc};
use pgrx::trigger_support::{
    called_as_trigger, trigger_fired_after, trigger_fired_before, trigger_fired_by_delete, trigger_fired_by_truncate,
    trigger_fired_by_update, trigger_fired_for_row, trigger_fired_for_statement,
};

use super::truncate::truncated;
use crate::announce;
use crate::pg::call::Call;
use crate::pg::encoding;
use crate::pg::error::{Error, Result};
use crate::store::{self, KeyColumn};
use crate::user_id::{Part, UserId};

/// `backup_codes_forget_user('id'[, 'col', …])`. Raises 0A000, 22023, 23505, 39P01, 42703, 42804. A key that is NULL or no user id
/// has no codes, and never blocks the statement.
pub fn forget_user(call: &Call) -> Result<pg_sys::Datum> {
    // SAFETY: only the flag of the context node is read before it is known to be a trigger's.
    let trigger = unsafe {
        if !called_as_trigger(call.fcinfo()) {
            return Err(Error::TriggerProtocol);
        }
        &*(*call.fcinfo()).context.cast::<pg_sys::TriggerData>()
    };
    // SAFETY: PostgreSQL fills the trigger's description.
    let deferrable = unsafe { (*trigger.tg_trigger).tgdeferrable };
    let event = trigger.tg_event;
    let after_row = trigger_fired_after(event) && trigger_fired_for_row(event) && !deferrable;
    if after_row && trigger_fired_by_delete(event) {
        deleted(trigger)?;
    } else if after_row && trigger_fired_by_update(event) {
        updated(trigger)?;
    } else if trigger_fired_before(event) && trigger_fired_for_statement(event) && trigger_fired_by_truncate(event) {
        truncated(trigger)?;
    } else {
        return Err(Error::TriggerProtocol);
    }
    Ok(pg_sys::Datum::null())
}

/// The columns of a key in the rows of a table.
pub(super) struct Columns<'a> {
    descriptor: TupleDesc,
    columns: Vec<(&'a CStr, i32, Part)>,
}

impl<'a> Columns<'a> {
    /// Those that the trigger names, in that table or a partition of it. All are looked at, also where a key ends with the first
    /// NULL: a wrong trigger fails at its first row.
    pub(super) fn find(trigger: &'a pg_sys::TriggerData, relation: pg_sys::Relation) -> Result<Self> {
        // SAFETY: the relation is open; the trigger's arguments are NUL-terminated strings.
        let (names, descriptor) = unsafe {
            if (*(*relation).rd_rel).relam != pg_sys::HEAP_TABLE_AM_OID {
                return Err(Error::TriggerTable);
            }
            let description = &*trigger.tg_trigger;
            let names = (0..description.tgnargs as usize).map(|index| CStr::from_ptr(*description.tgargs.add(index)));
            (names, (*relation).rd_att)
        };
        let columns = names.map(|name| {
            // SAFETY: the descriptor is that of the table, and the number that of one of its columns.
            unsafe {
                let number = pg_sys::SPI_fnumber(descriptor, name.as_ptr());
                if number <= 0 {
                    return Err(Error::TriggerColumn(shown(name)));
                }
                let part = Part::of(pg_sys::SPI_gettypeid(descriptor, number));
                part.map(|part| (name, number, part)).ok_or_else(|| Error::TriggerColumnType(shown(name)))
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Err(Error::TriggerNoColumn);
        }
        Ok(Self { descriptor, columns })
    }

    fn values(&self, row: HeapTuple) -> impl Iterator<Item = Option<KeyColumn<'a>>> {
        self.columns.iter().map(move |&(name, number, part)| {
            let mut null = false;
            // SAFETY: the row is one of the table, and the number that of one of its columns.
            let value = unsafe { pg_sys::SPI_getbinval(row, self.descriptor, number, &raw mut null) };
            (!null).then_some(KeyColumn { name, part, value })
        })
    }

    /// The user of a row; None when a column is NULL, or the whole no user id.
    pub(super) fn user(&self, row: HeapTuple) -> Option<UserId> {
        let parts = self.values(row).map(|column| column.and_then(|column| column.part.read(column.value)));
        UserId::of_parts(parts.collect::<Option<_>>()?)
    }
}

/// The name as a message can hold it.
fn shown(name: &CStr) -> String {
    let bytes = name.to_bytes().to_vec();
    encoding::to_utf8(&bytes).unwrap_or_else(|| name.to_string_lossy().into_owned())
}

/// The command that the row was deleted or changed by.
fn left_by(row: HeapTuple) -> CommandId {
    // SAFETY: the row is that of a heap, and was deleted or replaced by this transaction.
    unsafe { pg_sys::HeapTupleHeaderGetCmax((*row).t_data) }
}

/// Whether the row was not deleted, but moved to another partition by an UPDATE: the heap has marked it so.
fn moved(row: HeapTuple) -> bool {
    // SAFETY: the row is that of a heap.
    let next = unsafe { (*(*row).t_data).t_ctid };
    let block = (u32::from(next.ip_blkid.bi_hi) << 16) | u32::from(next.ip_blkid.bi_lo);
    block == pg_sys::InvalidBlockNumber && u32::from(next.ip_posid) == pg_sys::MovedPartitionsOffsetNumber
}

/// Whether another trigger has caused this one to fire. What happened before it did may not have been heard of yet.
fn nested() -> bool {
    // SAFETY: reads a variable of the backend.
    let depth = unsafe { direct_function_call::<i32>(pg_sys::pg_trigger_depth, &[]) };
    depth.is_some_and(|depth| depth > 1)
}

fn deleted(trigger: &pg_sys::TriggerData) -> Result<()> {
    let (relation, row) = (trigger.tg_relation, trigger.tg_trigtuple);
    let columns = Columns::find(trigger, relation)?;
    let Some(user_id) = columns.user(row) else { return Ok(()) };
    let left = left_by(row);
    if nested() && !moved(row) {
        store::note_departure(&user_id, left, None);
    }
    if store::arrived_since(&user_id, left) {
        return Ok(());
    }
    let still_there = || {
        let key: Vec<_> = columns.values(row).flatten().collect();
        // SAFETY: the relation is open.
        store::in_partitioned_table(unsafe { (*relation).rd_id }, &key)
    };
    store::connected(
        || if moved(row) { store::forget_unless(&user_id, still_there) } else { store::forget(&user_id) },
    )?;
    announce::force_durable();
    Ok(())
}

fn updated(trigger: &pg_sys::TriggerData) -> Result<()> {
    let row = trigger.tg_trigtuple;
    let columns = Columns::find(trigger, trigger.tg_relation)?;
    let Some(old_id) = columns.user(row) else { return Ok(()) };
    let new_id = columns.user(trigger.tg_newtuple);
    if new_id.as_ref().is_some_and(|new_id| new_id.stored == old_id.stored) {
        return Ok(());
    }
    let left = left_by(row);
    if nested() {
        store::note_departure(&old_id, left, new_id.clone());
    }
    let new_id = new_id.and_then(|new_id| store::destination(new_id, left));
    match (store::arrived_since(&old_id, left), new_id) {
        (false, Some(new_id)) => {
            super::rename(&old_id, &new_id)?;
        }
        (false, None) => {
            store::connected(|| store::forget(&old_id))?;
            announce::force_durable();
        }
        // What is at the old key is another row's by now; this one had nothing.
        (true, Some(new_id)) => {
            store::connected(|| store::require_vacant(&new_id))?;
            announce::force_durable();
        }
        (true, None) => {}
    }
    Ok(())
}
