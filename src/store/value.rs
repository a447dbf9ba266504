//! What a statement's parameters and columns can be: each Rust type with the SQL type it stands for.

use std::marker::PhantomData;

use pgrx::pg_sys::{self, BuiltinOid, Datum};
use pgrx::{FromDatum, IntoDatum};
use uuid::Uuid;

use crate::pg::call::{self, text_bytes, varlena_datum};
use crate::pg::clock::Timestamp;
use crate::pg::encoding;
use crate::user_id::UserId;

/// A value that a statement takes.
pub trait Parameter {
    /// The SQL type.
    const TYPE: BuiltinOid;
    /// The value as a datum that lives as long as what SPI allocates; None is NULL.
    fn datum(self) -> Option<Datum>;
}

/// A value that a statement returns.
pub trait Column: Sized {
    /// The SQL type.
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid;
    /// The value; None for a NULL or a value that the type cannot hold.
    fn read(datum: Option<Datum>) -> Option<Self>;
}

impl<T: Parameter> Parameter for Option<T> {
    const TYPE: BuiltinOid = T::TYPE;
    fn datum(self) -> Option<Datum> {
        self.and_then(T::datum)
    }
}

/// NULL is None, but a value that cannot be read is an error.
impl<T: Column> Column for Option<T> {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = T::TYPE;
    fn read(datum: Option<Datum>) -> Option<Self> {
        match datum {
            Some(_) => T::read(datum).map(Some),
            None => Some(None),
        }
    }
}

macro_rules! passed_by_value {
    ($($type:ty = $oid:ident),+) => {$(
        impl Parameter for $type {
            const TYPE: BuiltinOid = BuiltinOid::$oid;
            fn datum(self) -> Option<Datum> {
                self.into_datum()
            }
        }

        impl Column for $type {
            #[cfg(any(test, feature = "pg_test"))]
            const TYPE: BuiltinOid = BuiltinOid::$oid;
            fn read(datum: Option<Datum>) -> Option<Self> {
                // SAFETY: the column has the type that this stands for, which a test compares with what PostgreSQL says.
                unsafe { Self::from_datum(datum?, false) }
            }
        }
    )+};
}
/// Text from outside, such as a setting: stored as [`encoding::storable`] leaves it.
pub struct Foreign(pub Vec<u8>);

impl Parameter for Foreign {
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn datum(self) -> Option<Datum> {
        Some(varlena_datum(&encoding::storable(self.0)))
    }
}

passed_by_value!(bool = BOOLOID, i16 = INT2OID, i32 = INT4OID, i64 = INT8OID, pg_sys::Oid = OIDOID);

impl Parameter for Timestamp {
    const TYPE: BuiltinOid = BuiltinOid::TIMESTAMPTZOID;
    fn datum(self) -> Option<Datum> {
        self.0.into_datum()
    }
}

impl Column for Timestamp {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::TIMESTAMPTZOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        // SAFETY: the column is a timestamptz, which is an integer passed by value.
        unsafe { i64::from_datum(datum?, false) }.map(Self)
    }
}

/// A value of PostgreSQL's type "char".
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Letter(pub u8);

impl Parameter for Letter {
    const TYPE: BuiltinOid = BuiltinOid::CHAROID;
    fn datum(self) -> Option<Datum> {
        (self.0 as i8).into_datum()
    }
}

impl Column for Letter {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::CHAROID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        // SAFETY: the column is a "char", one byte passed by value.
        unsafe { i8::from_datum(datum?, false) }.map(|letter| Self(letter as u8))
    }
}

impl Parameter for Uuid {
    const TYPE: BuiltinOid = BuiltinOid::UUIDOID;
    fn datum(self) -> Option<Datum> {
        call::uuid_datum(&self)
    }
}

impl Column for Uuid {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::UUIDOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        datum.map(call::uuid)
    }
}

/// A word of ours, in ASCII.
impl Parameter for &'static str {
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn datum(self) -> Option<Datum> {
        Some(varlena_datum(self.as_bytes()))
    }
}

/// Text to read; what has no counterpart in UTF-8 is replaced.
impl Column for String {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        let bytes = text_bytes(datum?, usize::MAX)?;
        Some(encoding::to_utf8(&bytes).unwrap_or_else(|| Self::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl Parameter for &UserId {
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn datum(self) -> Option<Datum> {
        Some(varlena_datum(&self.stored))
    }
}

impl Column for UserId {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        Some(Self { stored: text_bytes(datum?, usize::MAX)?, utf8: String::read(datum)? })
    }
}

impl Parameter for &[u8] {
    const TYPE: BuiltinOid = BuiltinOid::BYTEAOID;
    fn datum(self) -> Option<Datum> {
        Some(varlena_datum(self))
    }
}

impl Column for Vec<u8> {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::BYTEAOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        text_bytes(datum?, usize::MAX)
    }
}

/// A bytea of this length.
impl<const N: usize> Parameter for [u8; N] {
    const TYPE: BuiltinOid = BuiltinOid::BYTEAOID;
    fn datum(self) -> Option<Datum> {
        Some(varlena_datum(&self))
    }
}

impl<const N: usize> Column for [u8; N] {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::BYTEAOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        text_bytes(datum?, N)?.try_into().ok()
    }
}

/// Where a row was found, its ctid. It lives as long as what else SPI allocates.
#[derive(Clone, Copy)]
pub struct Place(Datum);

impl Parameter for Place {
    const TYPE: BuiltinOid = BuiltinOid::TIDOID;
    fn datum(self) -> Option<Datum> {
        Some(self.0)
    }
}

impl Column for Place {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::TIDOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        datum.map(Self)
    }
}

/// A type in SQL, where a value is handed on and never looked at.
pub trait SqlType {
    /// Which.
    const TYPE: BuiltinOid;
}

macro_rules! sql_types {
    ($($(#[$doc:meta])* $name:ident = $oid:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name;

        impl SqlType for $name {
            const TYPE: BuiltinOid = BuiltinOid::$oid;
        }
    )+};
}
sql_types! {
    /// boolean
    Boolean = BOOLOID,
    /// inet
    Inet = INETOID,
    /// integer
    Integer = INT4OID,
    /// text
    Text = TEXTOID,
    /// timestamptz
    Timestamptz = TIMESTAMPTZOID,
    /// uuid
    UuidType = UUIDOID,
    /// bytea[]
    ByteaArray = BYTEAARRAYOID,
    /// smallint[]
    SmallintArray = INT2ARRAYOID,
    /// integer[]
    IntegerArray = INT4ARRAYOID,
    /// text[]
    TextArray = TEXTARRAYOID,
    /// uuid[]
    UuidArray = UUIDARRAYOID,
}

/// A value of that type, as PostgreSQL has it. It lives as long as what else SPI allocates, or what it came from.
pub struct Raw<T>(pub Option<Datum>, PhantomData<T>);

impl<T> Raw<T> {
    /// A datum of that type.
    pub fn new(datum: pg_sys::Datum) -> Self {
        Self(Some(datum), PhantomData)
    }
}

/// Text as PostgreSQL has it, mended where it is not valid in the encoding of the database: one such event would make every
/// claim fail that returns it to a client of another encoding.
pub struct Repaired(pub Option<Datum>);

impl Column for Repaired {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = BuiltinOid::TEXTOID;
    fn read(datum: Option<Datum>) -> Option<Self> {
        let Some(stored) = datum else { return Some(Self(None)) };
        let text = text_bytes(stored, usize::MAX)?;
        Some(Self(Some(if encoding::is_valid(&text) { stored } else { varlena_datum(&encoding::storable(text)) })))
    }
}

impl<T: SqlType> Parameter for Raw<T> {
    const TYPE: BuiltinOid = T::TYPE;
    fn datum(self) -> Option<Datum> {
        self.0
    }
}

impl<T: SqlType> Column for Raw<T> {
    #[cfg(any(test, feature = "pg_test"))]
    const TYPE: BuiltinOid = T::TYPE;
    fn read(datum: Option<Datum>) -> Option<Self> {
        Some(Self(datum, PhantomData))
    }
}
