//! The functions of the extension that a mailer calls. Statements are unnamed, so that any pooler can stand in between.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::database;
use crate::event::Event;
use crate::failure::{Class, Failure};

/// How long a statement may take before its connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A session that talks to the outbox.
pub struct Outbox {
    client: Client,
    schema: String,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    pub waiting: i64,
    pub oldest_at: Option<SystemTime>,
    pub delayed: i64,
    pub leased: i64,
    pub parked: i64,
}

impl Outbox {
    /// Finds the functions, in the schema that is named or in that of the extension.
    pub async fn open(client: Client, schema: &str) -> Result<Self, Failure> {
        let schema = if schema.is_empty() { find_schema(&client).await? } else { quote(schema) };
        Ok(Self { client, schema })
    }

    /// Takes up to `max_events` for `lease_for`; the lease with its events, which come by due time and then by time.
    pub async fn claim(&self, max_events: u32, lease_for: Duration) -> Result<Option<(Uuid, Vec<Event>)>, Failure> {
        let sql = format!(
            "SELECT lease, event_id, user_id, kind, reason, at, set_no, ordinal, remaining, low, context, attempts
               FROM {}.backup_codes_events_claim($1, make_interval(secs => $2))",
            self.schema
        );
        let max_events = i32::try_from(max_events).unwrap_or(i32::MAX);
        let rows = self.query(&sql, &[(&max_events, Type::INT4), (&lease_for.as_secs_f64(), Type::FLOAT8)]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let lease = get(first, 0)?;
        Ok(Some((lease, rows.iter().map(event).collect::<Result<_, _>>()?)))
    }

    /// Marks events as delivered; how many the lease still held.
    pub async fn ack(&self, lease: Uuid, events: &[Uuid]) -> Result<usize, Failure> {
        let sql = format!("SELECT {}.backup_codes_events_ack($1, $2)", self.schema);
        self.count(&sql, &[(&lease, Type::UUID), (&events, Type::UUID_ARRAY)]).await
    }

    /// Gives events back for later; how many the lease still held. With `counts` the try counts.
    pub async fn release(&self, lease: Uuid, events: &[Uuid], delay: Duration, counts: bool) -> Result<usize, Failure> {
        let sql = format!("SELECT {}.backup_codes_events_release($1, $2, make_interval(secs => $3), $4)", self.schema);
        let delay = delay.as_secs_f64();
        let parameters: [(&(dyn ToSql + Sync), Type); 4] =
            [(&lease, Type::UUID), (&events, Type::UUID_ARRAY), (&delay, Type::FLOAT8), (&counts, Type::BOOL)];
        self.count(&sql, &parameters).await
    }

    /// Sets events aside until an operator says otherwise; how many the lease still held.
    pub async fn park(&self, lease: Uuid, events: &[Uuid], reason: &str) -> Result<usize, Failure> {
        let sql = format!("SELECT {}.backup_codes_events_park($1, $2, $3)", self.schema);
        self.count(&sql, &[(&lease, Type::UUID), (&events, Type::UUID_ARRAY), (&reason, Type::TEXT)]).await
    }

    /// Keeps events for longer, under the lease that is returned; None when the old one held none of them any more.
    pub async fn extend(&self, lease: Uuid, events: &[Uuid], lease_for: Duration) -> Result<Option<Uuid>, Failure> {
        let sql = format!("SELECT {}.backup_codes_events_extend($1, $2, make_interval(secs => $3))", self.schema);
        let lease_for = lease_for.as_secs_f64();
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&lease, Type::UUID), (&events, Type::UUID_ARRAY), (&lease_for, Type::FLOAT8)];
        let rows = self.query(&sql, &parameters).await?;
        rows.first().map_or(Ok(None), |row| get(row, 0))
    }

    /// What waits, counted to 10,000 at the most.
    pub async fn backlog(&self) -> Result<Backlog, Failure> {
        let sql = format!(
            "SELECT waiting, oldest_at, delayed, leased, parked FROM {}.backup_codes_events_backlog()",
            self.schema
        );
        let rows = self.query(&sql, &[]).await?;
        let row =
            rows.first().ok_or_else(|| Failure::new(Class::Bug, "backup_codes_events_backlog returned no row"))?;
        Ok(Backlog {
            waiting: get(row, 0)?,
            oldest_at: get(row, 1)?,
            delayed: get(row, 2)?,
            leased: get(row, 3)?,
            parked: get(row, 4)?,
        })
    }

    /// The channel of notifications. The setting exists in a session once the extension's library is loaded there, which the
    /// call of one of its functions does.
    pub async fn channel(&self) -> Result<String, Failure> {
        self.backlog().await?;
        let rows = self.query("SELECT current_setting('backup_codes.channel', true)", &[]).await?;
        let channel: Option<String> = rows.first().map_or(Ok(None), |row| get(row, 0))?;
        Ok(channel.filter(|channel| !channel.is_empty()).unwrap_or_else(|| "backup_codes".to_owned()))
    }

    /// How far the database's clock is ahead of this machine's, in seconds.
    pub async fn clock_skew(&self) -> Result<f64, Failure> {
        let asked = SystemTime::now();
        let rows = self.query("SELECT clock_timestamp()", &[]).await?;
        let theirs: SystemTime = rows.first().map_or_else(|| Ok(asked), |row| get(row, 0))?;
        let ours = asked + asked.elapsed().unwrap_or_default() / 2;
        Ok(theirs
            .duration_since(ours)
            .map_or_else(|error| -error.duration().as_secs_f64(), |ahead| ahead.as_secs_f64()))
    }

    /// Which of the extension's other functions, or of its tables, this role could use as well, by name.
    pub async fn other_rights(&self) -> Result<Vec<String>, Failure> {
        let rows = self
            .query(
                "SELECT DISTINCT o.name
                   FROM pg_extension AS e
                   JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
                  CROSS JOIN LATERAL (
                    SELECT p.proname::text AS name FROM pg_proc AS p
                     WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid
                       AND p.proname NOT LIKE 'backup\\_codes\\_events\\_%' AND has_function_privilege(p.oid, 'EXECUTE')
                    UNION ALL
                    SELECT 'backup_codes.' || c.relname FROM pg_class AS c
                     WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'p', 'v')
                       AND has_table_privilege(c.oid, 'SELECT')
                  ) AS o
                  WHERE e.extname = 'backup_codes'
                  ORDER BY o.name",
                &[],
            )
            .await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn count(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<usize, Failure> {
        let rows = self.query(sql, parameters).await?;
        let count: i32 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    async fn query(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Failure> {
        match tokio::time::timeout(STATEMENT_TIMEOUT, self.client.query_typed(sql, parameters)).await {
            Ok(result) => result.map_err(|error| database::failure(&error)),
            Err(_) => Err(Failure::unavailable("database: a statement took more than 30 seconds")),
        }
    }
}

async fn find_schema(client: &Client) -> Result<String, Failure> {
    let sql = "SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                WHERE e.extname = 'backup_codes'";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| database::failure(&error))?;
    let Some(row) = rows.first() else {
        return Err(Failure::configuration(
            "database: the extension backup_codes is not installed there: is it the right database?",
        ));
    };
    get(row, 0)
}

/// An identifier in double quotes.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column, whose type the contract tells.
fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(|error| Failure::new(Class::Bug, crate::failure::chain(&error)))
}

/// Text of a database whose encoding may be anything: what is no UTF-8 must not hold back an event.
struct Lossy(String);

impl<'a> FromSql<'a> for Lossy {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT
    }
}

fn event(row: &Row) -> Result<Event, Failure> {
    let kind: Lossy = get(row, 3)?;
    Ok(Event {
        id: get(row, 1)?,
        user_id: get::<Lossy>(row, 2)?.0,
        kind: kind.0.parse().ok(),
        reason: get::<Option<Lossy>>(row, 4)?.map(|reason| reason.0),
        at: get(row, 5)?,
        set_no: get(row, 6)?,
        ordinal: get(row, 7)?,
        remaining: get(row, 8)?,
        low: get::<Option<bool>>(row, 9)?.unwrap_or(false),
        context: get::<Option<Lossy>>(row, 10)?.map(|context| context.0),
        attempts: get(row, 11)?,
    })
}
