//! The texts. A test explains every statement of one user and finds index probes only.

use pgrx::pg_sys::BuiltinOid::{
    BOOLOID, BYTEAARRAYOID, BYTEAOID, CHAROID, INT2ARRAYOID, INT2OID, INT4ARRAYOID, INT4OID, TEXTARRAYOID, TEXTOID,
    TIDOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID,
};

use super::plan::Statement;

/// The head of every event: parameters $2 to $6 are its id, time, due time, context and the limit for low.
macro_rules! insert_event {
    ($($rest:literal),+) => {
        concat!(
            "INSERT INTO backup_codes.event (user_id, event_id, at, due_at, context, kind, reason, set_no, ordinal, remaining, low) ",
            $($rest,)+
        )
    };
}

/// What an account row holds without a set.
macro_rules! no_set {
    () => {
        "set_no = NULL, replaced_set_no = NULL, generated_at = NULL, confirmed_at = NULL, expires_at = NULL, \
         last_used_at = NULL, locked_until = NULL, failures = 0, alphabet = NULL, length = NULL, scheme = NULL, \
         argon2_memory = NULL, argon2_iterations = NULL, salt = NULL, key_id = NULL, key_check = NULL, \
         total = NULL, unused = 0, burned = ''"
    };
}

pub static ACCOUNT: Statement = Statement::new(
    "SELECT set_no, alphabet, length, scheme, argon2_memory, argon2_iterations, salt, key_id, key_check, expires_at,
            locked_until, ctid, failures, unused, burned
       FROM backup_codes.account WHERE user_id = $1",
    &[TEXTOID],
);

/// A plain read: [`COUNT_SPENT`] decides.
pub static FIND: Statement = Statement::new(
    "SELECT ordinal, ctid FROM backup_codes.code WHERE user_id = $1 AND code_hash = $3 AND set_no = $2",
    &[TEXTOID, INT4OID, BYTEAOID],
);

/// Decides about a code that was found: the condition is checked on the row that is there once its lock is held. A code of a
/// set is live as long as no other code of it has been spent since it was found, which the number of unused ones tells.
pub static COUNT_SPENT: Statement = Statement::new(
    "UPDATE backup_codes.account
        SET unused = $4 - 1, failures = 0, locked_until = NULL, last_used_at = $5, burned = burned || int2send($6) || $7
      WHERE user_id = $1 AND ctid = $2 AND set_no = $3 AND unused = $4 AND (expires_at IS NULL OR expires_at > $5)
        AND (locked_until IS NULL OR locked_until <= $5)",
    &[TEXTOID, TIDOID, INT4OID, INT2OID, TIMESTAMPTZOID, INT2OID, BYTEAOID],
);

pub static BURN: Statement = Statement::new(
    "DELETE FROM backup_codes.code WHERE user_id = $1 AND ctid = $2 AND code_hash = $3",
    &[TEXTOID, TIDOID, BYTEAOID],
);

/// Counts failure number $6 and locks the user until $7 when it is his turn, unless the account has changed in any way that
/// matters since it was read: then the attempt begins anew.
pub static COUNT_FAILURE: Statement = Statement::new(
    "UPDATE backup_codes.account SET failures = $6, locked_until = coalesce($7, locked_until)
      WHERE user_id = $1 AND ctid = $2 AND set_no = $3 AND unused = $4 AND failures = $6 - 1
        AND (locked_until IS NULL OR locked_until <= $5)",
    &[TEXTOID, TIDOID, INT4OID, INT2OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID],
);

/// $6 to $11: kind, reason, set_no, ordinal, remaining, low.
pub static TELL: Statement = Statement::new(
    insert_event!("VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
    &[TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT2OID, INT2OID, BOOLOID],
);

/// Removes the active set; a pending one stays.
pub static REMOVE_ACTIVE: Statement = Statement::new(
    concat!(
        "WITH old AS (
           SELECT set_no FROM backup_codes.account WHERE user_id = $1
         ), gone AS (
           DELETE FROM backup_codes.code AS c USING old AS o WHERE c.user_id = $1 AND c.set_no = o.set_no
         ), cleared AS (
           UPDATE backup_codes.account AS a SET ",
        no_set!(),
        " WHERE a.user_id = $1
         ) ",
        insert_event!(
            "SELECT $1, $2, $3, $4, $5, 'disabled', 'failures', set_no, NULL, 0, 0 <= $6 FROM old
             RETURNING remaining, low"
        )
    ),
    ACT,
);

/// Counts a wrong proof of a pending set.
pub static COUNT_PROOF: Statement = Statement::new(
    "UPDATE backup_codes.pending_set SET failures = failures + 1 WHERE user_id = $1 RETURNING failures >= $2",
    &[TEXTOID, INT4OID],
);

/// Makes a new set the active one of whoever stands in the source.
macro_rules! activate {
    ($source:literal, $returning:literal) => {
        concat!(
            "INSERT INTO backup_codes.account AS a
                    (user_id, set_counter, set_no, generated_at, alphabet, length, scheme, argon2_memory,
                     argon2_iterations, salt, key_id, key_check, total, unused, expires_at) ",
            $source,
            " ON CONFLICT (user_id) DO UPDATE
                SET set_counter = a.set_counter + 1, set_no = a.set_counter + 1, replaced_set_no = a.set_no,
                    generated_at = excluded.generated_at, confirmed_at = NULL, expires_at = excluded.expires_at,
                    last_used_at = NULL, locked_until = NULL, failures = 0,
                    alphabet = excluded.alphabet, length = excluded.length, scheme = excluded.scheme,
                    argon2_memory = excluded.argon2_memory, argon2_iterations = excluded.argon2_iterations,
                    salt = excluded.salt, key_id = excluded.key_id, key_check = excluded.key_check,
                    total = excluded.total, unused = excluded.unused, burned = ''
             RETURNING set_no, replaced_set_no",
            $returning
        )
    };
}

pub static ACTIVATE_NEW: Statement = Statement::new(
    activate!("VALUES ($1, 1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)", ""),
    &[
        TEXTOID,
        TIMESTAMPTZOID,
        CHAROID,
        INT2OID,
        CHAROID,
        INT4OID,
        INT2OID,
        BYTEAOID,
        INT4OID,
        BYTEAOID,
        INT2OID,
        TIMESTAMPTZOID,
    ],
);

/// Removes the codes of every set but $2, and with $3 the pending set.
pub static CLEAR: Statement = Statement::new(
    "WITH dropped AS (
       DELETE FROM backup_codes.pending_set WHERE user_id = $1 AND $3
     )
     DELETE FROM backup_codes.code WHERE user_id = $1 AND set_no IS DISTINCT FROM $2",
    &[TEXTOID, INT4OID, BOOLOID],
);

/// Arrays are unnested in the target list, where rows come one by one: in FROM each of them would be stored first, which took
/// a fifth of enrolling.
pub static MAKE: Statement = Statement::new(
    "INSERT INTO backup_codes.code (user_id, set_no, ordinal, code_hash)
     SELECT $1, $2, unnest($3), unnest($4)",
    &[TEXTOID, INT4OID, INT2ARRAYOID, BYTEAARRAYOID],
);

/// The same for many users, $1, with their salts, $2.
pub static ACTIVATE_MANY: Statement = Statement::new(
    activate!("SELECT unnest($1), 1, 1, $3, $4, $5, $6, $7, $8, unnest($2), $9, $10, $11, $11, $12", ", user_id"),
    &[
        TEXTARRAYOID,
        BYTEAARRAYOID,
        TIMESTAMPTZOID,
        CHAROID,
        INT2OID,
        CHAROID,
        INT4OID,
        INT2OID,
        INT4OID,
        BYTEAOID,
        INT2OID,
        TIMESTAMPTZOID,
    ],
);

/// Removes every code and every pending set of many users.
pub static CLEAR_MANY: Statement = Statement::new(
    "WITH dropped AS (
       DELETE FROM backup_codes.pending_set WHERE user_id = ANY ($1)
     )
     DELETE FROM backup_codes.code WHERE user_id = ANY ($1)",
    &[TEXTARRAYOID],
);

pub static MAKE_MANY: Statement = Statement::new(
    "INSERT INTO backup_codes.code (user_id, set_no, ordinal, code_hash)
     SELECT unnest($1), unnest($2), unnest($3), unnest($4)",
    &[TEXTARRAYOID, INT4ARRAYOID, INT2ARRAYOID, BYTEAARRAYOID],
);

/// $6 the kinds, $7 the numbers of the sets, $8 remaining, $9 low.
pub static TELL_MANY: Statement = Statement::new(
    insert_event!("SELECT unnest($1), unnest($2), $3, $4, $5, unnest($6), NULL, unnest($7), NULL, $8, $9"),
    &[
        TEXTARRAYOID,
        UUIDARRAYOID,
        TIMESTAMPTZOID,
        TIMESTAMPTZOID,
        TEXTOID,
        TEXTARRAYOID,
        INT4ARRAYOID,
        INT2OID,
        BOOLOID,
    ],
);

pub static COUNT_SET: Statement = Statement::new(
    "INSERT INTO backup_codes.account AS a (user_id, set_counter) VALUES ($1, 1)
     ON CONFLICT (user_id) DO UPDATE SET set_counter = a.set_counter + 1
     RETURNING set_counter, set_no, unused",
    &[TEXTOID],
);

/// $4 to $13: the facts of the set.
pub static KEEP_PENDING: Statement = Statement::new(
    "INSERT INTO backup_codes.pending_set AS p
            (user_id, set_no, generated_at, alphabet, length, scheme, argon2_memory, argon2_iterations,
             salt, key_id, key_check, total, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
     ON CONFLICT (user_id) DO UPDATE
        SET set_no = excluded.set_no, generated_at = excluded.generated_at, expires_at = excluded.expires_at,
            failures = 0, alphabet = excluded.alphabet, length = excluded.length, scheme = excluded.scheme,
            argon2_memory = excluded.argon2_memory, argon2_iterations = excluded.argon2_iterations,
            salt = excluded.salt, key_id = excluded.key_id, key_check = excluded.key_check,
            total = excluded.total",
    &[
        TEXTOID,
        INT4OID,
        TIMESTAMPTZOID,
        CHAROID,
        INT2OID,
        CHAROID,
        INT4OID,
        INT2OID,
        BYTEAOID,
        INT4OID,
        BYTEAOID,
        INT2OID,
        TIMESTAMPTZOID,
    ],
);

/// Writes the row, rather than lock it: at REPEATABLE READ the next writer must find it changed.
pub static TAKE: Statement = Statement::new(
    "UPDATE backup_codes.account SET set_counter = set_counter WHERE user_id = $1 RETURNING unused",
    &[TEXTOID],
);

pub static PENDING: Statement = Statement::new(
    "SELECT set_no, alphabet, length, scheme, argon2_memory, argon2_iterations, salt, key_id, key_check, expires_at
       FROM backup_codes.pending_set WHERE user_id = $1",
    &[TEXTOID],
);

pub static CONFIRM: Statement = Statement::new(
    concat!(
        "WITH pending AS (
           DELETE FROM backup_codes.pending_set WHERE user_id = $1 RETURNING *
         ), gone AS (
           DELETE FROM backup_codes.code AS c USING pending AS p WHERE c.user_id = $1 AND c.set_no <> p.set_no
         ), confirmed AS (
           UPDATE backup_codes.account AS a
              SET set_no = p.set_no, replaced_set_no = a.set_no, generated_at = p.generated_at, confirmed_at = $3,
                  expires_at = p.expires_at, last_used_at = NULL, locked_until = NULL, failures = 0,
                  alphabet = p.alphabet, length = p.length, scheme = p.scheme, argon2_memory = p.argon2_memory,
                  argon2_iterations = p.argon2_iterations, salt = p.salt, key_id = p.key_id, key_check = p.key_check,
                  total = p.total, unused = p.total, burned = ''
             FROM pending AS p
            WHERE a.user_id = $1
           RETURNING a.set_no, a.unused
         ) ",
        insert_event!(
            "SELECT $1, $2, $3, $4, $5, 'confirmed', NULL, set_no, NULL, unused, unused <= $6 FROM confirmed
             RETURNING remaining, low"
        )
    ),
    ACT,
);

pub static CANCEL: Statement = Statement::new(
    concat!(
        "WITH pending AS (
           DELETE FROM backup_codes.pending_set WHERE user_id = $1 RETURNING set_no
         ), gone AS (
           DELETE FROM backup_codes.code AS c USING pending AS p WHERE c.user_id = $1 AND c.set_no = p.set_no
         ) ",
        insert_event!(
            "SELECT $1, $2, $3, $4, $5, 'cancelled', $7, p.set_no, NULL, a.unused,
                    a.set_no IS NOT NULL AND a.unused <= $6
               FROM pending AS p JOIN backup_codes.account AS a ON a.user_id = $1
             RETURNING remaining, low"
        )
    ),
    &[TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TEXTOID],
);

/// The event names the active set, or the pending one where there was no other.
pub static DISABLE: Statement = Statement::new(
    concat!(
        "WITH pending AS (
           DELETE FROM backup_codes.pending_set WHERE user_id = $1 RETURNING set_no
         ), gone AS (
           DELETE FROM backup_codes.code WHERE user_id = $1
         ), before AS (
           SELECT coalesce(a.set_no, p.set_no) AS set_no
             FROM backup_codes.account AS a LEFT JOIN pending AS p ON true
            WHERE a.user_id = $1 AND coalesce(a.set_no, p.set_no) IS NOT NULL
         ), cleared AS (
           UPDATE backup_codes.account AS a SET ",
        no_set!(),
        " WHERE a.user_id = $1
         ) ",
        insert_event!(
            "SELECT $1, $2, $3, $4, $5, 'disabled', 'request', set_no, NULL, 0, 0 <= $6 FROM before
             RETURNING remaining, low"
        )
    ),
    ACT,
);

/// The parameters of a statement that takes user and event only.
const ACT: &[pgrx::pg_sys::BuiltinOid] = &[TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID];

pub static FORGET: Statement = Statement::new(
    "WITH codes AS (
       DELETE FROM backup_codes.code WHERE user_id = $1
     ), pending AS (
       DELETE FROM backup_codes.pending_set WHERE user_id = $1
     ), events AS (
       DELETE FROM backup_codes.event WHERE user_id = $1
     )
     DELETE FROM backup_codes.account WHERE user_id = $1",
    &[TEXTOID],
);

pub static REMAINING: Statement =
    Statement::new("SELECT unused, expires_at FROM backup_codes.account WHERE user_id = $1", &[TEXTOID]);

pub static STATUS: Statement = Statement::new(
    "SELECT a.unused, a.total,
            p.user_id IS NOT NULL AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp()),
            a.generated_at, a.confirmed_at, a.expires_at, a.last_used_at,
            CASE WHEN a.locked_until > clock_timestamp() THEN a.locked_until END, a.burned
       FROM backup_codes.account AS a
       LEFT JOIN backup_codes.pending_set AS p ON p.user_id = $1
      WHERE a.user_id = $1",
    &[TEXTOID],
);

/// Maintenance: whose sets were made before $1. Locked in the order of user_id, so that two runs cannot deadlock.
pub static REVOCABLE: Statement = Statement::scanning(
    "SELECT a.user_id
       FROM backup_codes.account AS a LEFT JOIN backup_codes.pending_set AS p ON p.user_id = a.user_id
      WHERE (a.set_no IS NOT NULL AND a.generated_at < $1) OR p.generated_at < $1
      ORDER BY a.user_id
      LIMIT $2
        FOR NO KEY UPDATE OF a",
    &[TIMESTAMPTZOID, INT4OID],
);

/// Decides again, under the locks: a set may have been confirmed or replaced meanwhile.
pub static REVOKE: Statement = Statement::new(
    concat!(
        "WITH due AS (
           SELECT * FROM unnest($1, $2) AS d (user_id, event_id)
         ), dropped AS (
           DELETE FROM backup_codes.pending_set AS p USING due AS d
            WHERE p.user_id = d.user_id AND p.generated_at < $7
           RETURNING p.user_id, p.set_no
         ), old AS (
           SELECT a.user_id, a.set_no, a.unused, a.set_no IS NOT NULL AND a.generated_at < $7 AS revoked
             FROM backup_codes.account AS a JOIN due AS d ON d.user_id = a.user_id
         ), cleared AS (
           UPDATE backup_codes.account AS a SET ",
        no_set!(),
        "    FROM old AS o WHERE a.user_id = o.user_id AND o.revoked
         ), gone AS (
           DELETE FROM backup_codes.code AS c
            USING (SELECT user_id, set_no FROM old WHERE revoked
                   UNION ALL SELECT user_id, set_no FROM dropped) AS s
            WHERE c.user_id = s.user_id AND c.set_no = s.set_no
         ) ",
        insert_event!(
            "SELECT o.user_id, d.event_id, $3, $4, $5, 'revoked', 'request',
                    CASE WHEN o.revoked THEN o.set_no ELSE p.set_no END, NULL,
                    CASE WHEN o.revoked THEN 0 ELSE o.unused END,
                    CASE WHEN o.revoked THEN 0 ELSE o.unused END <= $6
               FROM due AS d JOIN old AS o ON o.user_id = d.user_id LEFT JOIN dropped AS p ON p.user_id = d.user_id
              WHERE o.revoked OR p.user_id IS NOT NULL
             RETURNING user_id, event_id, remaining, low"
        )
    ),
    &[TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TIMESTAMPTZOID],
);

/// Maintenance: who has something that has been dead since before $1.
pub static PURGEABLE: Statement = Statement::scanning(
    "SELECT user_id FROM backup_codes.account WHERE expires_at < $1
      UNION
     SELECT user_id FROM backup_codes.pending_set WHERE generated_at < $1
      UNION
     SELECT user_id FROM backup_codes.event WHERE at < $1 AND ($2 OR due_at IS NULL)
      UNION
     SELECT user_id FROM backup_codes.account AS a
      WHERE set_no IS NULL
        AND NOT EXISTS (SELECT FROM backup_codes.pending_set AS p WHERE p.user_id = a.user_id)
        AND NOT EXISTS (SELECT FROM backup_codes.event AS e WHERE e.user_id = a.user_id)
      ORDER BY user_id
      LIMIT $3",
    &[TIMESTAMPTZOID, BOOLOID, INT4OID],
);

/// Of these users, those whom nobody is busy with.
pub static LOCK_IDLE: Statement = Statement::new(
    "WITH locked AS (
       SELECT user_id FROM backup_codes.account WHERE user_id = ANY ($1) ORDER BY user_id FOR UPDATE SKIP LOCKED
     )
     SELECT user_id FROM locked
      UNION ALL
     SELECT w.user_id FROM unnest($1) AS w (user_id)
      WHERE NOT EXISTS (SELECT FROM backup_codes.account AS a WHERE a.user_id = w.user_id)",
    &[TEXTARRAYOID],
);

/// Decides again, under the locks. An expired set goes without an event, since nothing changes for its user; a pending set
/// that could still be confirmed is cancelled.
pub static PURGE: Statement = Statement::new(
    concat!(
        "WITH due AS (
           SELECT * FROM unnest($1, $2) AS d (user_id, event_id)
         ), dropped AS (
           DELETE FROM backup_codes.pending_set AS p USING due AS d
            WHERE p.user_id = d.user_id AND p.generated_at < $7
           RETURNING p.user_id, p.set_no
         ), old AS (
           SELECT a.user_id, a.set_no, a.unused, a.expires_at IS NOT NULL AND a.expires_at < $7 AS expired
             FROM backup_codes.account AS a JOIN due AS d ON d.user_id = a.user_id
         ), cleared AS (
           UPDATE backup_codes.account AS a SET ",
        no_set!(),
        "    FROM old AS o WHERE a.user_id = o.user_id AND o.expired
           RETURNING a.user_id
         ), gone AS (
           DELETE FROM backup_codes.code AS c
            USING (SELECT user_id, set_no FROM old WHERE expired
                   UNION ALL SELECT user_id, set_no FROM dropped) AS s
            WHERE c.user_id = s.user_id AND c.set_no = s.set_no
         ), forgotten AS (
           DELETE FROM backup_codes.event AS e USING due AS d
            WHERE e.user_id = d.user_id AND e.at < $7 AND ($8 OR e.due_at IS NULL)
           RETURNING e.user_id
         ), emptied AS (
           DELETE FROM backup_codes.account AS a USING old AS o
            WHERE a.user_id = o.user_id AND o.set_no IS NULL
              AND NOT EXISTS (SELECT FROM backup_codes.pending_set AS p WHERE p.user_id = a.user_id)
              AND NOT EXISTS (SELECT FROM backup_codes.event AS e WHERE e.user_id = a.user_id)
           RETURNING a.user_id
         ), told AS (",
        insert_event!(
            "SELECT o.user_id, d.event_id, $3, $4, $5, 'cancelled', NULL, p.set_no, NULL,
                    CASE WHEN o.expired THEN 0 ELSE o.unused END,
                    CASE WHEN o.expired THEN 0 ELSE o.unused END <= $6
               FROM due AS d JOIN old AS o ON o.user_id = d.user_id JOIN dropped AS p ON p.user_id = d.user_id
             RETURNING user_id, event_id, remaining, low"
        ),
        ")
         SELECT u.user_id, t.event_id, t.remaining, t.low
           FROM (SELECT user_id FROM dropped UNION SELECT user_id FROM cleared
                 UNION SELECT user_id FROM forgotten UNION SELECT user_id FROM emptied) AS u
           LEFT JOIN told AS t ON t.user_id = u.user_id"
    ),
    &[TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TIMESTAMPTZOID, BOOLOID],
);

/// Leases the oldest events that are due. What was claimed $5 times is parked instead. A released or expired event keeps its
/// place by `due_at`, which says from when on it may be claimed (again).
pub static CLAIM: Statement = Statement::new(
    "WITH due AS MATERIALIZED (
       SELECT user_id, event_id FROM backup_codes.event
        WHERE due_at <= $1
        ORDER BY due_at
        LIMIT $4
          FOR UPDATE SKIP LOCKED
     )
     UPDATE backup_codes.event AS e
        SET lease = CASE WHEN coalesce(e.attempts, 0) < $5 THEN $2 END,
            due_at = CASE WHEN coalesce(e.attempts, 0) < $5 THEN $3 ELSE 'infinity' END,
            attempts = least(coalesce(e.attempts, 0) + 1, $5)
       FROM due
      WHERE e.user_id = due.user_id AND e.event_id = due.event_id
     RETURNING e.lease IS NOT NULL, e.event_id, e.user_id, e.kind, e.reason, e.at, e.set_no, e.ordinal::integer,
               e.remaining::integer, e.low, e.actor, e.client_addr, e.context, e.attempts::integer",
    &[TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID, INT4OID, INT4OID],
);

/// The events of a lease are due when it ends, all at the same time, so that the index of what waits finds them.
pub static ACKNOWLEDGE: Statement = Statement::new(
    "UPDATE backup_codes.event SET lease = NULL, due_at = NULL, delivered_at = $4
      WHERE due_at = $2 AND lease = $1 AND event_id = ANY ($3)
     RETURNING event_id",
    &[UUIDOID, TIMESTAMPTZOID, UUIDARRAYOID, TIMESTAMPTZOID],
);

/// What was claimed $5 times is parked.
pub static RELEASE: Statement = Statement::new(
    "UPDATE backup_codes.event SET lease = NULL, due_at = CASE WHEN attempts < $5 THEN $4 ELSE 'infinity' END
      WHERE due_at = $2 AND lease = $1 AND event_id = ANY ($3)
     RETURNING event_id",
    &[UUIDOID, TIMESTAMPTZOID, UUIDARRAYOID, TIMESTAMPTZOID, INT4OID],
);

pub static WAITING: Statement = Statement::new(
    "SELECT due_at FROM backup_codes.event WHERE due_at >= $1 AND due_at <= $2 ORDER BY due_at LIMIT 1",
    &[TIMESTAMPTZOID, TIMESTAMPTZOID],
);

/// Maintenance: which keys active and pending sets need, and of how many users.
pub static KEYS_IN_USE: Statement = Statement::scanning(
    "SELECT key_id, count(DISTINCT user_id)
       FROM (SELECT key_id, user_id FROM backup_codes.account
             UNION ALL
             SELECT key_id, user_id FROM backup_codes.pending_set) AS s
      WHERE key_id IS NOT NULL
      GROUP BY key_id
      ORDER BY key_id",
    &[],
);

/// Every statement about the outbox, for the tests.
#[cfg(any(test, feature = "pg_test"))]
pub static OUTBOX: &[(&str, &Statement)] =
    &[("claim", &CLAIM), ("acknowledge", &ACKNOWLEDGE), ("release", &RELEASE), ("waiting", &WAITING)];

/// Every statement about many users, for the tests.
#[cfg(any(test, feature = "pg_test"))]
pub static MANY: &[(&str, &Statement)] = &[
    ("activate_many", &ACTIVATE_MANY),
    ("clear_many", &CLEAR_MANY),
    ("make_many", &MAKE_MANY),
    ("tell_many", &TELL_MANY),
    ("revocable", &REVOCABLE),
    ("revoke", &REVOKE),
    ("purgeable", &PURGEABLE),
    ("lock_idle", &LOCK_IDLE),
    ("purge", &PURGE),
    ("keys_in_use", &KEYS_IN_USE),
];

/// Every statement about one user, for the tests.
#[cfg(any(test, feature = "pg_test"))]
pub static ALL: &[(&str, &Statement)] = &[
    ("account", &ACCOUNT),
    ("find", &FIND),
    ("count_spent", &COUNT_SPENT),
    ("burn", &BURN),
    ("tell", &TELL),
    ("count_failure", &COUNT_FAILURE),
    ("remove_active", &REMOVE_ACTIVE),
    ("count_proof", &COUNT_PROOF),
    ("activate_new", &ACTIVATE_NEW),
    ("clear", &CLEAR),
    ("make", &MAKE),
    ("count_set", &COUNT_SET),
    ("keep_pending", &KEEP_PENDING),
    ("take", &TAKE),
    ("pending", &PENDING),
    ("confirm", &CONFIRM),
    ("cancel", &CANCEL),
    ("disable", &DISABLE),
    ("forget", &FORGET),
    ("remaining", &REMAINING),
    ("status", &STATUS),
];
