//! Settings as PostgreSQL takes them: their kinds, and the macro that makes them of a table.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ops::RangeInclusive;

use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting, GucValue};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard;

/// A setting: its value, and what PostgreSQL is told of it.
pub struct Setting<T: GucValue, K> {
    /// With the prefix.
    pub name: &'static CStr,
    /// "Sets the …."
    pub phrase: &'static CStr,
    /// What else a reader of pg_settings should know.
    pub sentence: &'static CStr,
    /// Who may change it, and when.
    pub context: Context,
    /// At first the default.
    pub value: GucSetting<T>,
    /// What it takes.
    pub kind: K,
}

/// Who may change a setting, and when.
#[derive(Clone, Copy)]
pub enum Context {
    /// A superuser, at any time.
    Superuser,
    /// Anybody, at any time.
    User,
    /// Who writes the server's configuration, with a reload.
    Sighup,
    /// Who writes the server's configuration, with a restart, where the library is loaded when the server starts; where it is not,
    /// PostgreSQL refuses such a setting, and a reload changes what is shown and nothing else.
    Start,
}

/// A whole number.
pub struct Integer {
    /// What it may be.
    pub range: RangeInclusive<i32>,
    /// Its unit; empty for a plain number.
    pub unit: GucFlags,
}

/// On or off.
pub struct Switch {}

/// One of the words of an enum.
pub struct Word {}

/// A text; an empty one is none.
pub struct Text {
    /// The hook that refuses a value, for instance `length::<1, 63>`.
    pub check: pg_sys::GucStringCheckHook,
}

/// What PostgreSQL is told of a kind of setting, and what it is read as.
pub trait Kind<T: GucValue>: Sized {
    /// Makes a setting known to PostgreSQL.
    fn define(setting: &'static Setting<T, Self>);

    /// What its value stands for.
    fn read(value: T) -> T {
        value
    }
}

impl Kind<i32> for Integer {
    fn define(setting: &'static Setting<i32, Self>) {
        let Setting { name, phrase, sentence, context, value, kind: Self { range, unit } } = setting;
        let (min, max) = (*range.start(), *range.end());
        GucRegistry::define_int_guc(name, phrase, sentence, value, min, max, (*context).into(), *unit);
    }
}

impl Kind<bool> for Switch {
    fn define(setting: &'static Setting<bool, Self>) {
        let Setting { name, phrase, sentence, context, value, .. } = setting;
        GucRegistry::define_bool_guc(name, phrase, sentence, value, (*context).into(), GucFlags::empty());
    }
}

impl<T: GucEnum> Kind<T> for Word {
    fn define(setting: &'static Setting<T, Self>) {
        let Setting { name, phrase, sentence, context, value, .. } = setting;
        GucRegistry::define_enum_guc(name, phrase, sentence, value, (*context).into(), GucFlags::empty());
    }
}

impl Kind<Option<CString>> for Text {
    fn define(setting: &'static Setting<Option<CString>, Self>) {
        let Setting { name, phrase, sentence, context, value, kind: Self { check } } = setting;
        let (context, flags) = ((*context).into(), GucFlags::empty());
        // SAFETY: the hook is guarded against panics.
        unsafe {
            GucRegistry::define_string_guc_with_hooks(
                name, phrase, sentence, value, context, flags, *check, None, None,
            );
        }
    }

    fn read(value: Option<CString>) -> Option<CString> {
        value.filter(|text| !text.is_empty())
    }
}

impl<T: GucValue, K: Kind<T>> Setting<T, K> {
    /// What it is set to.
    pub fn get(&self) -> T {
        K::read(self.value.get())
    }
}

/// A setting of any kind.
pub trait Define: Any + Sync {
    /// Makes the setting known to PostgreSQL.
    fn define(&'static self);
}

impl<T: GucValue + 'static, K: Kind<T> + Sync + 'static> Define for Setting<T, K>
where
    GucSetting<T>: Sync,
{
    fn define(&'static self) {
        K::define(self);
    }
}

impl From<Context> for GucContext {
    fn from(context: Context) -> Self {
        match context {
            Context::Superuser => Self::Suset,
            Context::User => Self::Userset,
            Context::Sighup => Self::Sighup,
            // SAFETY: reads a variable.
            Context::Start if unsafe { pg_sys::process_shared_preload_libraries_in_progress } => Self::Postmaster,
            Context::Start => Self::Sighup,
        }
    }
}

/// Refuses a text of less than MIN or more than MAX bytes.
///
/// # Safety
/// Called by PostgreSQL as a check hook.
pub unsafe extern "C-unwind" fn length<const MIN: usize, const MAX: usize>(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to a NULL or to a NUL-terminated string; the detail lies where PostgreSQL's own do.
    unsafe {
        pgrx_extern_c_guard(|| {
            let bytes = if (*value).is_null() { 0 } else { CStr::from_ptr(*value).count_bytes() };
            let fits = (MIN..=MAX).contains(&bytes);
            if !fits {
                let least = if MIN == 0 { "at most".to_owned() } else { format!("{MIN} to") };
                let detail = CString::new(format!("It must have {least} {MAX} bytes.")).unwrap_or_default();
                pg_sys::GUC_check_errdetail_string = pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, detail.as_ptr());
            }
            fits
        })
    }
}

/// Makes a table of settings: for each a static, and a function of the setting's own name that reads it; and `ALL` of them.
macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $read:ident() -> $type:ty = $static:ident: $kind:ident {
            name: $name:expr,
            phrase: $phrase:expr,
            sentence: $sentence:expr,
            context: $context:ident,
            default: $default:expr,
            $($limits:tt)*
        }
    )+) => {
        $(
            $(#[$doc])*
            pub static $static: $crate::pg::setting::Setting<$type, $crate::pg::setting::$kind> =
                $crate::pg::setting::Setting {
                    name: $name,
                    phrase: $phrase,
                    sentence: $sentence,
                    context: $crate::pg::setting::Context::$context,
                    value: pgrx::guc::GucSetting::<$type>::new($default),
                    kind: $crate::pg::setting::$kind { $($limits)* },
                };

            $(#[$doc])*
            pub fn $read() -> $type {
                $static.get()
            }
        )+

        /// Every setting.
        pub static ALL: &[&dyn $crate::pg::setting::Define] = &[$(&$static),+];
    };
}
pub(crate) use settings;
