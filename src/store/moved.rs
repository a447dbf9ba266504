//! Whether a user whose row has left a partition is still in the table: the one look at a table of the application's.
//!
//! It must not run with the rights of the extension's owner: the planner evaluates functions of CHECK constraints, which are the
//! application's. As foreign keys do it, it runs with the rights of the table's owner, who could run them anyway.

use std::ffi::{CStr, CString};

use pgrx::pg_sys::{self, Oid};
use pgrx::{IntoDatum, direct_function_call};

use crate::user_id::Part;

/// A column of a key in the row that has left.
pub struct KeyColumn<'a> {
    /// Its name, which is the same in every partition.
    pub name: &'a CStr,
    /// What its values are read as.
    pub part: Part,
    /// Its value, which is not NULL.
    pub value: pg_sys::Datum,
}

/// Whether a row with this key is in the partitioned table that a partition belongs to, as the next statement would see it. To be
/// called while SPI is connected.
pub fn in_partitioned_table(partition: Oid, key: &[KeyColumn]) -> bool {
    // SAFETY: the partition is open, so it and its root exist.
    let Some(root) = (unsafe { direct_function_call::<Oid>(pg_sys::pg_partition_root, &[partition.into_datum()]) })
    else {
        return false;
    };
    // SAFETY: the root is locked until the end of the transaction; the query and its values outlive the call. Should it fail,
    // PostgreSQL puts the user back when it rolls back.
    unsafe {
        let relation = pg_sys::table_open(root, pg_sys::AccessShareLock as i32);
        let owner = (*(*relation).rd_rel).relowner;
        let query = query(&*(*relation).rd_rel, key);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        let mut types: Vec<Oid> = key.iter().map(|column| column.part.built_in().value()).collect();
        let mut values: Vec<pg_sys::Datum> = key.iter().map(|column| column.value).collect();

        // Code of the owner's may change a setting, such as search_path: what runs after it here runs with greater rights.
        let settings = pg_sys::NewGUCNestLevel();
        let (mut user, mut context) = (Oid::INVALID, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let restricted =
            pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION | pg_sys::SECURITY_NOFORCE_RLS;
        pg_sys::SetUserIdAndSecContext(owner, context | restricted as i32);
        pg_sys::SPI_execute_with_args(
            query.as_ptr(),
            key.len() as i32,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            false,
            1,
        );
        let found = pg_sys::SPI_processed > 0;
        pg_sys::AtEOXact_GUC(false, settings);
        pg_sys::SetUserIdAndSecContext(user, context);
        found
    }
}

/// Looks for the key. Names are quoted, and operators are PostgreSQL's own.
///
/// # Safety
/// The class is that of an open relation, and its schema exists.
unsafe fn query(class: &pg_sys::FormData_pg_class, key: &[KeyColumn]) -> CString {
    // SAFETY: the names are NUL-terminated, and what PostgreSQL makes of them lives in the current memory context.
    let quoted = |name: &CStr| unsafe { CStr::from_ptr(pg_sys::quote_identifier(name.as_ptr())).to_bytes().to_vec() };
    // SAFETY: as above.
    let table = unsafe {
        let schema = pg_sys::get_namespace_name(class.relnamespace);
        let name = pg_sys::quote_qualified_identifier(schema, class.relname.data.as_ptr());
        CStr::from_ptr(name).to_bytes()
    };
    let mut query = [b"SELECT FROM ", table, b" AS u WHERE "].concat();
    for (index, KeyColumn { name, part, .. }) in key.iter().enumerate() {
        let column = [&b"u."[..], &quoted(name)].concat();
        let parameter = format!("${}", index + 1).into_bytes();
        if index > 0 {
            query.extend(b" AND ");
        }
        match part {
            Part::Smallint | Part::Integer | Part::Bigint | Part::Uuid => {
                query.extend([&column[..], b" OPERATOR(pg_catalog.=) ", &parameter].concat());
            }
            // What is equal in the column's own collation, for which there may be an index, need not be the same bytes.
            Part::Character | Part::Text => {
                let text = [&column[..], b"::pg_catalog.text"].concat();
                let indexed = if *part == Part::Text { &text } else { &column };
                query.extend([indexed, &b" OPERATOR(pg_catalog.=) "[..], &parameter, b" AND "].concat());
                query.extend([&text[..], b" COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) "].concat());
                query.extend([&parameter[..], b"::pg_catalog.text"].concat());
            }
        }
    }
    CString::new(query).unwrap_or_default()
}
