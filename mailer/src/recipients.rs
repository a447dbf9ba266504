//! Who gets the mail: the operator's own query, for all users of a claim at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::address::{Address, Invalid};
use crate::database::{self, Database};
use crate::failure::{Class, Failure};

/// How long the query may take on the server.
const STATEMENT_TIMEOUT: &str = "5s";
/// How long to wait for it, with the way there and back.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many users without a row, before there was one with, mean that the query is wrong.
const SUSPICIOUS: usize = 20;

/// Where a user can be reached.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub address: Address,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
}

/// What the query says about a user.
#[derive(Debug)]
pub enum Found {
    /// One mail for each address, in a stable order.
    At(Vec<Recipient>),
    /// No row, or no address in it.
    Nobody,
    /// No address that could be used.
    Invalid(Invalid),
}

/// Asks the query.
pub struct Recipients {
    database: Database,
    sql: String,
    client: Option<Client>,
    known: bool,
    unknown: HashSet<String>,
}

impl Recipients {
    pub fn new(database: Database, query: &str) -> Result<Self, Failure> {
        let query = query.trim().trim_end_matches(';');
        if query.is_empty() {
            return Err(Failure::configuration("no query for recipients: set [recipient] query"));
        }
        // As a subquery it can be nothing but one query. Columns that need not be there are looked for in the row.
        let sql = format!(
            "SELECT r.user_id::text, r.email::text, to_jsonb(r) ->> 'locale', to_jsonb(r) ->> 'time_zone' FROM (\n{query}\n) AS r"
        );
        Ok(Self { database, sql, client: None, known: false, unknown: HashSet::new() })
    }

    /// Whether no user was found yet, of so many that the query must be wrong: then no event may be given up for it.
    pub fn suspicious(&self) -> bool {
        !self.known && self.unknown.len() >= SUSPICIOUS
    }

    /// Whether the query has found anybody: from then on, a user it does not find is one who left.
    pub fn trusted(&self) -> bool {
        self.known
    }

    /// Looks for users; each of them is in the answer.
    pub async fn find(&mut self, users: &[&str]) -> Result<HashMap<String, Found>, Failure> {
        let rows = match self.ask(users).await {
            // A user id that the query cannot take as its key is nobody's; one by one it does not stand in the way of others.
            Err(Refused::Value) if users.len() > 1 => {
                let mut rows = Vec::new();
                for user in users {
                    match self.ask(&[user]).await {
                        Ok(found) => rows.extend(found),
                        Err(Refused::Value) => {}
                        Err(Refused::Other(failure)) => return Err(failure),
                    }
                }
                rows
            }
            Err(Refused::Value) => Vec::new(),
            Err(Refused::Other(failure)) => return Err(failure),
            Ok(rows) => rows,
        };
        let mut found: HashMap<String, Found> = users.iter().map(|user| ((*user).to_owned(), Found::Nobody)).collect();
        for row in rows {
            let Some(entry) = row.user_id.and_then(|user| found.get_mut(&user)) else { continue };
            let Some(email) = row.email.filter(|email| !email.is_empty()) else { continue };
            match (Address::parse(&email), &mut *entry) {
                (Ok(address), Found::At(all)) if all.iter().any(|other| other.address == address) => {}
                (Ok(address), entry) => {
                    let recipient = Recipient { address, locale: row.locale, time_zone: row.time_zone };
                    match entry {
                        Found::At(all) => all.push(recipient),
                        _ => *entry = Found::At(vec![recipient]),
                    }
                }
                (Err(invalid), Found::Nobody) => *entry = Found::Invalid(invalid),
                (Err(_), _) => {}
            }
        }
        for (user, found) in &mut found {
            match found {
                Found::At(all) => all.sort_by(|a, b| a.address.cmp(&b.address)),
                Found::Nobody if !self.known && self.unknown.len() < SUSPICIOUS => {
                    self.unknown.insert(user.clone());
                }
                _ => {}
            }
        }
        if !self.known && found.values().any(|found| !matches!(found, Found::Nobody)) {
            self.known = true;
            self.unknown = HashSet::new();
        }
        Ok(found)
    }

    /// Says what is wrong with the query, without a user: rights, columns, types. Returns how PostgreSQL would run it, where it
    /// would read a whole table for it.
    pub async fn check(&mut self) -> Result<Option<String>, Failure> {
        self.ask(&[]).await.map_err(|refused| match refused {
            Refused::Value => Failure::configuration("recipient query: it cannot take an empty list of users"),
            Refused::Other(failure) => failure,
        })?;
        let sql = format!("EXPLAIN (FORMAT TEXT) {}", self.sql);
        let client = self.client().await?;
        let nobody: Vec<&str> = vec!["0"];
        let rows = client
            .query_typed(&sql, &[(&nobody, Type::TEXT_ARRAY)])
            .await
            .map_err(|error| database::failure(&error).during("recipient query"))?;
        let lines = rows.iter().map(|row| row.get::<_, String>(0));
        Ok(lines.into_iter().find(|line| line.contains("Seq Scan on")).map(|line| line.trim().to_owned()))
    }

    async fn client(&mut self) -> Result<&Client, Failure> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(self.database.connect(None).await.map_err(|failure| failure.during("recipients"))?);
        }
        self.client.as_ref().ok_or_else(|| Failure::new(Class::Bug, "no connection"))
    }

    async fn ask(&mut self, users: &[&str]) -> Result<Vec<Row>, Refused> {
        let sql = self.sql.clone();
        let client = self.client().await.map_err(Refused::Other)?;
        let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'");
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] = [(&users, Type::TEXT_ARRAY)];
        // Sent together: one way there and back.
        let all = async {
            tokio::join!(
                client.batch_execute(&begin),
                client.query_typed(&sql, &parameters),
                client.batch_execute("COMMIT")
            )
        };
        let Ok((began, rows, committed)) = tokio::time::timeout(TIMEOUT, all).await else {
            self.client = None;
            return Err(Refused::Other(Failure::unavailable("recipient query: no answer in 10 seconds")));
        };
        let rows = match began.and(rows).and_then(|rows| committed.map(|()| rows)) {
            Ok(rows) => rows,
            Err(error) => {
                let refused = refused(&error);
                if error.as_db_error().is_none() {
                    self.client = None;
                }
                return Err(refused);
            }
        };
        let text = |row: &tokio_postgres::Row, column: usize| row.try_get::<_, Option<String>>(column).ok().flatten();
        Ok(rows
            .iter()
            .map(|row| Row {
                user_id: text(row, 0),
                email: text(row, 1),
                locale: text(row, 2),
                time_zone: text(row, 3),
            })
            .collect())
    }
}

struct Row {
    user_id: Option<String>,
    email: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
}

/// Why the query gave no rows.
enum Refused {
    /// A user id does not fit the type it is cast to.
    Value,
    Other(Failure),
}

fn refused(error: &tokio_postgres::Error) -> Refused {
    let Some(db) = error.as_db_error() else {
        return Refused::Other(database::failure(error).during("recipients"));
    };
    let code = db.code();
    if [SqlState::INVALID_TEXT_REPRESENTATION, SqlState::NUMERIC_VALUE_OUT_OF_RANGE].contains(code) {
        return Refused::Value;
    }
    // Wrong in itself, or it writes.
    if code.code().starts_with("42") || ["0A000", "25006"].contains(&code.code()) {
        let class = if *code == SqlState::INSUFFICIENT_PRIVILEGE { Class::Rights } else { Class::Configuration };
        let message =
            format!("recipient query: {} (SQLSTATE {}); it must return user_id and email", db.message(), code.code());
        return Refused::Other(Failure::new(class, message));
    }
    // The message of another error may quote a user.
    Refused::Other(Failure::unavailable(format!("recipient query: SQLSTATE {}", code.code())))
}
