//! MFA backup codes as SQL functions: made, hashed, stored, checked and burned inside PostgreSQL.
//!
//! A verb is a file. `code` and `hash` are pure; `store` holds all SQL; `call` and `error` are the border to PostgreSQL.

#[cfg(not(panic = "unwind"))]
compile_error!("backup_codes must be built with panic = \"unwind\": a panic has to become an error, not a crash");

use pgrx::prelude::*;

mod announce;
mod api;
mod doctor;
mod events;
mod key_file;
mod pg;
mod settings;
mod store;
mod user_id;

pg_module_magic!();

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/functions.sql", name = "functions", requires = ["schema"]);
extension_sql_file!("../sql/comments.sql", name = "comments", requires = ["functions"]);
extension_sql_file!("../sql/privileges.sql", name = "privileges", finalize);

/// Called by PostgreSQL when the library is loaded.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::register();
    announce::register();
}

pg::call::sql_functions! {
    api::generate::generate =>
        Bigint backup_codes_generate_bigint "pg_finfo_backup_codes_generate_bigint",
        Uuid backup_codes_generate_uuid "pg_finfo_backup_codes_generate_uuid",
        Text backup_codes_generate_text "pg_finfo_backup_codes_generate_text";
    api::generate::generate_many =>
        Bigint backup_codes_generate_many_bigint "pg_finfo_backup_codes_generate_many_bigint",
        Uuid backup_codes_generate_many_uuid "pg_finfo_backup_codes_generate_many_uuid",
        Text backup_codes_generate_many_text "pg_finfo_backup_codes_generate_many_text";
    api::generate::prepare =>
        Bigint backup_codes_prepare_bigint "pg_finfo_backup_codes_prepare_bigint",
        Uuid backup_codes_prepare_uuid "pg_finfo_backup_codes_prepare_uuid",
        Text backup_codes_prepare_text "pg_finfo_backup_codes_prepare_text";
    api::confirm::confirm =>
        Bigint backup_codes_confirm_bigint "pg_finfo_backup_codes_confirm_bigint",
        Uuid backup_codes_confirm_uuid "pg_finfo_backup_codes_confirm_uuid",
        Text backup_codes_confirm_text "pg_finfo_backup_codes_confirm_text";
    api::confirm::confirm_unproved =>
        Bigint backup_codes_confirm_unproved_bigint "pg_finfo_backup_codes_confirm_unproved_bigint",
        Uuid backup_codes_confirm_unproved_uuid "pg_finfo_backup_codes_confirm_unproved_uuid",
        Text backup_codes_confirm_unproved_text "pg_finfo_backup_codes_confirm_unproved_text";
    api::confirm::cancel =>
        Bigint backup_codes_cancel_bigint "pg_finfo_backup_codes_cancel_bigint",
        Uuid backup_codes_cancel_uuid "pg_finfo_backup_codes_cancel_uuid",
        Text backup_codes_cancel_text "pg_finfo_backup_codes_cancel_text";
    api::generate::regenerate =>
        Bigint backup_codes_regenerate_bigint "pg_finfo_backup_codes_regenerate_bigint",
        Uuid backup_codes_regenerate_uuid "pg_finfo_backup_codes_regenerate_uuid",
        Text backup_codes_regenerate_text "pg_finfo_backup_codes_regenerate_text";
    api::disable::disable =>
        Bigint backup_codes_disable_bigint "pg_finfo_backup_codes_disable_bigint",
        Uuid backup_codes_disable_uuid "pg_finfo_backup_codes_disable_uuid",
        Text backup_codes_disable_text "pg_finfo_backup_codes_disable_text";
    api::disable::disable_gated =>
        Bigint backup_codes_disable_gated_bigint "pg_finfo_backup_codes_disable_gated_bigint",
        Uuid backup_codes_disable_gated_uuid "pg_finfo_backup_codes_disable_gated_uuid",
        Text backup_codes_disable_gated_text "pg_finfo_backup_codes_disable_gated_text";
    api::attempt::consume =>
        Bigint backup_codes_consume_bigint "pg_finfo_backup_codes_consume_bigint",
        Uuid backup_codes_consume_uuid "pg_finfo_backup_codes_consume_uuid",
        Text backup_codes_consume_text "pg_finfo_backup_codes_consume_text";
    api::attempt::attempt =>
        Bigint backup_codes_attempt_bigint "pg_finfo_backup_codes_attempt_bigint",
        Uuid backup_codes_attempt_uuid "pg_finfo_backup_codes_attempt_uuid",
        Text backup_codes_attempt_text "pg_finfo_backup_codes_attempt_text";
    api::status::remaining =>
        Bigint backup_codes_remaining_bigint "pg_finfo_backup_codes_remaining_bigint",
        Uuid backup_codes_remaining_uuid "pg_finfo_backup_codes_remaining_uuid",
        Text backup_codes_remaining_text "pg_finfo_backup_codes_remaining_text";
    api::status::status =>
        Bigint backup_codes_status_bigint "pg_finfo_backup_codes_status_bigint",
        Uuid backup_codes_status_uuid "pg_finfo_backup_codes_status_uuid",
        Text backup_codes_status_text "pg_finfo_backup_codes_status_text";
    api::mailer::claim => None backup_codes_events_claim "pg_finfo_backup_codes_events_claim";
    api::mailer::ack => None backup_codes_events_ack "pg_finfo_backup_codes_events_ack";
    api::mailer::release => None backup_codes_events_release "pg_finfo_backup_codes_events_release";
    api::user::forget_user => None backup_codes_forget_user "pg_finfo_backup_codes_forget_user";
    api::operator::revoke_all => None backup_codes_revoke_all "pg_finfo_backup_codes_revoke_all";
    api::operator::purge => None backup_codes_purge "pg_finfo_backup_codes_purge";
    api::operator::keys => None backup_codes_keys "pg_finfo_backup_codes_keys";
    doctor::doctor => None backup_codes_doctor "pg_finfo_backup_codes_doctor";
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    include!("../pgrx-tests/settings.rs");
    include!("../pgrx-tests/errors.rs");
    include!("../pgrx-tests/plans.rs");
    include!("../pgrx-tests/citus.rs");
}

/// What `cargo pgrx test` asks for.
#[cfg(test)]
pub mod pg_test {
    /// Called once before the tests.
    pub fn setup(_options: Vec<&str>) {}

    /// Settings of the test cluster.
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
