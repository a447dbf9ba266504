//! The border to PostgreSQL's function manager: arguments come in as raw datums, results go out as datums or rows.
//!
//! Invariant: an argument is looked at only as far as it must be. A text longer than its limit is refused by the size in
//! its header, before anything is detoasted.

use std::ptr;

use pgrx::{FromDatum, IntoDatum, pg_sys, varlena};
use zeroize::Zeroizing;

use crate::pg::error::{Error, Result};

/// The longest code that is looked at, in bytes.
const MAX_CODE_INPUT: usize = 1024;

/// The declared type of a function's user_id.
#[derive(Clone, Copy)]
pub enum IdType {
    /// bigint
    Bigint,
    /// uuid
    Uuid,
    /// text
    Text,
    /// The function has no user_id.
    None,
}

/// One call of a function.
pub struct Call {
    fcinfo: pg_sys::FunctionCallInfo,
    /// The type of the first argument.
    pub id_type: IdType,
}

/// An interval, as PostgreSQL stores it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl Interval {
    /// A new interval datum in the current memory context.
    pub fn datum(self) -> pg_sys::Datum {
        // SAFETY: the allocation is as large as the type it is written as.
        unsafe {
            let copy = pg_sys::palloc(size_of::<pg_sys::Interval>()).cast::<pg_sys::Interval>();
            copy.write(pg_sys::Interval { time: self.micros, day: self.days, month: self.months });
            copy.into()
        }
    }
}

impl Call {
    /// Runs a function and raises its error. A panic or an error of PostgreSQL's own is raised by pgrx.
    ///
    /// # Safety
    /// `fcinfo` is the argument that PostgreSQL passed to a version-1 function.
    pub unsafe fn run(
        fcinfo: pg_sys::FunctionCallInfo,
        id_type: IdType,
        function: fn(&Self) -> Result<pg_sys::Datum>,
    ) -> pg_sys::Datum {
        // SAFETY: when the guard returns, all that is left is the result, which is moved into raise.
        unsafe {
            match pg_sys::panic::pgrx_extern_c_guard(|| function(&Self { fcinfo, id_type })) {
                Ok(datum) => datum,
                Err(error) => error.raise(),
            }
        }
    }

    /// The call as PostgreSQL knows it.
    pub fn fcinfo(&self) -> pg_sys::FunctionCallInfo {
        self.fcinfo
    }

    /// An argument, None for NULL.
    pub fn datum(&self, index: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the functions' declarations in functions.sql give every argument that is asked for.
        let arg = unsafe { (*self.fcinfo).args.as_slice((*self.fcinfo).nargs as usize).get(index)? };
        (!arg.isnull).then_some(arg.value)
    }

    /// An argument of a pass-by-value type.
    pub fn get<T: FromDatum>(&self, index: usize) -> Option<T> {
        // SAFETY: T is the argument's type in functions.sql.
        unsafe { T::from_datum(self.datum(index)?, false) }
    }

    /// An interval argument.
    pub fn interval(&self, index: usize) -> Option<Interval> {
        // SAFETY: the argument is declared as interval, which is passed by reference and never toasted.
        let interval = unsafe { *self.datum(index)?.cast_mut_ptr::<pg_sys::Interval>() };
        Some(Interval { months: interval.month, days: interval.day, micros: interval.time })
    }

    /// The elements of an array argument whose type is that of the function's user_id, None for a NULL array.
    pub fn elements(&self, index: usize) -> Option<Vec<Option<pg_sys::Datum>>> {
        let (element, length, by_value, align) = match self.id_type {
            IdType::Bigint => (pg_sys::BuiltinOid::INT8OID, 8, true, b'd'),
            IdType::Uuid => (pg_sys::BuiltinOid::UUIDOID, 16, false, b'c'),
            IdType::Text | IdType::None => (pg_sys::BuiltinOid::TEXTOID, -1, false, b'i'),
        };
        let array = self.datum(index)?;
        let (mut values, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the argument is declared as an array of that type; the elements lie in it, or in a detoasted copy in the
        // current memory context.
        unsafe {
            pg_sys::deconstruct_array(
                pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast(),
                element.value(),
                length,
                by_value,
                align as _,
                &raw mut values,
                &raw mut nulls,
                &raw mut count,
            );
            Some((0..count as usize).map(|i| (!*nulls.add(i)).then(|| *values.add(i))).collect())
        }
    }

    /// A code as the user typed it: None when NULL, too long to be one, or not text in the database's encoding.
    pub fn code(&self, index: usize) -> Option<Zeroizing<String>> {
        let bytes = Zeroizing::new(text_bytes(self.datum(index)?, MAX_CODE_INPUT)?);
        crate::pg::encoding::to_utf8(bytes).map(Zeroizing::new)
    }

    /// The result NULL.
    pub fn null(&self) -> pg_sys::Datum {
        // SAFETY: PostgreSQL passed the structure for this call, and reads the flag when it returns.
        unsafe { (*self.fcinfo).isnull = true };
        pg_sys::Datum::null()
    }

    /// Starts the result of a function that returns rows.
    pub fn rows(&self) -> Rows {
        // SAFETY: called once, from a set-returning function; the rows go where the caller's context lets them live.
        unsafe {
            pg_sys::InitMaterializedSRF(self.fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let info = (*self.fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Rows { store: (*info).setResult, descriptor: (*info).setDesc }
        }
    }
}

/// The rows that a function returns, all at once: value by value, SECURITY DEFINER and SET would be paid for every row.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl Rows {
    /// Adds a row; None is NULL.
    pub fn push<const N: usize>(&self, columns: [Option<pg_sys::Datum>; N]) {
        let mut nulls = columns.map(|column| column.is_none());
        let mut values = columns.map(|column| column.unwrap_or(pg_sys::Datum::null()));
        // SAFETY: N is the number of columns that the function declares; the tuplestore copies the values.
        unsafe {
            pg_sys::tuplestore_putvalues(self.store, self.descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
    }

    /// What the function itself returns once its rows are stored.
    pub fn done(self) -> Result<pg_sys::Datum> {
        Ok(pg_sys::Datum::null())
    }
}

/// A scalar result.
pub fn value<T: IntoDatum>(value: T) -> Result<pg_sys::Datum> {
    Ok(value.into_datum().unwrap_or(pg_sys::Datum::null()))
}

/// The bytes of a text or bytea datum, None when there are more than `limit`.
pub fn text_bytes(datum: pg_sys::Datum, limit: usize) -> Option<Vec<u8>> {
    // SAFETY: the datum is a varlena; its raw size is read from the header without detoasting.
    unsafe {
        let pointer = datum.cast_mut_ptr::<pg_sys::varlena>();
        if pg_sys::toast_raw_datum_size(datum).saturating_sub(pg_sys::VARHDRSZ) > limit {
            return None;
        }
        let plain = pg_sys::pg_detoast_datum_packed(pointer);
        let bytes = varlena::varlena_to_byte_slice(plain).to_vec();
        if !ptr::eq(plain, pointer) {
            pg_sys::pfree(plain.cast());
        }
        Some(bytes)
    }
}

/// A uuid datum.
pub fn uuid(datum: pg_sys::Datum) -> uuid::Uuid {
    // SAFETY: the datum is declared as uuid: 16 bytes, passed by reference.
    uuid::Uuid::from_bytes(unsafe { *datum.cast_mut_ptr::<[u8; 16]>() })
}

/// A new uuid datum in the current memory context.
pub fn uuid_datum(id: &uuid::Uuid) -> Option<pg_sys::Datum> {
    // SAFETY: 16 bytes in the current memory context, copied from the uuid.
    unsafe {
        let copy = pg_sys::palloc(16).cast::<u8>();
        copy.copy_from_nonoverlapping(id.as_bytes().as_ptr(), 16);
        Some(copy.into())
    }
}

/// A text that is wiped when dropped, unlike a datum of PostgreSQL's.
pub struct SecretText(Zeroizing<Vec<u32>>);

impl SecretText {
    /// Lays the text out as PostgreSQL does: its size, then its bytes.
    pub fn new(text: &str) -> Self {
        let size = pg_sys::VARHDRSZ + text.len();
        let mut words = Zeroizing::new(vec![0; size.div_ceil(size_of::<u32>())]);
        words[0] = varlena_size(size) as u32;
        for (word, bytes) in words[1..].iter_mut().zip(text.as_bytes().chunks(size_of::<u32>())) {
            let mut padded = [0; size_of::<u32>()];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u32::from_ne_bytes(padded);
        }
        Self(words)
    }

    /// The text as a datum, which lives as long as this.
    pub fn datum(&self) -> pg_sys::Datum {
        self.0.as_ptr().into()
    }
}

/// The first word of a varlena of that size, itself included.
pub fn varlena_size(size: usize) -> i32 {
    if cfg!(target_endian = "big") { size as i32 } else { (size as i32) << 2 }
}

/// A new text or bytea datum in the current memory context.
pub fn varlena_datum(bytes: &[u8]) -> pg_sys::Datum {
    // SAFETY: text and bytea have the same layout; the bytes are copied.
    unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32).into() }
}

/// Refuses to go on where nothing can be written.
pub fn require_writable() -> Result<()> {
    // SAFETY: reads the transaction's and the server's state.
    match unsafe { (pg_sys::XactReadOnly, pg_sys::RecoveryInProgress()) } {
        (false, _) => Ok(()),
        (true, recovery) => Err(Error::ReadOnly { recovery }),
    }
}

/// Makes the C symbols of the functions that functions.sql declares: `name` for a function without a user, and `name_bigint`,
/// `name_uuid` and `name_text` for a function of a `(user)`, each with the `pg_finfo_` symbol that PostgreSQL asks for first.
macro_rules! sql_functions {
    ($($function:path => $name:ident $(($user:ident))?;)+) => {
        $($crate::pg::call::sql_functions!(@overloads $function, $name $(, $user)?);)+
    };
    (@overloads $function:path, $name:ident) => {
        $crate::pg::call::sql_functions!(@symbol $function, None, stringify!($name));
    };
    (@overloads $function:path, $name:ident, user) => {
        $crate::pg::call::sql_functions!(@symbol $function, Bigint, concat!(stringify!($name), "_bigint"));
        $crate::pg::call::sql_functions!(@symbol $function, Uuid, concat!(stringify!($name), "_uuid"));
        $crate::pg::call::sql_functions!(@symbol $function, Text, concat!(stringify!($name), "_text"));
    };
    (@symbol $function:path, $id_type:ident, $symbol:expr) => {
        const _: () = {
            #[unsafe(export_name = $symbol)]
            extern "C-unwind" fn call(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
                // SAFETY: PostgreSQL calls this symbol as a version-1 function.
                unsafe { $crate::pg::call::Call::run(fcinfo, $crate::pg::call::IdType::$id_type, $function) }
            }
            #[unsafe(export_name = concat!("pg_finfo_", $symbol))]
            extern "C" fn finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
                const { &pgrx::pg_sys::Pg_finfo_record { api_version: 1 } }
            }
        };
    };
}
pub(crate) use sql_functions;
