//! tokio-postgres as an application uses it. tests/drivers/run calls this with those of the other drivers.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use host_tests::{Database, Server};
use tokio::sync::mpsc;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{AsyncMessage, Client, Error, NoTls};
use uuid::Uuid;

/// The database is made and dropped by a driver that blocks, outside of the runtime.
fn with_database(test: impl AsyncFnOnce(&Database<'_>)) {
    let server = Server::any();
    let database = server.database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test(&database));
}

async fn connect(database: &Database<'_>) -> (Client, mpsc::UnboundedReceiver<String>) {
    let mut config = tokio_postgres::Config::new();
    config.host_path(&database.server.dir).port(5432).user("postgres").dbname(&database.name);
    let (client, mut connection) = config.connect(NoTls).await.expect("a connection");
    let (sender, receiver) = mpsc::unbounded_channel();
    // The connection is also where notifications arrive.
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    (client, receiver)
}

async fn column<T>(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<T>, Error>
where
    T: for<'a> FromSql<'a>,
{
    Ok(client.query(sql, parameters).await?.iter().map(|row| row.get(0)).collect())
}

async fn codes(client: &Client, sql: &str, user_id: &(dyn ToSql + Sync)) -> Vec<String> {
    column(client, sql, &[user_id]).await.expect("codes")
}

async fn is_true(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> bool {
    column::<bool>(client, sql, parameters).await.expect("a row") == [true]
}

#[test]
fn integer_user_is_enrolled_and_spends_a_code_once() {
    with_database(async |database| {
        let (client, _) = connect(database).await;
        let user_id = 42_i64;
        let codes = codes(&client, "SELECT backup_codes_generate($1::bigint)", &user_id).await;
        assert_eq!(codes.len(), 10);

        let consume = "SELECT backup_codes_consume($1::bigint, $2)";
        assert!(is_true(&client, consume, &[&user_id, &codes[0]]).await);
        assert!(!is_true(&client, consume, &[&user_id, &codes[0]]).await);

        let attempt = "SELECT status, remaining, low FROM backup_codes_attempt($1::bigint, $2)";
        let row = client.query_one(attempt, &[&user_id, &codes[1]]).await.expect("a row");
        assert_eq!((row.get(0), row.get(1), row.get(2)), ("accepted", Some(8_i32), Some(false)));
        let row = client.query_one(attempt, &[&user_id, &codes[1]]).await.expect("a row");
        assert_eq!((row.get(0), row.get(1), row.get(2)), ("used", None::<i32>, None::<bool>));

        let remaining = column::<i32>(&client, "SELECT backup_codes_remaining($1::bigint)", &[&user_id]).await;
        assert_eq!(remaining.expect("a row"), [8]);
    });
}

/// The driver asks the server for the types of the parameters, and an untyped one is text: it refuses an integer there.
#[test]
fn integer_without_a_cast_is_refused_by_the_driver() {
    with_database(async |database| {
        let (client, _) = connect(database).await;
        let error = column::<bool>(&client, "SELECT backup_codes_consume($1, $2)", &[&42_i64, &"x"]).await;
        let error = error.expect_err("an error");
        assert_eq!(error.to_string(), "error serializing parameter 0");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert_eq!(cause, "cannot convert between the Rust type `i64` and the Postgres type `text`");

        // An i32 wants its own cast; every way leads to the same user.
        let codes = codes(&client, "SELECT backup_codes_generate($1::int)", &42_i32).await;
        assert!(
            column::<bool>(&client, "SELECT backup_codes_consume($1::bigint, $2)", &[&42_i32, &"x"]).await.is_err()
        );
        assert!(is_true(&client, "SELECT backup_codes_consume($1::bigint, $2)", &[&42_i64, &codes[0]]).await);
        assert!(is_true(&client, "SELECT backup_codes_consume($1, $2)", &[&"42", &codes[1]]).await);
    });
}

#[test]
fn uuid_user_is_its_canonical_text() {
    with_database(async |database| {
        let (client, _) = connect(database).await;
        let user_id = Uuid::from_u128(0xa1a2a3a4_b1b2_c1c2_d1d2_d3d4d5d6d7d8);
        let codes = codes(&client, "SELECT backup_codes_generate($1::uuid)", &user_id).await;
        assert!(is_true(&client, "SELECT backup_codes_consume($1::uuid, $2)", &[&user_id, &codes[0]]).await);
        let text = user_id.to_string();
        assert!(is_true(&client, "SELECT backup_codes_consume($1, $2)", &[&text, &codes[1]]).await);
        assert!(!is_true(&client, "SELECT backup_codes_consume($1, $2)", &[&text.to_uppercase(), &codes[2]]).await);
        let error = column::<bool>(&client, "SELECT backup_codes_consume($1, $2)", &[&user_id, &"x"]).await;
        assert!(error.is_err(), "an untyped parameter is text");
    });
}

#[test]
fn text_user_may_have_any_characters() {
    with_database(async |database| {
        let (client, _) = connect(database).await;
        let user_id = "acme:zoë";
        let codes = codes(&client, "SELECT backup_codes_generate($1)", &user_id).await;
        assert!(is_true(&client, "SELECT backup_codes_consume($1, $2)", &[&user_id, &codes[0]]).await);
        assert!(!is_true(&client, "SELECT backup_codes_consume($1, $2)", &[&None::<&str>, &None::<&str>]).await);
    });
}

#[test]
fn code_is_not_part_of_the_statement() {
    with_database(async |database| {
        let ((client, _), (other, _)) = (connect(database).await, connect(database).await);
        let codes = codes(&client, "SELECT backup_codes_generate($1::bigint)", &42_i64).await;
        let pid = column::<i32>(&client, "SELECT pg_backend_pid()", &[]).await.expect("a row");
        let consume = "SELECT backup_codes_consume($1::bigint, $2)";
        assert!(is_true(&client, consume, &[&42_i64, &codes[0]]).await);
        let query = column::<String>(&other, "SELECT query FROM pg_stat_activity WHERE pid = $1", &[&pid[0]]).await;
        assert_eq!(query.expect("a row"), [consume]);
    });
}

#[test]
fn notification_is_heard_at_commit() {
    with_database(async |database| {
        let ((mut client, _), (listener, mut heard)) = (connect(database).await, connect(database).await);
        listener.batch_execute("LISTEN backup_codes").await.expect("LISTEN");
        let transaction = client.transaction().await.expect("BEGIN");
        transaction.query("SELECT backup_codes_generate($1::bigint)", &[&43_i64]).await.expect("codes");
        listener.batch_execute("SELECT 1").await.expect("SELECT");
        assert!(heard.try_recv().is_err(), "before the commit");
        transaction.commit().await.expect("COMMIT");
        let payload = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.expect("in time");
        let event: serde_json::Value = serde_json::from_str(&payload.expect("a payload")).expect("JSON");
        assert_eq!((&event["event"], &event["user_id"]), (&"generated".into(), &"43".into()));
        assert_eq!(event["remaining"], 10);
    });
}
