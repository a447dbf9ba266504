//! Maintenance of many users at a time.

use uuid::Uuid;

use super::array;
use super::event::{Act, act, insert_event};
use super::removal::no_set;
use super::statement::{Statement, statement};
use super::value::{Raw, TextArray, UuidArray};
use crate::events::{Event, Kind, new_ids};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::settings;
use crate::user_id::UserId;

/// Users as a batch names them.
fn named(users: &[UserId]) -> Raw<TextArray> {
    array::texts(users.iter().map(|user_id| &*user_id.stored))
}

/// An event of a batch.
fn event(kind: Kind, at: Timestamp, user_id: UserId, id: Uuid, remaining: i16, low: bool) -> Event {
    Event { id, kind, user_id: user_id.utf8, at, remaining, low }
}

statement! {
    /// Whose sets were made before a point in time. Locked in the order of user_id, so that two runs cannot deadlock.
    LockRevocable<'a>: Everything, Fresh
    (behind: Option<&'a UserId>, issued_before: Timestamp, max_users: i32)
    ["SELECT "]
    => Revocable { user_id: UserId = "a.user_id" }
    [" FROM backup_codes.account AS a LEFT JOIN backup_codes.pending_set AS p ON p.user_id = a.user_id
      WHERE a.user_id > coalesce($behind, '')
        AND ((a.set_no IS NOT NULL AND a.generated_at < $issued_before) OR p.generated_at < $issued_before)
      ORDER BY a.user_id
      LIMIT $max_users
        FOR NO KEY UPDATE OF a"]
}

statement! {
    /// Decides again, under the locks: a set may have been confirmed or replaced meanwhile.
    Revoke: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, issued_before: Timestamp, low_limit: i32; ..act: Act)
    ["WITH due AS (
        SELECT * FROM unnest($users, $event_ids) AS d (user_id, event_id)
      ), dropped AS (
        DELETE FROM backup_codes.pending_set AS p USING due AS d
         WHERE p.user_id = d.user_id AND p.generated_at < $issued_before
        RETURNING p.user_id, p.set_no
      ), old AS (
        SELECT a.user_id, a.set_no, a.unused, a.set_no IS NOT NULL AND a.generated_at < $issued_before AS revoked
          FROM backup_codes.account AS a JOIN due AS d ON d.user_id = a.user_id
      ), cleared AS (
        UPDATE backup_codes.account AS a SET ", no_set!(), " FROM old AS o WHERE a.user_id = o.user_id AND o.revoked
      ), gone AS (
        DELETE FROM backup_codes.code AS c
         USING (SELECT user_id, set_no FROM old WHERE revoked
                UNION ALL SELECT user_id, set_no FROM dropped) AS s
         WHERE c.user_id = s.user_id AND c.set_no = s.set_no
      ) ",
     insert_event!(), "SELECT o.user_id, d.event_id, ", act!(), ", 'revoked', 'request',
             CASE WHEN o.revoked THEN o.set_no ELSE p.set_no END, NULL,
             CASE WHEN o.revoked THEN 0 ELSE o.unused END,
             CASE WHEN o.revoked THEN 0 ELSE o.unused END <= $low_limit
        FROM due AS d JOIN old AS o ON o.user_id = d.user_id LEFT JOIN dropped AS p ON p.user_id = d.user_id
       WHERE o.revoked OR p.user_id IS NOT NULL
      RETURNING "]
    => Revoked { user_id: UserId, event_id: Uuid, remaining: i16, low: bool }
    [""]
}

/// Does a batch of users after another until one had something to do: 0 means that nothing is left. `find` is given the last
/// user of the batch before; `act` does the work of a batch.
fn batches<T>(
    mut find: impl FnMut(Option<&UserId>) -> Result<Vec<UserId>>,
    mut act: impl FnMut(Vec<UserId>) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let mut behind: Option<UserId> = None;
    loop {
        pgrx::check_for_interrupts!();
        let mut users = find(behind.as_ref())?;
        behind = users.last().cloned();
        let done = if users.is_empty() { Vec::new() } else { act(std::mem::take(&mut users))? };
        if behind.is_none() || !done.is_empty() {
            return Ok(done);
        }
    }
}

/// Removes the sets of up to `max_users` users that were made before a point in time.
pub fn revoke_all(issued_before: Timestamp, max_users: i32, at: Timestamp) -> Result<Vec<Event>> {
    batches(
        |behind| {
            let found = (LockRevocable { behind, issued_before, max_users }).rows();
            found.map(|row| row.map(|row| row.user_id)).collect()
        },
        |users| {
            let event_ids = array::uuids(new_ids(at, users.len())?.iter());
            Revoke { users: named(&users), event_ids, issued_before, low_limit: settings::low(), act: Act::at(at) }
                .rows()
                .map(|row| row.map(|row| event(Kind::Revoked, at, row.user_id, row.event_id, row.remaining, row.low)))
                .collect()
        },
    )
}

statement! {
    /// Who has something that has been dead since before a point in time.
    FindPurgeable<'a>: Everything, Fresh
    (behind: Option<&'a UserId>, cutoff: Timestamp, undelivered: bool, now: Timestamp, max_users: i32)
    ["SELECT "]
    => Purgeable { user_id: UserId }
    [" FROM (
        SELECT user_id FROM backup_codes.account WHERE expires_at < $cutoff
         UNION
        SELECT user_id FROM backup_codes.pending_set WHERE generated_at < $cutoff
         UNION
        SELECT user_id FROM backup_codes.event
         WHERE at < $cutoff AND (due_at IS NULL OR $undelivered AND (lease IS NULL OR due_at <= $now))
         UNION
        SELECT user_id FROM backup_codes.account AS a
         WHERE set_no IS NULL
           AND NOT EXISTS (SELECT FROM backup_codes.pending_set AS p WHERE p.user_id = a.user_id)
           AND NOT EXISTS (SELECT FROM backup_codes.event AS e WHERE e.user_id = a.user_id)
      ) AS u
      WHERE user_id > coalesce($behind, '')
      ORDER BY user_id
      LIMIT $max_users"]
}

statement! {
    /// Of these users, those whom nobody is busy with.
    LockIdle: Users, Fresh
    (users: Raw<TextArray>)
    ["WITH locked AS (
        SELECT user_id FROM backup_codes.account WHERE user_id = ANY ($users) ORDER BY user_id FOR UPDATE SKIP LOCKED
      )
      SELECT "]
    => Idle { user_id: UserId }
    [" FROM (
        SELECT user_id FROM locked
         UNION ALL
        SELECT w.user_id FROM unnest($users) AS w (user_id)
         WHERE NOT EXISTS (SELECT FROM backup_codes.account AS a WHERE a.user_id = w.user_id)
      ) AS i"]
}

statement! {
    /// Decides again, under the locks. An expired set goes without an event, since nothing changes for its user; a pending set
    /// that could still be confirmed is cancelled.
    Purge: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, cutoff: Timestamp, undelivered: bool, low_limit: i32; ..act: Act)
    ["WITH due AS (
        SELECT * FROM unnest($users, $event_ids) AS d (user_id, event_id)
      ), dropped AS (
        DELETE FROM backup_codes.pending_set AS p USING due AS d
         WHERE p.user_id = d.user_id AND p.generated_at < $cutoff
        RETURNING p.user_id, p.set_no
      ), old AS (
        SELECT a.user_id, a.set_no, a.unused, a.expires_at IS NOT NULL AND a.expires_at < $cutoff AS expired
          FROM backup_codes.account AS a JOIN due AS d ON d.user_id = a.user_id
      ), cleared AS (
        UPDATE backup_codes.account AS a SET ", no_set!(), " FROM old AS o WHERE a.user_id = o.user_id AND o.expired
        RETURNING a.user_id
      ), gone AS (
        DELETE FROM backup_codes.code AS c
         USING (SELECT user_id, set_no FROM old WHERE expired
                UNION ALL SELECT user_id, set_no FROM dropped) AS s
         WHERE c.user_id = s.user_id AND c.set_no = s.set_no
      ), forgotten AS (
        DELETE FROM backup_codes.event AS e USING due AS d
         WHERE e.user_id = d.user_id AND e.at < $cutoff
           AND (e.due_at IS NULL OR $undelivered AND (e.lease IS NULL OR e.due_at <= $at))
        RETURNING e.user_id
      ), emptied AS (
        DELETE FROM backup_codes.account AS a USING old AS o
         WHERE a.user_id = o.user_id AND o.set_no IS NULL
           AND NOT EXISTS (SELECT FROM backup_codes.pending_set AS p WHERE p.user_id = a.user_id)
           AND NOT EXISTS (SELECT FROM backup_codes.event AS e WHERE e.user_id = a.user_id)
        RETURNING a.user_id
      ), told AS (",
     insert_event!(), "SELECT o.user_id, d.event_id, ", act!(), ", 'cancelled', NULL, p.set_no, NULL,
               CASE WHEN o.expired THEN 0 ELSE o.unused END,
               CASE WHEN o.expired THEN 0 ELSE o.unused END <= $low_limit
          FROM due AS d JOIN old AS o ON o.user_id = d.user_id JOIN dropped AS p ON p.user_id = d.user_id
        RETURNING user_id, event_id, remaining, low
      )
      SELECT "]
    => Purged {
        user_id: UserId = "u.user_id", event_id: Option<Uuid> = "t.event_id", remaining: Option<i16> = "t.remaining",
        low: Option<bool> = "t.low"
    }
    [" FROM (SELECT user_id FROM dropped UNION SELECT user_id FROM cleared
             UNION SELECT user_id FROM forgotten UNION SELECT user_id FROM emptied) AS u
       LEFT JOIN told AS t ON t.user_id = u.user_id"]
}

/// Removes what has been dead since before a point in time, of up to `max_users` users who are not busy; for each what was
/// told, if anything.
pub fn purge(cutoff: Timestamp, undelivered: bool, max_users: i32, at: Timestamp) -> Result<Vec<Option<Event>>> {
    batches(
        |behind| {
            let found = (FindPurgeable { behind, cutoff, undelivered, now: at, max_users }).rows();
            found.map(|row| row.map(|row| row.user_id)).collect()
        },
        |users| {
            let idle = (LockIdle { users: named(&users) }).rows();
            let users = idle.map(|row| row.map(|row| row.user_id)).collect::<Result<Vec<_>>>()?;
            let event_ids = array::uuids(new_ids(at, users.len())?.iter());
            let (users, low_limit) = (named(&users), settings::low());
            let purged = (Purge { users, event_ids, cutoff, undelivered, low_limit, act: Act::at(at) }).rows();
            purged
                .map(|row| {
                    let row = row?;
                    let told = row.event_id.zip(row.remaining).zip(row.low);
                    Ok(told.map(|((id, remaining), low)| event(Kind::Cancelled, at, row.user_id, id, remaining, low)))
                })
                .collect()
        },
    )
}

statement! {
    /// Which keys active and pending sets need, and of how many users.
    CountKeys: Everything, Callers
    ()
    ["SELECT "]
    => KeyInUse { key_id: i32, users: i64 = "count(DISTINCT user_id)" }
    [" FROM (SELECT key_id, user_id FROM backup_codes.account
             UNION ALL
             SELECT key_id, user_id FROM backup_codes.pending_set) AS s
      WHERE key_id IS NOT NULL
      GROUP BY key_id
      ORDER BY key_id"]
}

/// The keys that sets need, and how many users have such sets.
pub fn keys_in_use() -> Result<Vec<KeyInUse>> {
    CountKeys {}.rows().collect()
}
