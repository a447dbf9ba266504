//! What the planner may do while one of our statements is planned or run, whatever the caller has set.

use pgrx::pg_sys;

/// Puts variables of the planner and saves what they were, to be put back in drop, on an error as well. They are set directly,
/// which leaves no trace in pg_settings and costs nothing.
macro_rules! planner {
    ($($setting:ident ($variable:ident): $type:ty = $value:expr;)+) => {
        /// The caller's own values.
        pub struct Planner {
            $($setting: $type,)+
        }

        impl Planner {
            /// Statements that look through whole tables may do so in every way; the others are held to their indexes.
            pub fn restrict(may_scan: bool) -> Self {
                let value = |may_scan: bool| ($($value(may_scan),)+);
                // SAFETY: variables of this backend, which has one thread.
                unsafe {
                    let before = Self { $($setting: pg_sys::$variable,)+ };
                    ($(pg_sys::$variable,)+) = value(may_scan);
                    before
                }
            }
        }

        impl Drop for Planner {
            fn drop(&mut self) {
                // SAFETY: as in restrict.
                unsafe {
                    $(pg_sys::$variable = self.$setting;)+
                }
            }
        }

        /// The names of the settings, for the tests.
        #[cfg(any(test, feature = "pg_test"))]
        pub const SETTINGS: &[&str] = &[$(stringify!($setting)),+];
    };
}

planner! {
    // Whole tables are looked through only where that is meant, be it for a sequential scan or for a join: a generic plan takes
    // a LIMIT for a tenth of the table, and one that was made while the tables were empty would stay a sequential scan.
    enable_seqscan (enable_seqscan): bool = |may_scan| may_scan;
    enable_hashjoin (enable_hashjoin): bool = |may_scan| may_scan;
    enable_mergejoin (enable_mergejoin): bool = |may_scan| may_scan;
    // What is left must be there.
    enable_indexscan (enable_indexscan): bool = |_| true;
    enable_indexonlyscan (enable_indexonlyscan): bool = |_| true;
    enable_bitmapscan (enable_bitmapscan): bool = |_| true;
    enable_tidscan (enable_tidscan): bool = |_| true;
    enable_nestloop (enable_nestloop): bool = |_| true;
    enable_sort (enable_sort): bool = |_| true;
    // And cheaper than what is switched off, which is only made to look expensive.
    seq_page_cost (seq_page_cost): f64 = |_| 1.0;
    random_page_cost (random_page_cost): f64 = |_| 1.1;
    cpu_tuple_cost (cpu_tuple_cost): f64 = |_| 0.01;
    cpu_index_tuple_cost (cpu_index_tuple_cost): f64 = |_| 0.005;
    cpu_operator_cost (cpu_operator_cost): f64 = |_| 0.0025;
    // The order of joins is found by looking at all of them, of which there are few.
    geqo (enable_geqo): bool = |_| false;
    // Compiling takes longer than any of our statements runs.
    jit (jit_enabled): bool = |_| false;
    // A plan for the parameters of one call shows them to the caller who has it printed: they are hashes.
    plan_cache_mode (plan_cache_mode): i32 = |_| pg_sys::PlanCacheMode::PLAN_CACHE_MODE_AUTO as i32;
    debug_print_plan (Debug_print_plan): bool = |_| false;
    debug_print_parse (Debug_print_parse): bool = |_| false;
    debug_print_rewritten (Debug_print_rewritten): bool = |_| false;
}
