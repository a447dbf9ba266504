//! What waits to be looked after.

use super::{Check, Scene, Verdict, counted, findings};
use crate::announce;
use crate::pg::error::Result;
use crate::store::statement::{Statement, statement};

pub const CHECKS: &[Check] = &[
    Check { name: "events_waiting", examine: events_waiting },
    Check { name: "events_failing", examine: events_failing },
    Check { name: "users_locked", examine: users_locked },
    Check { name: "pending_sets", examine: pending_sets },
    Check { name: "expired_sets", examine: expired_sets },
    PREPARED_TRANSACTIONS,
    Check { name: "notification_queue", examine: notification_queue },
];

/// More events than this that wait are a pile.
const MAX_WAITING: i64 = 10_000;

statement! {
    CountWaiting: Everything, Callers
    ()
    ["SELECT "]
    => WaitingEvents {
        waiting: i64 = "count(*)", late: i64 = "count(*) FILTER (WHERE at < clock_timestamp() - interval '1 hour')"
    }
    [" FROM backup_codes.event WHERE due_at < 'infinity'"]
}

fn events_waiting(_: &Scene) -> Result<Verdict> {
    let (waiting, late) = CountWaiting {}.first()?.map_or((0, 0), |row| (row.waiting, row.late));
    let detail = counted(waiting, "event") + " to be delivered";
    if late == 0 && waiting <= MAX_WAITING {
        return Ok(Verdict::ok(detail));
    }
    Ok(Verdict::warning(
        format!("{detail}, {late} of them for more than an hour"),
        "SELECT kind, delivery, count(*), min(at) FROM backup_codes.events WHERE delivery IN ('waiting', 'leased') GROUP BY 1, 2;
-- start the mailer again; where there is none: ALTER SYSTEM SET backup_codes.outbox = off;",
    ))
}

statement! {
    CountFailing: Everything, Callers
    ()
    ["SELECT "]
    => FailingEvents {
        retried: i64 = "count(*) FILTER (WHERE due_at < 'infinity' AND attempts >= 10)",
        parked: i64 = "count(*) FILTER (WHERE due_at = 'infinity')"
    }
    [" FROM backup_codes.event WHERE due_at IS NOT NULL"]
}

fn events_failing(scene: &Scene) -> Result<Verdict> {
    let (retried, parked) = CountFailing {}.first()?.map_or((0, 0), |row| (row.retried, row.parked));
    let hint = "SELECT event_id, user_id, kind, attempts, delivery, park_reason FROM backup_codes.events WHERE delivery = 'parked' OR attempts >= 10 AND delivery <> 'delivered';";
    let detail = format!("{} parked, {retried} tried ten times or more", counted(parked, "event"));
    Ok(match (parked, retried) {
        (0, 0) => Verdict::ok("no event was tried ten times"),
        (0, _) => Verdict::warning(detail, hint),
        _ => Verdict::problem(
            detail,
            format!(
                "{hint}\n-- once what parked them is mended, until it returns 0:\nSELECT {}.backup_codes_events_unpark();",
                scene.api
            ),
        ),
    })
}

statement! {
    CountLocked: Everything, Callers
    ()
    ["SELECT "]
    => LockedUsers { users: i64 = "count(*)" }
    [" FROM backup_codes.account WHERE locked_until > clock_timestamp() AND locked_until <= clock_timestamp() + interval '48 hours'"]
}

fn users_locked(_: &Scene) -> Result<Verdict> {
    let users = CountLocked {}.first()?.map_or(0, |row| row.users);
    if users == 0 {
        return Ok(Verdict::ok("nobody is locked"));
    }
    Ok(Verdict::warning(
        format!("{} locked after too many failures", counted(users, "user")),
        "SELECT user_id, failures, locked_until FROM backup_codes.overview WHERE locked_until IS NOT NULL;",
    ))
}

statement! {
    CountAbandoned: Everything, Callers
    ()
    ["SELECT "]
    => AbandonedSets { sets: i64 = "count(*)" }
    [" FROM backup_codes.pending_set WHERE generated_at < clock_timestamp() - interval '1 day'"]
}

fn pending_sets(scene: &Scene) -> Result<Verdict> {
    let sets = CountAbandoned {}.first()?.map_or(0, |row| row.sets);
    if sets == 0 {
        return Ok(Verdict::ok("no set has waited for confirmation for more than a day"));
    }
    Ok(Verdict::warning(
        format!("{} waited for confirmation for more than a day", counted(sets, "set")),
        format!(
            "SELECT {}.backup_codes_cancel(user_id) FROM backup_codes.pending_set WHERE generated_at < now() - interval '1 day';",
            scene.api
        ),
    ))
}

statement! {
    CountExpired: Everything, Callers
    ()
    ["SELECT "]
    => ExpiredSets { sets: i64 = "count(*)" }
    [" FROM backup_codes.account WHERE set_no IS NOT NULL AND expires_at < clock_timestamp() - interval '90 days'"]
}

fn expired_sets(scene: &Scene) -> Result<Verdict> {
    let sets = CountExpired {}.first()?.map_or(0, |row| row.sets);
    if sets == 0 {
        return Ok(Verdict::ok("no set expired more than 90 days ago"));
    }
    Ok(Verdict::warning(
        format!("{} expired more than 90 days ago", counted(sets, "set")),
        format!("SELECT {}.backup_codes_purge();", scene.api),
    ))
}

findings! {
    /// It keeps a user's row, over a disconnect and a restart: nobody can log in as them with a code until it ends. Its locks have
    /// no process, and what they have in common with it is the lock on its own transaction id.
    PREPARED_TRANSACTIONS = "prepared_transactions", Warning, "no prepared transaction holds a user's row"
    FindPrepared
    ["SELECT "]
    what ["format('%L of %I, prepared at %s', p.gid, p.owner, date_trunc('second', p.prepared))"]
    remedy ["format('ROLLBACK PREPARED %L; -- or COMMIT PREPARED', p.gid)"]
    [" FROM pg_prepared_xacts AS p
      WHERE p.database = current_database()
        AND EXISTS (SELECT FROM pg_locks AS x
                      JOIN pg_locks AS l ON l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction
                      JOIN pg_database AS d ON d.oid = l.database AND d.datname = current_database()
                      JOIN pg_class AS c ON c.oid = l.relation AND c.relnamespace = 'backup_codes'::regnamespace
                     WHERE x.pid IS NULL AND x.transactionid = p.transaction
                       AND l.mode IN ('RowShareLock', 'RowExclusiveLock'))
      ORDER BY p.prepared, p.gid"]
}

/// It is empty unless a session that listens does not read: 80 MB have piled up at a hundredth.
const QUEUE_FILLS: f64 = 0.01;

fn notification_queue(_: &Scene) -> Result<Verdict> {
    let usage = announce::queue_usage();
    let detail = format!("PostgreSQL's queue of notifications is {:.0} % full", usage * 100.0);
    let hint = "SELECT pid, usename, datname, xact_start, query FROM pg_stat_activity WHERE xact_start < now() - interval '1 minute' ORDER BY xact_start;
-- the queue is emptied when a session that listens ends its transaction: SELECT pg_terminate_backend(pid);";
    Ok(if usage > announce::MAX_QUEUE_USAGE {
        Verdict::problem(format!("{detail}: no event is announced any more"), hint)
    } else if usage >= QUEUE_FILLS {
        Verdict::warning(detail, hint)
    } else {
        Verdict::ok("PostgreSQL's queue of notifications is empty, or nearly so")
    })
}
