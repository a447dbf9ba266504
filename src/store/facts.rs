//! The facts of a set: everything but its number and its codes. They stand in two tables, account and pending_set, and are
//! listed here once.

use backup_codes_core::code::{Alphabet, Format};
use backup_codes_core::hash::{Salt, Scheme};

use super::value::Letter;
use crate::key_file::KeyRef;
use crate::pg::clock::Timestamp;

/// The facts of a set but for its codes.
#[derive(Clone)]
pub struct Facts {
    /// How its codes are written.
    pub format: Format,
    /// How its codes are hashed.
    pub scheme: Scheme,
    /// Its salt.
    pub salt: Salt,
    /// The key it is hashed under.
    pub key: Option<KeyRef>,
    /// How many codes it was made with.
    pub total: i16,
    /// When it was made.
    pub generated_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl Facts {
    /// As columns.
    pub fn stored(&self) -> Stored {
        let costs = self.scheme.costs();
        Stored {
            generated_at: Some(self.generated_at),
            expires_at: self.expires_at,
            alphabet: Some(Letter(self.format.alphabet.letter())),
            length: Some(self.format.length as i16),
            scheme: Some(Letter(self.scheme.letter())),
            argon2_memory: costs.map(|(memory, _)| memory as i32),
            argon2_iterations: costs.map(|(_, iterations)| iterations as i16),
            salt: Some(self.salt),
            key_id: self.key.map(|key| key.id),
            key_check: self.key.map(|key| key.check),
            total: Some(self.total),
        }
    }
}

impl Stored {
    /// The facts; None when there is no set, or a format or scheme that none of our functions writes.
    pub fn facts(self) -> Option<Facts> {
        let costs = self.argon2_memory.zip(self.argon2_iterations);
        let costs = costs.map(|(memory, iterations)| (memory.unsigned_abs(), iterations.unsigned_abs().into()));
        Some(Facts {
            format: Format {
                alphabet: Alphabet::from_letter(self.alphabet?.0)?,
                length: usize::try_from(self.length?).ok()?,
            },
            scheme: Scheme::from_parts(self.scheme?.0, costs)?,
            salt: self.salt?,
            key: self.key_id.zip(self.key_check).map(|(id, check)| KeyRef { id, check }),
            total: self.total?,
            generated_at: self.generated_at?,
            expires_at: self.expires_at,
        })
    }
}

/// The columns: name and type; behind the slash those that differ where many sets are made in one statement.
macro_rules! facts {
    ($form:ident) => {
        $crate::store::facts::facts! { @$form
            generated_at: $crate::pg::clock::Timestamp;
            expires_at: $crate::pg::clock::Timestamp;
            alphabet: $crate::store::value::Letter;
            length: i16;
            scheme: $crate::store::value::Letter;
            argon2_memory: i32;
            argon2_iterations: i16;
            key_id: i32;
            key_check: backup_codes_core::keyring::KeyCheck;
            total: i16;
            / salt: backup_codes_core::hash::Salt
        }
    };
    (@structs $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        /// The facts of a set as they stand in a row, all NULL where there is none.
        pub struct Stored {
            $(pub $shared: Option<$shared_type>,)+
            $(pub $each: Option<$each_type>,)+
        }

        $crate::store::statement::parameters! {
            /// The facts of one set.
            FactsOfOne($($shared: Option<$shared_type>,)+ $($each: Option<$each_type>),+)
        }

        impl From<Stored> for FactsOfOne {
            fn from(stored: Stored) -> Self {
                Self { $($shared: stored.$shared,)+ $($each: stored.$each,)+ }
            }
        }

        $crate::store::statement::parameters! {
            /// The facts of many sets: those that they share, and arrays of the others.
            FactsOfMany($($shared: Option<$shared_type>,)+ $($each: $crate::store::value::Raw<$crate::store::value::ByteaArray>),+)
        }

        impl FactsOfMany {
            /// The facts of sets that share all but those of which each has its own; the first speaks for all.
            pub fn of<'a>(first: Stored, sets: impl Iterator<Item = &'a Facts> + Clone) -> Self {
                Self {
                    $($shared: first.$shared,)+
                    $($each: $crate::store::array::byteas(sets.map(|facts| &facts.$each[..])),)+
                }
            }
        }

        impl $crate::store::statement::Columns for Stored {
            #[cfg(any(test, feature = "pg_test"))]
            fn describe(into: &mut Vec<$crate::store::statement::Described>) {
                $(into.push((stringify!($shared), <$shared_type as $crate::store::value::Column>::TYPE));)+
                $(into.push((stringify!($each), <$each_type as $crate::store::value::Column>::TYPE));)+
            }

            fn read(cells: &mut $crate::store::statement::Cells) -> $crate::pg::error::Result<Self> {
                Ok(Self {
                    $($shared: cells.take(concat!(stringify!($shared), " of a set is not readable"))?,)+
                    $($each: cells.take(concat!(stringify!($each), " of a set is not readable"))?,)+
                })
            }
        }
    };
    // In SQL: the names; what is put there for one set and for many; and three ways to assign them.
    (@names $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($(stringify!($shared), ", ",)+ $(stringify!($each)),+)
    };
    (@of_one $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($("$", stringify!($shared), ", ",)+ $("$", stringify!($each)),+)
    };
    (@of_many $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($("$", stringify!($shared), ", ",)+ $("unnest($", stringify!($each), ")"),+)
    };
    (@set_excluded $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($(stringify!($shared), " = excluded.", stringify!($shared), ", ",)+
                $(stringify!($each), " = excluded.", stringify!($each)),+)
    };
    (@set_pending $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($(stringify!($shared), " = p.", stringify!($shared), ", ",)+
                $(stringify!($each), " = p.", stringify!($each)),+)
    };
    (@set_null $($shared:ident: $shared_type:ty;)+ / $($each:ident: $each_type:ty);+) => {
        concat!($(stringify!($shared), " = NULL, ",)+ $(stringify!($each), " = NULL"),+)
    };
}
pub(crate) use facts;

facts!(structs);
