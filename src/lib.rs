//! MFA backup codes as SQL functions: made, hashed, stored, checked and burned inside PostgreSQL.
//!
//! A verb is a file of `api`; `store` holds the SQL, but for that of the checks in `doctor`; `pg` is the border to PostgreSQL. What
//! knows nothing of PostgreSQL (codes, hashes, keys, seals, the throttle's table) is the crate `backup_codes_core`. The map is
//! docs/architecture.md.

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
mod throttle;
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
    throttle::register();
}

pg::call::sql_functions! {
    api::generate::generate => backup_codes_generate (user);
    api::generate::generate_many => backup_codes_generate_many (user);
    api::generate::prepare => backup_codes_prepare (user);
    api::confirm::confirm => backup_codes_confirm (user);
    api::confirm::confirm_unproved => backup_codes_confirm_unproved (user);
    api::confirm::cancel => backup_codes_cancel (user);
    api::generate::regenerate => backup_codes_regenerate (user);
    api::disable::disable => backup_codes_disable (user);
    api::disable::disable_gated => backup_codes_disable_gated (user);
    api::unlock::unlock => backup_codes_unlock (user);
    api::attempt::consume => backup_codes_consume (user);
    api::attempt::attempt => backup_codes_attempt (user);
    api::status::remaining => backup_codes_remaining (user);
    api::status::status => backup_codes_status (user);
    api::mailer::claim => backup_codes_events_claim;
    api::mailer::ack => backup_codes_events_ack;
    api::mailer::release => backup_codes_events_release;
    api::mailer::extend => backup_codes_events_extend;
    api::mailer::park => backup_codes_events_park;
    api::mailer::backlog => backup_codes_events_backlog;
    api::mailer::unpark => backup_codes_events_unpark;
    api::user::forget_user_trigger => backup_codes_forget_user;
    api::user::forget_user => backup_codes_forget_user (user);
    api::user::rename_user => backup_codes_rename_user (user);
    api::user::user_id_of_texts => backup_codes_user_id_of_texts;
    api::user::user_id => backup_codes_user_id;
    api::operator::revoke_all => backup_codes_revoke_all;
    api::operator::purge => backup_codes_purge;
    api::operator::keys => backup_codes_keys;
    doctor::doctor => backup_codes_doctor;
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    include!("../pgrx-tests/settings.rs");
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
