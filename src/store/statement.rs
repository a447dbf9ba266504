//! Statements with names: a struct of named, typed parameters, the text, and a struct of named, typed columns.
//!
//! ```text
//! statement! {
//!     /// What it is for.
//!     FindCode<'a>: User, Fresh
//!     (user_id: &'a UserId, set_no: i32, code_hash: CodeHash)
//!     ["SELECT "]
//!     => FoundCode { ordinal: i16, place: Place = "ctid" }
//!     [" FROM backup_codes.code WHERE user_id = $user_id AND code_hash = $code_hash AND set_no = $set_no"]
//! }
//! let code = FindCode { user_id, set_no, code_hash }.first()?;
//! ```
//!
//! A parameter that is missing, surplus or of the wrong type does not compile, nor does a name in the text that is no parameter,
//! or a parameter that the text does not name. The list of columns in the text is made of the struct, so that they cannot differ;
//! a test compares their types with what PostgreSQL says. Every statement enters itself into the list that the tests read.
//!
//! Plans are kept: prepared once in a backend, and generic (see [`planner`](super::planner)).

use std::cell::Cell;
use std::ffi::{CString, c_char};
use std::marker::PhantomData;

use pgrx::pg_sys::{self, BuiltinOid};

use super::planner::Planner;
use super::value::{Column, Parameter};
use crate::pg::error::{Error, Result};

/// The most parameters, and the most columns, that a statement has.
const MAX_VALUES: usize = 32;

/// What a statement is about, which decides how it may look at tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// One user, `$user_id`: it probes indexes led by user_id, or goes to a row that was found so.
    User,
    /// Users that are named: probes as well.
    Users,
    /// What waits to be delivered: it begins at the index of what waits.
    Outbox,
    /// Whole tables, or the catalogs: maintenance and doctor.
    Everything,
}

/// What a statement sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// What this transaction did before it, too: for writers.
    Fresh,
    /// What the calling statement sees, for STABLE functions; it assigns no transaction id.
    Callers,
}

/// A name and its type.
pub type Described = (&'static str, BuiltinOid);

/// Parameters: of a statement, or a group that several statements share.
pub trait Parameters {
    /// Their names, in the order in which they are bound, those of groups left out.
    const NAMES: &'static [&'static str];
    /// Names and types, in that order, with those of groups.
    fn describe(into: &mut Vec<Described>);
    /// Adds the values.
    fn bind(self, values: &mut Values);
}

/// Columns: of a statement, or a group that several statements share.
pub trait Columns: Sized {
    /// Names and types, for the tests.
    #[cfg(any(test, feature = "pg_test"))]
    fn describe(into: &mut Vec<Described>);
    /// Takes the columns of a row. Raises XX001 for what none of our functions can have written.
    fn read(cells: &mut Cells) -> Result<Self>;
}

/// No columns.
impl Columns for () {
    #[cfg(any(test, feature = "pg_test"))]
    fn describe(_into: &mut Vec<Described>) {}
    fn read(_cells: &mut Cells) -> Result<Self> {
        Ok(())
    }
}

/// The values of parameters.
pub struct Values {
    values: [pg_sys::Datum; MAX_VALUES],
    nulls: [c_char; MAX_VALUES],
    count: usize,
}

impl Values {
    /// Adds a value.
    pub fn push<T: Parameter>(&mut self, value: T) {
        let datum = value.datum();
        self.nulls[self.count] = if datum.is_some() { b' ' } else { b'n' } as c_char;
        self.values[self.count] = datum.unwrap_or(pg_sys::Datum::null());
        self.count += 1;
    }
}

/// A row, taken apart once; its columns are read in their order.
pub struct Cells {
    values: [pg_sys::Datum; MAX_VALUES],
    nulls: [bool; MAX_VALUES],
    next: usize,
}

impl Cells {
    /// The next column. `unreadable` says what is wrong where it is not what it must be.
    pub fn take<T: Column>(&mut self, unreadable: &'static str) -> Result<T> {
        let at = self.next;
        self.next += 1;
        T::read((!self.nulls[at]).then_some(self.values[at])).ok_or(Error::Damaged(unreadable))
    }
}

/// A statement with its parameters, to be run while SPI is [`connected`].
pub trait Statement: Parameters + Sized {
    /// What it returns.
    type Row: Columns;
    /// The text, with parameters `$name`.
    const TEXT: &'static str;
    /// What it is about.
    const ABOUT: About;
    /// What it sees.
    const SNAPSHOT: Snapshot;
    /// Its plan.
    fn plan() -> &'static Plan;

    /// Runs the statement and reads its rows as they are asked for.
    fn rows(self) -> Rows<Self::Row> {
        let _planner = Planner::restrict(Self::ABOUT == About::Everything);
        let mut values = Values { values: [pg_sys::Datum::null(); MAX_VALUES], nulls: [0; MAX_VALUES], count: 0 };
        self.bind(&mut values);
        // SAFETY: SPI is connected, and there is a value for every parameter; SPI's own errors are PostgreSQL errors, and a plan
        // of one INSERT, UPDATE, DELETE or SELECT has no other way to fail.
        unsafe {
            pg_sys::SPI_execute_plan(
                Self::plan().prepared::<Self>(),
                values.values.as_mut_ptr(),
                values.nulls.as_ptr(),
                Self::SNAPSHOT == Snapshot::Callers,
                0,
            );
            Rows { table: pg_sys::SPI_tuptable, count: pg_sys::SPI_processed as usize, at: 0, row: PhantomData }
        }
    }

    /// Runs the statement and reads the first row, if there is one.
    fn first(self) -> Result<Option<Self::Row>> {
        self.rows().next().transpose()
    }

    /// Runs the statement; how many rows it returned, or changed where it returns none.
    fn run(self) -> usize {
        self.rows().count
    }
}

/// The rows of a result.
pub struct Rows<T> {
    table: *mut pg_sys::SPITupleTable,
    count: usize,
    at: usize,
    row: PhantomData<T>,
}

impl<T: Columns> Iterator for Rows<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.at == self.count || self.table.is_null() {
            return None;
        }
        let mut cells = Cells { values: [pg_sys::Datum::null(); MAX_VALUES], nulls: [true; MAX_VALUES], next: 0 };
        // SAFETY: the row is within the table, which lives until SPI_finish; there is room for every column, whose number is that
        // of the struct from which the list in the text was made.
        unsafe {
            let table = &*self.table;
            let tuple = *table.vals.add(self.at);
            pg_sys::heap_deform_tuple(tuple, table.tupdesc, cells.values.as_mut_ptr(), cells.nulls.as_mut_ptr());
        }
        self.at += 1;
        Some(T::read(&mut cells))
    }
}

/// A kept plan.
pub struct Plan(Cell<pg_sys::SPIPlanPtr>);

// SAFETY: a backend has one thread.
unsafe impl Sync for Plan {}

impl Plan {
    /// A plan that is to be made.
    pub const fn new() -> Self {
        Self(Cell::new(std::ptr::null_mut()))
    }

    /// # Safety
    /// SPI is connected.
    unsafe fn prepared<S: Statement>(&self) -> pg_sys::SPIPlanPtr {
        if self.0.get().is_null() {
            let mut parameters = Vec::new();
            S::describe(&mut parameters);
            let text = CString::new(numbered(S::TEXT, &parameters)).unwrap_or_default();
            let mut types: Vec<_> = parameters.iter().map(|(_, parameter)| parameter.value()).collect();
            let options = if is_distributed() { 0 } else { pg_sys::CURSOR_OPT_GENERIC_PLAN as i32 };
            // SAFETY: the text and the types outlive the call; the kept plan lives as long as the backend.
            unsafe {
                let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), types.len() as i32, types.as_mut_ptr(), options);
                pg_sys::SPI_keepplan(plan);
                self.0.set(plan);
            }
        }
        self.0.get()
    }

    /// How often a plan was made for the parameters of one call.
    #[cfg(any(test, feature = "pg_test"))]
    pub fn custom_plans(&self) -> i64 {
        // SAFETY: the plan is kept, and consists of one statement.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.0.get());
            let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
            (*source).num_custom_plans
        }
    }
}

/// The text as PostgreSQL takes it: `$name` becomes `$1` where that is the first parameter.
fn numbered(text: &str, parameters: &[Described]) -> String {
    let mut numbered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        let end = after[1..].find(|c: char| !is_name(c as u32)).map_or(after.len(), |end| end + 1);
        let name = &after[1..end];
        numbered.push_str(before);
        match parameters.iter().position(|(parameter, _)| *parameter == name) {
            Some(index) if starts_parameter(rest.as_bytes(), at) => numbered.push_str(&format!("${}", index + 1)),
            _ => numbered.push_str(&after[..end]),
        }
        rest = &after[end..];
    }
    numbered + rest
}

const fn is_name(c: u32) -> bool {
    c == '_' as u32 || (c < 128 && (c as u8).is_ascii_alphanumeric())
}

/// Whether the text names each of the parameters, and nothing else.
pub const fn names_match(text: &str, groups: &[&[&str]]) -> bool {
    let text = text.as_bytes();
    let (mut at, mut group) = (0, 0);
    while at < text.len() {
        if starts_parameter(text, at) && !is_named(text, at + 1, groups) {
            return false;
        }
        at += 1;
    }
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            if !names(text, groups[group][index].as_bytes()) {
                return false;
            }
            index += 1;
        }
        group += 1;
    }
    true
}

/// Whether one of these names stands there.
const fn is_named(text: &[u8], at: usize, groups: &[&[&str]]) -> bool {
    let mut group = 0;
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            if stands_at(text, at, groups[group][index].as_bytes()) {
                return true;
            }
            index += 1;
        }
        group += 1;
    }
    false
}

/// Whether the text names the parameter anywhere.
const fn names(text: &[u8], name: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if starts_parameter(text, at) && stands_at(text, at + 1, name) {
            return true;
        }
        at += 1;
    }
    false
}

/// A dollar within a word, as in `format('%1$s')`, starts none.
const fn starts_parameter(text: &[u8], at: usize) -> bool {
    text[at] == b'$' && (at == 0 || !is_name(text[at - 1] as u32))
}

const fn stands_at(text: &[u8], at: usize, name: &[u8]) -> bool {
    if at + name.len() > text.len() {
        return false;
    }
    let mut index = 0;
    while index < name.len() {
        if text[at + index] != name[index] {
            return false;
        }
        index += 1;
    }
    at + index == text.len() || !is_name(text[at + index] as u32)
}

/// Whether Citus is loaded. A generic plan of anything but the simplest statement on a distributed table fails there, and
/// where it may, Citus sees to it that plans are made for the parameters.
pub fn is_distributed() -> bool {
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

/// A statement as the tests see it.
#[cfg(any(test, feature = "pg_test"))]
pub struct Listed {
    /// The name of its struct.
    pub name: &'static str,
    /// What it is about.
    pub about: About,
    /// The text, with parameters `$name`.
    pub text: &'static str,
    /// Its plan.
    pub plan: fn() -> &'static Plan,
    parameters: fn(&mut Vec<Described>),
    columns: fn(&mut Vec<Described>),
}

#[cfg(any(test, feature = "pg_test"))]
impl Listed {
    /// The entry of a statement.
    pub const fn of<S: Statement>(name: &'static str) -> Self {
        Self { name, about: S::ABOUT, text: S::TEXT, plan: S::plan, parameters: S::describe, columns: S::Row::describe }
    }

    /// Names and types of the parameters.
    pub fn parameters(&self) -> Vec<Described> {
        let mut parameters = Vec::new();
        (self.parameters)(&mut parameters);
        parameters
    }

    /// Names and types of the columns.
    pub fn columns(&self) -> Vec<Described> {
        let mut columns = Vec::new();
        (self.columns)(&mut columns);
        columns
    }

    /// The text as PostgreSQL takes it.
    pub fn numbered(&self) -> String {
        numbered(self.text, &self.parameters())
    }
}

/// Every statement.
#[cfg(any(test, feature = "pg_test"))]
#[linkme::distributed_slice]
pub static STATEMENTS: [Listed];

/// Makes a struct of named, typed parameters: of a statement, or a group that statements share, which they take as
/// `; ..group: Type`.
macro_rules! parameters {
    (
        $(#[$meta:meta])*
        $name:ident $(<$lifetime:lifetime>)?
        ($($(#[$doc:meta])* $parameter:ident: $type:ty),* $(,)? $(; ..$group:ident: $group_type:ty)*)
    ) => {
        $(#[$meta])*
        pub struct $name $(<$lifetime>)? {
            $($(#[$doc])* pub $parameter: $type,)*
            $(pub $group: $group_type,)*
        }

        impl $(<$lifetime>)? $crate::store::statement::Parameters for $name $(<$lifetime>)? {
            const NAMES: &'static [&'static str] = &[$(stringify!($parameter)),*];

            fn describe(_into: &mut Vec<$crate::store::statement::Described>) {
                $(_into.push((stringify!($parameter), <$type as $crate::store::value::Parameter>::TYPE));)*
                $(<$group_type as $crate::store::statement::Parameters>::describe(_into);)*
            }

            fn bind(self, _values: &mut $crate::store::statement::Values) {
                $(_values.push(self.$parameter);)*
                $($crate::store::statement::Parameters::bind(self.$group, _values);)*
            }
        }
    };
}
pub(crate) use parameters;

/// Makes a struct of named, typed columns: of a statement, or a group that statements share, which they return as
/// `..group: Type = ["its columns in SQL"]`. A column is an expression of its name, or `= "another expression"`.
macro_rules! columns {
    (@struct $(#[$meta:meta])* $name:ident $(#[$doc:meta])* [$($column:ident: $type:ty,)*] [$($group:ident: $group_type:ty,)*]) => {
        $(#[$meta])*
        pub struct $name {
            $(pub $column: $type,)*
            $(pub $group: $group_type,)*
        }

        impl $crate::store::statement::Columns for $name {
            #[cfg(any(test, feature = "pg_test"))]
            fn describe(_into: &mut Vec<$crate::store::statement::Described>) {
                $(_into.push((stringify!($column), <$type as $crate::store::value::Column>::TYPE));)*
                $(<$group_type as $crate::store::statement::Columns>::describe(_into);)*
            }

            fn read(cells: &mut $crate::store::statement::Cells) -> $crate::pg::error::Result<Self> {
                Ok(Self {
                    $($column: cells.take(concat!(stringify!($column), " of a row is not readable"))?,)*
                    $($group: $crate::store::statement::Columns::read(cells)?,)*
                })
            }
        }
    };
    ($(#[$meta:meta])* $name:ident {
        $($column:ident: $type:ty $(= $expression:literal)?),+ $(, ..$group:ident: $group_type:ty = [$($sql:tt)*])*
    }) => {
        $crate::store::statement::columns! { @struct $(#[$meta])* $name [$($column: $type,)+] [$($group: $group_type,)*] }
    };
    ($(#[$meta:meta])* $name:ident { $(..$group:ident: $group_type:ty = [$($sql:tt)*]),+ }) => {
        $crate::store::statement::columns! { @struct $(#[$meta])* $name [] [$($group: $group_type,)+] }
    };
}
pub(crate) use columns;

/// The list of the columns in SQL.
macro_rules! column_list {
    ($column:ident: $type:ty = $expression:literal $(, $($rest:tt)+)?) => {
        concat!($expression, " AS ", stringify!($column) $(, ", ", $crate::store::statement::column_list!($($rest)+))?)
    };
    ($column:ident: $type:ty $(, $($rest:tt)+)?) => {
        concat!(stringify!($column) $(, ", ", $crate::store::statement::column_list!($($rest)+))?)
    };
    (..$group:ident: $group_type:ty = [$($sql:tt)*] $(, $($rest:tt)+)?) => {
        concat!($($sql)* $(, ", ", $crate::store::statement::column_list!($($rest)+))?)
    };
}
pub(crate) use column_list;

/// Makes a statement (see the module's documentation).
macro_rules! statement {
    // Without columns.
    (
        $(#[$meta:meta])*
        $name:ident $(<$lifetime:lifetime>)?: $about:ident, $snapshot:ident
        ($($parameters:tt)*)
        [$($text:tt)*]
    ) => {
        $crate::store::statement::statement! {
            @impl $(#[$meta])* $name ($($lifetime)?) $about, $snapshot, (), ($($parameters)*) [$($text)*]
        }
    };
    // With a struct of its own for the columns.
    (
        $(#[$meta:meta])*
        $name:ident $(<$lifetime:lifetime>)?: $about:ident, $snapshot:ident
        ($($parameters:tt)*)
        [$($before:tt)*]
        => $row:ident { $($columns:tt)+ }
        [$($after:tt)*]
    ) => {
        $crate::store::statement::columns! {
            #[doc = concat!("What [`", stringify!($name), "`] returns.")]
            $row { $($columns)+ }
        }
        $crate::store::statement::statement! {
            @impl $(#[$meta])* $name ($($lifetime)?) $about, $snapshot, $row, ($($parameters)*)
            [$($before)*, $crate::store::statement::column_list!($($columns)+), $($after)*]
        }
    };
    (
        @impl $(#[$meta:meta])* $name:ident ($($lifetime:lifetime)?) $about:ident, $snapshot:ident, $row:ty,
        ($($(#[$doc:meta])* $parameter:ident: $type:ty),* $(,)? $(; ..$group:ident: $group_type:ty)*) [$($text:tt)*]
    ) => {
        $crate::store::statement::parameters! {
            $(#[$meta])*
            $name $(<$lifetime>)? ($($(#[$doc])* $parameter: $type),* $(; ..$group: $group_type)*)
        }

        impl $(<$lifetime>)? $crate::store::statement::Statement for $name $(<$lifetime>)? {
            type Row = $row;
            const TEXT: &'static str = {
                const TEXT: &str = concat!($($text)*);
                const NAMES: &[&[&str]] = &[
                    <$name as $crate::store::statement::Parameters>::NAMES,
                    $(<$group_type as $crate::store::statement::Parameters>::NAMES,)*
                ];
                assert!(
                    $crate::store::statement::names_match(TEXT, NAMES),
                    concat!(stringify!($name), ": the text does not name each parameter, or names another")
                );
                TEXT
            };
            const ABOUT: $crate::store::statement::About = $crate::store::statement::About::$about;
            const SNAPSHOT: $crate::store::statement::Snapshot = $crate::store::statement::Snapshot::$snapshot;

            fn plan() -> &'static $crate::store::statement::Plan {
                static PLAN: $crate::store::statement::Plan = $crate::store::statement::Plan::new();
                &PLAN
            }
        }

        // Looked at when it is checked, not only when it is built.
        const _: &str = <$name as $crate::store::statement::Statement>::TEXT;

        #[cfg(any(test, feature = "pg_test"))]
        const _: () = {
            #[linkme::distributed_slice($crate::store::statement::STATEMENTS)]
            static LISTED: $crate::store::statement::Listed = $crate::store::statement::Listed::of::<$name>(stringify!($name));
        };
    };
}
pub(crate) use statement;
