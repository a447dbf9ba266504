//! The facts of a set: everything but its number and its codes. They stand in two tables, account and pending_set, and are
//! listed here once.

use backup_codes_core::code::{Alphabet, Format};
use backup_codes_core::hash::{Salt, Scheme};
use backup_codes_core::keyring::Key;
use backup_codes_core::seal::{Seal, Sealed};

use super::value::Letter;
use crate::pg::clock::Timestamp;
use crate::user_id::UserId;

/// The facts of a set but for its codes.
#[derive(Clone)]
pub struct Facts {
    /// How its codes are written.
    pub format: Format,
    /// How its codes are hashed.
    pub scheme: Scheme,
    /// Its salt.
    pub salt: Salt,
    /// The id of the key it is hashed under.
    pub key_id: Option<i32>,
    /// What that key vouches for.
    pub seal: Option<Seal>,
    /// How many codes it was made with.
    pub total: i16,
    /// When it was made.
    pub generated_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl Facts {
    /// Binds the set to its user, under its key.
    pub fn sealed(mut self, user_id: &UserId, key: Option<&Key>) -> Self {
        self.key_id = key.map(Key::id);
        self.seal = key.map(|key| self.of(user_id).seal(key));
        self
    }

    /// Whether the set is still what was made for this user under the key.
    pub fn carries_seal_of(&self, user_id: &UserId, key: &Key) -> bool {
        self.seal.is_some_and(|seal| self.of(user_id).checks(key, &seal))
    }

    fn of<'a>(&'a self, user_id: &'a UserId) -> Sealed<'a> {
        Sealed {
            user_id: &user_id.utf8,
            salt: &self.salt,
            scheme: self.scheme,
            format: self.format,
            generated_at: self.generated_at.0,
            expires_at: self.expires_at.map(|at| at.0),
        }
    }

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
            key_id: self.key_id,
            seal: self.seal,
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
            key_id: self.key_id,
            seal: self.seal,
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
            total: i16;
            / salt: backup_codes_core::hash::Salt; seal: backup_codes_core::seal::Seal
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
            FactsOfMany(
                $($shared: Option<$shared_type>,)+
                $($each: Option<$crate::store::value::Raw<$crate::store::value::ByteaArray>>),+
            )
        }

        impl FactsOfMany {
            /// The facts of sets that share all but those of which each has its own; the first speaks for all. What a set
            /// lacks, such as a seal without a key, all lack.
            pub fn of(sets: Vec<Stored>) -> Option<Self> {
                let first = sets.first()?;
                let of = |column: fn(&Stored) -> Option<&[u8]>| {
                    let values = sets.iter().map(column).collect::<Option<Vec<_>>>();
                    values.map(|values| $crate::store::array::byteas(values.into_iter()))
                };
                Some(Self {
                    $($shared: first.$shared,)+
                    $($each: of(|set| set.$each.as_ref().map(|bytes| &bytes[..])),)+
                })
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
    (@names $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($(stringify!($shared), ", ",)+ stringify!($first) $(, ", ", stringify!($each))*)
    };
    (@of_one $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($("$", stringify!($shared), ", ",)+ "$", stringify!($first) $(, ", $", stringify!($each))*)
    };
    (@of_many $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($("$", stringify!($shared), ", ",)+ "unnest($", stringify!($first), ")" $(, ", unnest($", stringify!($each), ")")*)
    };
    (@set_excluded $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($(stringify!($shared), " = excluded.", stringify!($shared), ", ",)+
                stringify!($first), " = excluded.", stringify!($first)
                $(, ", ", stringify!($each), " = excluded.", stringify!($each))*)
    };
    (@set_pending $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($(stringify!($shared), " = p.", stringify!($shared), ", ",)+
                stringify!($first), " = p.", stringify!($first) $(, ", ", stringify!($each), " = p.", stringify!($each))*)
    };
    (@set_null $($shared:ident: $shared_type:ty;)+ / $first:ident: $first_type:ty $(; $each:ident: $each_type:ty)*) => {
        concat!($(stringify!($shared), " = NULL, ",)+ stringify!($first), " = NULL" $(, ", ", stringify!($each), " = NULL")*)
    };
}
pub(crate) use facts;

facts!(structs);
