//! Servers and databases for the tests.
//!
//! A test that needs nothing special runs in a database of its own on the cluster at PGHOST. A test that needs settings, a
//! crash or a log of its own starts a cluster with `scripts/cluster`. Both are removed when the test is over.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use postgres::types::ToSql;
pub use postgres::{Client, Config, NoTls, Row};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every cluster has it: they differ in the directory of the socket.
const PORT: u16 = 5432;

static NEXT: AtomicU32 = AtomicU32::new(0);

fn unique() -> String {
    format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a root").to_owned()
}

/// A PostgreSQL program, to be run as the caller.
pub fn program(name: &str) -> Command {
    let pg_config = std::env::var("PG_CONFIG").unwrap_or("/usr/lib/postgresql/15/bin/pg_config".into());
    let bindir = run(Command::new(pg_config).arg("--bindir"));
    let mut command = Command::new(Path::new(bindir.trim()).join(name));
    command.env_remove("RUST_BACKTRACE").current_dir("/");
    command
}

/// A PostgreSQL program, to be run as the user of the server: PostgreSQL refuses root.
pub fn server_program(name: &str) -> Command {
    let plain = program(name);
    if run(Command::new("id").arg("-u")).trim() != "0" {
        return plain;
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(plain.get_program());
    command.env_remove("RUST_BACKTRACE").current_dir("/");
    command
}

/// Runs a command that must succeed, and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    assert!(status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("output in UTF-8")
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        sleep(Duration::from_millis(10));
    }
}

/// A running server.
pub struct Server {
    /// The directory of its socket; of a server of its own also the one that holds `data` and `server.log`.
    pub dir: PathBuf,
    owned: bool,
}

impl Server {
    /// The cluster at PGHOST, or one of its own where there is none.
    pub fn any() -> Self {
        match std::env::var("PGHOST") {
            Ok(host) if host.starts_with('/') => Self { dir: host.into(), owned: false },
            _ => Self::start(&["fsync=off"]),
        }
    }

    /// A server of its own with these settings.
    pub fn start(settings: &[&str]) -> Self {
        let server = Self::reserve();
        run(Command::new(root().join("scripts/cluster")).arg("start").arg(&server.dir).args(settings));
        server
    }

    /// A streaming standby of this server.
    pub fn standby(&self) -> Self {
        let standby = Self::reserve();
        fs::create_dir(&standby.dir).expect("a new directory");
        run(Command::new("chown").arg("--reference").arg(self.data()).arg(&standby.dir));
        run(server_program("pg_basebackup")
            .args(["-R", "-X", "stream", "-c", "fast", "-U", "postgres", "-h"])
            .arg(&self.dir)
            .arg("-D")
            .arg(standby.data()));
        standby.configure(&format!("unix_socket_directories = '{}'", standby.dir.display()));
        standby.resume();
        standby
    }

    fn reserve() -> Self {
        // A socket's path has at most 107 bytes.
        let dir = std::env::temp_dir();
        let dir = if dir.as_os_str().len() > 60 { PathBuf::from("/tmp") } else { dir };
        Self { dir: dir.join(format!("bch_{}", unique())), owned: true }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("server.log")).expect("a log")).into_owned()
    }

    fn configure(&self, line: &str) {
        let path = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&path).expect("postgresql.conf");
        text.push_str(line);
        text.push('\n');
        fs::write(&path, text).expect("postgresql.conf");
    }

    /// Starts the server again, after a stop or a crash.
    pub fn resume(&self) {
        let mut command = server_program("pg_ctl");
        command.arg("-D").arg(self.data()).arg("-l").arg(self.dir.join("server.log"));
        // Its own output would hold our pipe open, since the server inherits it.
        let status = command.args(["-w", "start"]).stdout(std::process::Stdio::null()).status();
        assert!(status.expect("pg_ctl").success(), "{}", self.log());
    }

    /// Kills the postmaster and all its children at once, as a power cut or the kernel would.
    pub fn kill(&self) {
        let pid_file = fs::read_to_string(self.data().join("postmaster.pid")).expect("a postmaster");
        let postmaster = pid_file.lines().next().expect("a pid").to_owned();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.expect("children of the postmaster");
        let pids: Vec<&str> = [postmaster.as_str()].into_iter().chain(children.split_whitespace()).collect();
        // A child may have ended by itself meanwhile: what counts is that all are gone.
        Command::new("kill").arg("-9").args(&pids).stderr(Stdio::null()).status().expect("kill starts");
        wait_until("the end of the server", || pids.iter().all(|pid| !alive(pid)));
        // Where nobody reaps it, as in many a container, the dead postmaster would seem to live and bar the next start.
        for lock in [self.data().join("postmaster.pid"), self.dir.join(".s.PGSQL.5432.lock")] {
            fs::remove_file(&lock).unwrap_or_else(|error| panic!("{}: {error}", lock.display()));
        }
    }

    /// How to connect to a database.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.dir).port(PORT).user("postgres").dbname(database).application_name("host_tests");
        config
    }

    /// A connection to a database.
    pub fn connect(&self, database: &str) -> Client {
        self.config(database).connect(NoTls).expect("a connection")
    }

    /// A PostgreSQL client program that connects to this server.
    pub fn client_program(&self, name: &str) -> Command {
        let mut command = program(name);
        command.arg("-h").arg(&self.dir).args(["-U", "postgres"]).env("PGPORT", PORT.to_string());
        command.env_remove("PGDATABASE");
        command
    }

    /// A new database with the extension.
    pub fn database(&self) -> Database<'_> {
        let database = self.empty_database("");
        database.connect().batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
        database
    }

    /// A new database made with these options, without the extension.
    pub fn empty_database(&self, options: &str) -> Database<'_> {
        let database = self.reserve_database();
        self.connect("postgres")
            .batch_execute(&format!("CREATE DATABASE {} {options}", database.name))
            .expect("CREATE DATABASE");
        database
    }

    /// The name of a database that somebody else makes.
    pub fn reserve_database(&self) -> Database<'_> {
        Database { server: self, name: format!("host_{}", unique()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.owned && self.dir.exists() {
            let stopped = Command::new(root().join("scripts/cluster")).arg("stop").arg(&self.dir).status();
            if !stopped.is_ok_and(|status| status.success()) {
                eprintln!("could not stop the server in {}", self.dir.display());
            }
        }
    }
}

fn alive(pid: &str) -> bool {
    // A zombie is dead: it only waits for its parent to look.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// A database that is dropped when the test is over.
pub struct Database<'a> {
    /// Where it is.
    pub server: &'a Server,
    /// Its name.
    pub name: String,
}

impl Database<'_> {
    /// A connection to it.
    pub fn connect(&self) -> Client {
        self.server.connect(&self.name)
    }

    /// A role that is dropped with the database.
    pub fn role(&self, suffix: &str) -> String {
        let role = format!("{}_{suffix}", self.name);
        self.connect().batch_execute(&format!("CREATE ROLE \"{role}\" LOGIN")).expect("CREATE ROLE");
        role
    }

    /// Drops it now.
    pub fn drop_now(&self) {
        self.server
            .connect("postgres")
            .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))
            .expect("DROP DATABASE");
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let Ok(mut client) = self.server.config("postgres").connect(NoTls) else { return };
        let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let roles = client.query("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1 || '_')", &[&self.name]);
        for role in roles.unwrap_or_default() {
            let _ = client.batch_execute(&format!("DROP ROLE \"{}\"", role.get::<_, &str>(0)));
        }
    }
}

/// Short forms of what most tests do.
pub trait Session {
    /// The only value of a query.
    fn value<T: for<'a> postgres::types::FromSql<'a>>(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> T;
    /// The error of a statement that must fail.
    fn failure(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Failure;
    /// Makes a set for a user.
    fn generate(&mut self, user_id: &str) -> Vec<String>;
    /// Tries a code.
    fn consume(&mut self, user_id: &str, code: &str) -> bool;
    /// Tries a code, and says what became of it.
    fn attempt(&mut self, user_id: &str, code: &str) -> String;
    /// Unused codes.
    fn remaining(&mut self, user_id: &str) -> i32;
    /// The process that serves this session.
    fn pid(&mut self) -> i32;
}

/// What an error says to the client.
#[derive(Debug)]
pub struct Failure {
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// Its message.
    pub message: String,
    /// Its hint, or nothing.
    pub hint: String,
}

impl Session for Client {
    fn value<T: for<'a> postgres::types::FromSql<'a>>(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> T {
        self.query_one(sql, parameters).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    fn failure(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Failure {
        let Err(error) = self.query(sql, parameters) else { panic!("{sql} did not fail") };
        let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
        Failure {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }

    fn generate(&mut self, user_id: &str) -> Vec<String> {
        let rows = self.query("SELECT backup_codes_generate($1::text)", &[&user_id]).expect("codes");
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn consume(&mut self, user_id: &str, code: &str) -> bool {
        self.value("SELECT backup_codes_consume($1::text, $2)", &[&user_id, &code])
    }

    fn attempt(&mut self, user_id: &str, code: &str) -> String {
        self.value("SELECT status FROM backup_codes_attempt($1::text, $2)", &[&user_id, &code])
    }

    fn remaining(&mut self, user_id: &str) -> i32 {
        self.value("SELECT backup_codes_remaining($1::text)", &[&user_id])
    }

    fn pid(&mut self) -> i32 {
        self.value("SELECT pg_backend_pid()", &[])
    }
}

/// A field of a process's status in kB, for instance RssAnon or VmHWM.
pub fn memory(pid: i32, field: &str) -> i64 {
    kilobytes(pid, "status", field)
}

/// Private memory of a process in kB, but for what the system may take without asking.
pub fn needed_memory(pid: i32) -> i64 {
    kilobytes(pid, "smaps_rollup", "Anonymous") - kilobytes(pid, "smaps_rollup", "LazyFree")
}

fn kilobytes(pid: i32, file: &str, field: &str) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a process on this machine");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The ways in which a code could stand somewhere: as shown, without separators, in lower case, and as a sloppy user types it.
pub fn spellings(code: &str) -> HashSet<String> {
    let bare: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    [code.to_owned(), bare.clone(), code.replace('-', " ")]
        .into_iter()
        .flat_map(|spelling| [spelling.to_lowercase(), spelling])
        .collect()
}
