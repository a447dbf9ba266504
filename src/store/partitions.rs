//! The partitions of a users table.

use pgrx::pg_sys::Oid;

use super::statement::{Statement, statement};
use crate::pg::error::Result;

statement! {
    FindLeaves: Everything, Fresh
    (table: Oid)
    ["SELECT "]
    => Leaf { relation: Oid = "relid::oid" }
    [" FROM pg_partition_tree($table::regclass) WHERE isleaf"]
}

/// The partitions that hold the rows of a partitioned table.
pub fn leaves(table: Oid) -> Result<Vec<Oid>> {
    FindLeaves { table }.rows().map(|row| row.map(|row| row.relation)).collect()
}
