//! Kept plans over SPI: prepared once in a backend, generic, and without sequential scans but where they are meant.
//!
//! A plan made while the tables were still empty would else stay a sequential scan for the life of the session. The plan
//! cache plans again when it sees fit, so sequential scans are off while such a
//! statement runs, not only the first time.

use std::cell::Cell;
use std::marker::PhantomData;

use pgrx::{FromDatum, PgOid, pg_sys};

use crate::pg::call::text_bytes;

/// A statement and its plan.
pub struct Statement {
    /// The text, with parameters $1, $2, …
    pub text: &'static str,
    types: &'static [pg_sys::BuiltinOid],
    may_scan: bool,
    plan: Cell<pg_sys::SPIPlanPtr>,
}

// SAFETY: a backend has one thread.
unsafe impl Sync for Statement {}

/// Whether a statement sees what this transaction did before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// A new snapshot, for writers.
    Fresh,
    /// The one of the calling statement, for STABLE functions.
    Callers,
}

impl Statement {
    /// A statement that probes indexes, with the types of its parameters.
    pub const fn new(text: &'static str, types: &'static [pg_sys::BuiltinOid]) -> Self {
        Self { text, types, may_scan: false, plan: Cell::new(std::ptr::null_mut()) }
    }

    /// A statement that looks through whole tables, with the types of its parameters.
    pub const fn scanning(text: &'static str, types: &'static [pg_sys::BuiltinOid]) -> Self {
        Self { text, types, may_scan: true, plan: Cell::new(std::ptr::null_mut()) }
    }

    /// Names of the parameters' types, to prepare the statement by hand.
    #[cfg(any(test, feature = "pg_test"))]
    pub fn type_oids(&self) -> Vec<pg_sys::Oid> {
        self.types.iter().map(|t| PgOid::BuiltIn(*t).value()).collect()
    }

    /// How often a plan was made for the parameters of one call.
    #[cfg(any(test, feature = "pg_test"))]
    pub fn custom_plans(&self) -> i64 {
        // SAFETY: the plan is kept, and consists of one statement.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan.get());
            let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
            (*source).num_custom_plans
        }
    }

    /// Runs the statement within [`connected`].
    pub fn execute<const N: usize>(&self, snapshot: Snapshot, parameters: [Option<pg_sys::Datum>; N]) -> Rows {
        debug_assert_eq!(N, self.types.len());
        let _planner = Planner::restrict(self.may_scan);
        let nulls = parameters.map(|p| if p.is_some() { b' ' } else { b'n' });
        let mut values = parameters.map(|p| p.unwrap_or(pg_sys::Datum::null()));
        // SAFETY: SPI is connected, and there is a value for every parameter; SPI's own errors are PostgreSQL errors, and
        // a plan of one INSERT, UPDATE, DELETE or SELECT has no other way to fail.
        unsafe {
            if self.plan.get().is_null() {
                self.prepare();
            }
            pg_sys::SPI_execute_plan(
                self.plan.get(),
                values.as_mut_ptr(),
                nulls.as_ptr().cast(),
                snapshot == Snapshot::Callers,
                0,
            );
            Rows { table: pg_sys::SPI_tuptable, count: pg_sys::SPI_processed as usize }
        }
    }

    /// # Safety
    /// SPI is connected.
    unsafe fn prepare(&self) {
        let mut types: Vec<_> = self.types.iter().map(|t| PgOid::BuiltIn(*t).value()).collect();
        let text = std::ffi::CString::new(self.text).unwrap_or_default();
        // SAFETY: the text and the types outlive the call; the kept plan lives as long as the backend.
        unsafe {
            let plan = pg_sys::SPI_prepare_cursor(
                text.as_ptr(),
                types.len() as i32,
                types.as_mut_ptr(),
                if citus() { 0 } else { pg_sys::CURSOR_OPT_GENERIC_PLAN as i32 },
            );
            pg_sys::SPI_keepplan(plan);
            self.plan.set(plan);
        }
    }
}

/// Whether Citus is loaded. A generic plan of anything but the simplest statement on a distributed table fails there, and
/// where it may, Citus sees to it that plans are made for the parameters.
fn citus() -> bool {
    // SAFETY: reads a setting, which need not exist.
    unsafe { !pg_sys::GetConfigOption(c"citus.version".as_ptr(), true, false).is_null() }
}

/// Runs `body` with SPI connected. What SPI allocates is freed at the end, so nothing of it may be returned.
pub fn connected<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: connect and finish are balanced; on an error PostgreSQL cleans up by itself.
    unsafe {
        pg_sys::SPI_connect();
        let result = body();
        pg_sys::SPI_finish();
        result
    }
}

/// What the planner may not do while it lives. The variables are set directly, which leaves no trace in pg_settings and costs
/// nothing, and put back in drop, on an error as well.
struct Planner {
    seqscan: bool,
    hashjoin: bool,
    mergejoin: bool,
    jit: bool,
}

impl Planner {
    /// No compiling, which takes longer than any of our statements runs; and whole tables are looked through only where that is
    /// meant, be it for a sequential scan or for a join: a generic plan takes a LIMIT for a tenth of the table.
    fn restrict(may_scan: bool) -> Self {
        // SAFETY: variables of this backend, which has one thread.
        unsafe {
            let before = Self {
                seqscan: pg_sys::enable_seqscan,
                hashjoin: pg_sys::enable_hashjoin,
                mergejoin: pg_sys::enable_mergejoin,
                jit: pg_sys::jit_enabled,
            };
            pg_sys::enable_seqscan &= may_scan;
            pg_sys::enable_hashjoin &= may_scan;
            pg_sys::enable_mergejoin &= may_scan;
            pg_sys::jit_enabled = false;
            before
        }
    }
}

impl Drop for Planner {
    fn drop(&mut self) {
        // SAFETY: as in restrict.
        unsafe {
            pg_sys::enable_seqscan = self.seqscan;
            pg_sys::enable_hashjoin = self.hashjoin;
            pg_sys::enable_mergejoin = self.mergejoin;
            pg_sys::jit_enabled = self.jit;
        }
    }
}

/// What a statement returned.
pub struct Rows {
    table: *mut pg_sys::SPITupleTable,
    count: usize,
}

impl Rows {
    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.count).map(|index| Row::read(self, index))
    }

    /// How many rows were returned, or changed by a statement that returns none.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The only row, if there is one.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

/// A row of a result, taken apart once. Columns count from 1.
pub struct Row<'a> {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    rows: PhantomData<&'a Rows>,
}

impl<'a> Row<'a> {
    fn read(rows: &'a Rows, index: usize) -> Self {
        // SAFETY: the row is within the table, which lives until SPI_finish; there is room for every column.
        unsafe {
            let table = &*rows.table;
            let width = (*table.tupdesc).natts as usize;
            let (mut values, mut nulls) = (vec![pg_sys::Datum::null(); width], vec![false; width]);
            let tuple = *table.vals.add(index);
            pg_sys::heap_deform_tuple(tuple, table.tupdesc, values.as_mut_ptr(), nulls.as_mut_ptr());
            Self { values, nulls, rows: PhantomData }
        }
    }

    /// A column as it is.
    pub fn datum(&self, column: usize) -> Option<pg_sys::Datum> {
        let index = column - 1;
        (!self.nulls[index]).then(|| self.values[index])
    }

    /// A column of a pass-by-value type.
    pub fn get<T: FromDatum>(&self, column: usize) -> Option<T> {
        // SAFETY: T is the column's type in the statement.
        unsafe { T::from_datum(self.datum(column)?, false) }
    }

    /// A column of PostgreSQL's type "char".
    pub fn letter(&self, column: usize) -> Option<u8> {
        self.get::<i8>(column).map(|letter| letter as u8)
    }

    /// A text or bytea column.
    pub fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        text_bytes(self.datum(column)?, usize::MAX)
    }
}
