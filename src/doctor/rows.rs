//! Rows that none of our functions can have left so: after a restore of one table, or a change by hand.

use uuid::Uuid;

use super::{Check, MAX_NAMED, Scene, Verdict, counted};
use crate::pg::call::{text_bytes, varlena_datum};
use crate::pg::encoding;
use crate::pg::error::Result;
use crate::store::connected;
use crate::store::statement::{Statement, statement};
use crate::store::value::{Raw, Text};

pub const CHECKS: &[Check] = &[
    Check { name: "counters", examine: counters },
    Check { name: "wrong_clock", examine: wrong_clock },
    Check { name: "encoding", examine: invalid_texts },
];

statement! {
    /// What the account says of its set, against the codes that there are: each code is unused and stored, or used and kept in
    /// `burned` with two bytes of ordinal and sixteen of hash. What belongs to no set would be live in a set of that number.
    FindContradictions: Everything, Callers
    (max_users: i32)
    ["WITH stored AS (
        SELECT user_id, set_no, count(*) AS codes FROM backup_codes.code GROUP BY user_id, set_no
      ), contradiction AS (
        SELECT a.user_id, format('%s unused codes counted, %s stored', a.unused, coalesce(s.codes, 0)) AS what
          FROM backup_codes.account AS a LEFT JOIN stored AS s ON s.user_id = a.user_id AND s.set_no = a.set_no
         WHERE a.unused <> coalesce(s.codes, 0)
         UNION ALL
        SELECT a.user_id, format('%s codes of %s used, %s kept', coalesce(a.total, 0) - a.unused, coalesce(a.total, 0),
                                 octet_length(a.burned) / 18)
          FROM backup_codes.account AS a
         WHERE octet_length(a.burned) <> 18 * (coalesce(a.total, 0) - a.unused)
         UNION ALL
        SELECT p.user_id, format('%s codes in the pending set, %s stored', p.total, coalesce(s.codes, 0))
          FROM backup_codes.pending_set AS p LEFT JOIN stored AS s ON s.user_id = p.user_id AND s.set_no = p.set_no
         WHERE p.total <> coalesce(s.codes, 0)
         UNION ALL
        SELECT s.user_id, format('%s codes of set %s, which is not there', s.codes, s.set_no)
          FROM stored AS s
          LEFT JOIN backup_codes.account AS a ON a.user_id = s.user_id AND a.set_no = s.set_no
          LEFT JOIN backup_codes.pending_set AS p ON p.user_id = s.user_id AND p.set_no = s.set_no
         WHERE a.user_id IS NULL AND p.user_id IS NULL
         UNION ALL
        SELECT p.user_id, 'a pending set without an account'
          FROM backup_codes.pending_set AS p LEFT JOIN backup_codes.account AS a ON a.user_id = p.user_id
         WHERE a.user_id IS NULL
         UNION ALL
        SELECT a.user_id, format('set %s of %s', greatest(a.set_no, p.set_no), a.set_counter)
          FROM backup_codes.account AS a LEFT JOIN backup_codes.pending_set AS p ON p.user_id = a.user_id
         WHERE greatest(a.set_no, p.set_no) > a.set_counter OR a.set_no = p.set_no
      )
      SELECT "]
    => Contradiction {
        quoted: String = "quote_literal(c.user_id)", what: String = "string_agg(c.what, ', ' ORDER BY c.what)",
        has_account: bool = "EXISTS (SELECT FROM backup_codes.account AS a WHERE a.user_id = c.user_id)",
        users: i64 = "count(*) OVER ()"
    }
    [" FROM contradiction AS c GROUP BY c.user_id ORDER BY c.user_id LIMIT $max_users"]
}

fn counters(scene: &Scene) -> Result<Verdict> {
    let found = (FindContradictions { max_users: MAX_NAMED as i32 }).rows().collect::<Result<Vec<_>>>()?;
    let users = found.first().map_or(0, |row| row.users);
    if users == 0 {
        return Ok(Verdict::ok("accounts, sets and codes agree"));
    }
    let mut named: Vec<_> = found.iter().map(|row| format!("user {}: {}", row.quoted, row.what)).collect();
    if users > found.len() as i64 {
        named.push(format!("and {} more", counted(users - found.len() as i64, "user")));
    }
    let remedies = found.iter().map(|row| {
        let user_id = &row.quoted;
        if row.has_account {
            return format!("SELECT {}.backup_codes_disable({user_id});", scene.api);
        }
        ["code", "pending_set"]
            .map(|table| format!("DELETE FROM backup_codes.{table} WHERE user_id = {user_id};"))
            .join(" ")
    });
    let hint = ["-- all tables from one dump; or a new set for each of these users, after:".to_owned()]
        .into_iter()
        .chain(remedies);
    Ok(Verdict::problem(named.join("; "), hint.collect::<Vec<_>>().join("\n")))
}

statement! {
    /// The longest lockout and the longest lease are a day; what lies further ahead than that day again does not count.
    CountFar: Everything, Callers
    ()
    ["SELECT "]
    => Far {
        locks: i64 = "(SELECT count(*) FROM backup_codes.account
                        WHERE locked_until > clock_timestamp() + interval '48 hours')",
        events: i64 = "(SELECT count(*) FROM backup_codes.event
                         WHERE due_at > clock_timestamp() + interval '48 hours' AND due_at < 'infinity')"
    }
    [""]
}

/// Nothing that can be set reaches so far.
fn wrong_clock(_: &Scene) -> Result<Verdict> {
    let (locks, events) = CountFar {}.first()?.map_or((0, 0), |row| (row.locks, row.events));
    if locks == 0 && events == 0 {
        return Ok(Verdict::ok("no lock and no due time lies more than two days ahead"));
    }
    Ok(Verdict::warning(
        format!(
            "{} and {} lie more than two days ahead, set by a clock that was wrong, and do not count",
            counted(locks, "lock"),
            counted(events, "due time")
        ),
        "UPDATE backup_codes.account SET locked_until = NULL, failures = 0 WHERE locked_until > clock_timestamp() + interval '48 hours';
UPDATE backup_codes.event SET lease = NULL, due_at = clock_timestamp()
 WHERE due_at > clock_timestamp() + interval '48 hours' AND due_at < 'infinity';",
    ))
}

/// Events that are looked at in one go, so that a long trail is never in memory.
const BATCH: i32 = 10_000;

statement! {
    /// Events behind one of them, in the order of their key.
    ReadTexts: Everything, Callers
    (after_user: Raw<Text>, after_event: Uuid, max_events: i32)
    ["SELECT "]
    => Texts { user_id: Raw<Text>, event_id: Uuid, actor: Raw<Text>, context: Raw<Text>, park_reason: Raw<Text> }
    [" FROM backup_codes.event
      WHERE (user_id, event_id) > ($after_user, $after_event)
      ORDER BY user_id, event_id
      LIMIT $max_events"]
}

/// No function of SQL says whether text is text without raising when it is not.
fn invalid_texts(_: &Scene) -> Result<Verdict> {
    let (mut after_user, mut after_event) = (Vec::new(), Uuid::nil());
    let (mut events, mut remedies) = (0, Vec::new());
    loop {
        let last = connected(|| -> Result<_> {
            let batch = ReadTexts { after_user: Raw::new(varlena_datum(&after_user)), after_event, max_events: BATCH };
            let (mut last, mut rows) = (None, 0);
            for row in batch.rows() {
                let row = row?;
                rows += 1;
                let broken: Vec<_> =
                    [("actor", &row.actor), ("context", &row.context), ("park_reason", &row.park_reason)]
                        .into_iter()
                        .filter(|(_, text)| bytes(text).is_some_and(|text| !encoding::is_valid(&text)))
                        .collect();
                if !broken.is_empty() {
                    events += 1;
                    if remedies.len() < MAX_NAMED {
                        let set: Vec<_> = broken.iter().map(|(column, _)| format!("{column} = ''")).collect();
                        let id = row.event_id;
                        remedies
                            .push(format!("UPDATE backup_codes.event SET {} WHERE event_id = '{id}';", set.join(", ")));
                    }
                }
                if rows == BATCH {
                    last = bytes(&row.user_id).zip(Some(row.event_id));
                }
            }
            Ok(last)
        })?;
        let Some(last) = last else { break };
        (after_user, after_event) = last;
    }
    if events == 0 {
        return Ok(Verdict::ok("every text of an event is valid in the encoding of the database"));
    }
    Ok(Verdict::problem(
        format!(
            "{} with text that is not valid in the encoding of the database: a dump does not restore",
            counted(events, "event")
        ),
        remedies.join("\n"),
    ))
}

fn bytes(text: &Raw<Text>) -> Option<Vec<u8>> {
    text_bytes(text.0?, usize::MAX)
}
