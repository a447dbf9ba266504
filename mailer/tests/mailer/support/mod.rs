//! What the tests share: a database with users, a mail server that does as it is told, and mailers at work.

pub mod smtp;

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use host_tests::{Client, Database, Server, Session};

/// A database with the extension, a table of users, and the roles of an application and of a mailer.
pub struct Place<'a> {
    pub database: Database<'a>,
    pub client: Client,
    /// Who the mailer logs in as.
    pub role: String,
}

impl<'a> Place<'a> {
    pub fn new(server: &'a Server) -> Self {
        let database = server.database();
        let role = database.role("mailer");
        let mut client = database.connect();
        client
            .batch_execute(&format!(
                "CREATE TABLE users (id bigint PRIMARY KEY, email text, locale text, time_zone text);
                 GRANT SELECT ON users TO {role};
                 SELECT backup_codes_grant('mailer', '{role}');"
            ))
            .expect("users");
        Self { database, client, role }
    }

    /// A user with an address of their own.
    pub fn user(&mut self, id: i64) {
        let address = format!("user{id}@example.com");
        self.client.execute("INSERT INTO users VALUES ($1, $2)", &[&id, &address]).expect("a user");
    }

    /// An event: a user gets new codes.
    pub fn generate(&mut self, id: i64) -> Vec<String> {
        self.client.generate(&id.to_string())
    }

    /// How many events are in each state, for instance `delivered 3, parked 1`.
    pub fn deliveries(&mut self) -> String {
        let sql = "SELECT coalesce(string_agg(delivery || ' ' || count, ', ' ORDER BY delivery), '')
                     FROM (SELECT delivery, count(*) FROM backup_codes.events GROUP BY delivery) AS d";
        self.client.value(sql, &[])
    }

    /// Waits until the events are in these states.
    pub fn wait_for(&mut self, deliveries: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let now = self.deliveries();
            if now == deliveries {
                return;
            }
            assert!(Instant::now() < deadline, "{now} instead of {deliveries}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Why events are parked.
    pub fn park_reason(&mut self) -> String {
        self.client.value("SELECT string_agg(DISTINCT park_reason, ', ') FROM backup_codes.events", &[])
    }

    /// The most tries of an event.
    pub fn attempts(&mut self) -> i32 {
        self.client.value("SELECT max(attempts) FROM backup_codes.events", &[])
    }

    /// Makes delayed events due.
    pub fn hurry(&mut self) {
        let sql = "UPDATE backup_codes.event SET due_at = clock_timestamp() WHERE due_at > clock_timestamp() AND lease IS NULL
                   AND due_at < 'infinity'";
        self.client.execute(sql, &[]).expect("an update");
    }

    /// A mailer with these arguments besides those that it needs.
    pub fn mailer(&self, port: u16, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup-codes-mailer"));
        let url = format!(
            "host={} port=5432 user={} dbname={}",
            self.database.server.dir.display(),
            self.role,
            self.database.name
        );
        let query =
            "SELECT id::text AS user_id, email, locale, time_zone FROM users WHERE id = ANY ($1::text[]::bigint[])";
        // In the environment, so that arguments go over them.
        for (name, value) in [
            ("CONFIG", "/dev/null"),
            ("DATABASE_URL", &url),
            ("DATABASE_POLL", "250ms"),
            ("RECIPIENT_QUERY", query),
            ("MAIL_SERVICE", "Example"),
            ("MAIL_FROM", "Example security <security@example.com>"),
            ("MAIL_SUPPORT", "help@example.com"),
            ("SMTP_TLS", "none"),
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", &port.to_string()),
            ("LIMITS_GRACE", "5s"),
        ] {
            command.env(format!("BACKUP_CODES_MAILER_{name}"), value);
        }
        command.args(arguments);
        command
    }

    /// Starts one.
    pub fn start(&self, port: u16, arguments: &[&str]) -> Running {
        Running::start(self.mailer(port, arguments))
    }

    /// Runs one to its end.
    pub fn run(&self, port: u16, arguments: &[&str]) -> Ended {
        Ended::of(self.mailer(port, arguments))
    }
}

/// A mailer that ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub log: String,
}

impl Ended {
    pub fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("a mailer");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: status.code(), out: text(stdout), log: text(stderr) }
    }
}

/// A mailer at work. It is killed when the test is over.
pub struct Running {
    child: Child,
    log: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a mailer");
        let mut stderr = child.stderr.take().expect("its log");
        let log = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let kept = log.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let _ = std::io::stderr().write_all(text.as_bytes());
                kept.lock().expect("no panic").push_str(&text);
            }
        });
        Self { child, log }
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Kills it as the kernel would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Waits until it has logged that.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for_logs(text, 1);
    }

    /// Waits until it has logged that so many times.
    pub fn wait_for_logs(&self, text: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.log().matches(text).count() < times {
            assert!(Instant::now() < deadline, "{text:?} is not in {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
