//! `scripts/make-key`: that it makes a key file which the server takes, and keeps its hands off one that is out of order.
//!
//! As root the files are those of the server's user, as the documentation has it; otherwise server and files are the caller's.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use host_tests::{Server, Session, root, run};

use crate::keys::{key_of, keys, reload, session};

/// Keys of 32 bytes in base64.
const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// A directory that is removed with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bch_key_{}_{name}", std::process::id()));
        fs::create_dir(&path).expect("a new directory");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
        Self(path)
    }

    /// A file in it with this content and mode.
    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
        path
    }

    /// What lies in it.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).expect("the directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make_key() -> Command {
    let mut command = Command::new(root().join("scripts/make-key"));
    command.stdin(Stdio::null());
    command
}

/// Makes a key in the file; what was printed.
fn made(path: &Path, more: &[&str]) -> String {
    run(make_key().arg(path).args(more))
}

/// What a run that must be refused says. Nothing is printed to standard output.
fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the script starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(1), "{stdout}{stderr}");
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
    stderr.trim_end().trim_start_matches("error: ").to_owned()
}

/// The ids and keys of a file without comments.
fn lines(path: &Path) -> Vec<(u32, String)> {
    let text = fs::read_to_string(path).expect("a key file");
    text.lines()
        .map(|line| {
            let (id, key) = line.split_once(' ').expect("an id and a key");
            (id.parse().expect("an id"), key.to_owned())
        })
        .collect()
}

fn ids(path: &Path) -> Vec<u32> {
    lines(path).into_iter().map(|line| line.0).collect()
}

/// Decoded by another program.
fn decoded(key: &str) -> Vec<u8> {
    let output = Command::new("sh").args(["-c", "printf %s \"$1\" | base64 -d", "sh", key]).output().expect("base64");
    assert!(output.status.success(), "{key} is not base64");
    output.stdout
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

fn uid() -> u32 {
    run(Command::new("id").arg("-u")).trim().parse().expect("a uid")
}

/// The server's user.
fn postgres() -> u32 {
    run(Command::new("id").args(["-u", "postgres"])).trim().parse().expect("a uid")
}

fn owner_of(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").uid()
}

#[test]
fn a_new_file_holds_one_key_of_32_bytes_and_is_closed_to_everyone_but_its_owner() {
    let place = Place::new("new");
    for mask in ["000", "022", "077"] {
        let path = place.0.join(mask);
        // Whatever the caller's umask.
        let mut command = Command::new("bash");
        command.args(["-c", "umask \"$1\" && exec \"$2\" \"$3\"", "bash", mask]).arg(root().join("scripts/make-key"));
        run(command.arg(&path));
        let text = fs::read_to_string(&path).expect("a key file");
        assert!(text.ends_with('\n') && text.lines().count() == 1, "one line: {} bytes", text.len());
        let (id, key) = lines(&path).remove(0);
        assert_eq!((id, key.len(), decoded(&key).len()), (1, 44, 32));
        assert_eq!((mode(&path), owner_of(&path)), (0o600, uid()), "umask {mask}");
    }
    assert_eq!(place.names().len(), 3, "nothing else is left: {:?}", place.names());
}

#[test]
fn every_key_is_another_one() {
    let place = Place::new("distinct");
    let path = place.0.join("keys");
    for _ in 0..20 {
        made(&path, &[]);
    }
    let keys: BTreeSet<String> = lines(&path).into_iter().map(|line| line.1).collect();
    assert_eq!(keys.len(), 20);
}

#[test]
fn the_key_is_not_shown() {
    let place = Place::new("quiet");
    let path = place.0.join("keys");
    for more in [[].as_slice(), &[], &["7"]] {
        let Output { status, stdout, stderr } = make_key().arg(&path).args(more).output().expect("the script starts");
        assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        let stdout = String::from_utf8(stdout).expect("UTF-8");
        assert!(stdout.contains("first line of"), "it says what it did: {stdout}");
        for (_, key) in lines(&path) {
            assert!(!(0..=key.len() - 8).any(|at| stdout.contains(&key[at..at + 8])), "a part of a key");
            let hex = hex::encode(decoded(&key));
            assert!(!stdout.to_lowercase().contains(&hex[..8]), "a part of a key in hex");
        }
    }
}

#[test]
fn a_second_key_goes_first_and_the_old_keys_stay() {
    let place = Place::new("second");
    let path = place.file("keys", format!("# ours\n3 {ONE}\n\n1 {TWO}"), 0o600);
    let old = fs::read_to_string(&path).expect("the file");
    assert!(made(&path, &[]).contains("Key 4 is the first line of"), "one more than the highest");
    let new = fs::read_to_string(&path).expect("the file");
    assert!(new.starts_with("4 ") && new.ends_with(&format!("\n{old}")), "the old content stays as it is");
    assert_eq!(new.lines().count(), old.lines().count() + 1);
    assert_eq!((mode(&path), owner_of(&path)), (0o600, uid()));
    assert_eq!(place.names(), ["keys".to_owned()].into(), "and no copy of it is left");
}

#[test]
fn an_id_that_is_given_is_taken_and_never_twice() {
    let place = Place::new("ids");
    let path = place.0.join("keys");
    made(&path, &["7"]);
    made(&path, &["3"]);
    made(&path, &[]);
    made(&path, &["2147483647"]);
    assert_eq!(ids(&path), [2_147_483_647, 8, 3, 7]);
    let before = fs::read_to_string(&path).expect("the file");
    for id in ["3", "7", "8", "2147483647"] {
        let said = refused(make_key().arg(&path).arg(id));
        assert!(said.contains(&format!("has a key {id} already")), "{said}");
    }
    for id in ["0", "-1", "+1", "01", "1.5", "one", "2147483648", "99999999999999999999", "1 ", "1\n2"] {
        let said = refused(make_key().arg("--").arg(&path).arg(id));
        assert_eq!(said, "an id is a number from 1 to 2147483647", "{id:?}");
    }
    assert_eq!(refused(make_key().arg(&path)), "the ids are used up: give one");
    assert_eq!(fs::read_to_string(&path).expect("the file"), before, "nothing was changed");
    assert_eq!(place.names(), ["keys".to_owned()].into());
}

#[test]
fn ten_runs_at_a_time_lose_no_key() {
    let place = Place::new("parallel");
    let path = place.0.join("keys");
    let runs: Vec<_> = (0..10).map(|_| make_key().arg(&path).stdout(Stdio::null()).spawn().expect("a run")).collect();
    for mut run in runs {
        assert!(run.wait().expect("an end").success());
    }
    assert_eq!(ids(&path), (1..=10).rev().collect::<Vec<_>>());
}

#[test]
fn a_place_in_a_data_directory_is_refused() {
    let place = Place::new("data");
    fs::create_dir_all(place.0.join("cluster/base/1")).expect("directories");
    place.file("cluster/PG_VERSION", "15\n", 0o600);
    symlink(place.0.join("cluster/base"), place.0.join("elsewhere")).expect("a link");
    symlink(place.0.join("cluster/base/1/keys"), place.0.join("link")).expect("a link");
    for path in ["cluster/keys", "cluster/base/keys", "cluster/base/1/keys", "elsewhere/keys", "elsewhere/1/k", "link"]
    {
        let said = refused(make_key().arg(place.0.join(path)));
        assert!(said.contains("is a data directory, or a part of one"), "{path}: {said}");
    }
    // As it is seen from within, too.
    let said = refused(make_key().arg("keys").current_dir(place.0.join("cluster/base")));
    assert!(said.contains("is a data directory, or a part of one"), "{said}");
    assert_eq!(fs::read_dir(place.0.join("cluster/base/1")).expect("a directory").count(), 0);
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let place = Place::new("open");
    let content = format!("1 {ONE}\n");
    for bits in [0o604, 0o644, 0o602, 0o601, 0o660, 0o620, 0o610, 0o666, 0o777] {
        let path = place.file("keys", &content, bits);
        let said = refused(make_key().arg(&path));
        assert!(said.contains(&format!("has mode {bits:o}, so others may have read its keys")), "{said}");
        assert_eq!((fs::read_to_string(&path).expect("the file"), mode(&path)), (content.clone(), bits));
    }
    // Read by the group: the server takes that of root alone.
    let path = place.file("keys", &content, 0o640);
    if uid() == 0 {
        chown(&path, Some(postgres()), None).expect("chown");
    }
    assert!(refused(make_key().arg(&path)).contains("has mode 640"));
    assert_eq!(place.names(), ["keys".to_owned()].into());
}

#[test]
fn a_directory_that_everybody_can_write_is_refused() {
    let place = Place::new("writable");
    for (bits, taken) in [(0o777, false), (0o773, false), (0o1777, true), (0o775, true)] {
        fs::set_permissions(&place.0, Permissions::from_mode(bits)).expect("chmod");
        let path = place.0.join(format!("{bits:o}"));
        if taken {
            made(&path, &[]);
        } else {
            let said = refused(make_key().arg(&path));
            assert_eq!(said, format!("directory \"{}\" can be written by everybody", place.0.display()));
        }
        assert_eq!(path.exists(), taken, "{bits:o}");
    }
}

#[test]
fn a_malformed_file_is_refused_with_its_line_and_without_its_keys() {
    let place = Place::new("malformed");
    let short = &ONE[..40];
    for (content, line) in [
        (format!("{ONE}\n"), 1),
        ("1\n".to_owned(), 1),
        (format!("# comment\n\n0 {ONE}\n"), 3),
        (format!("-1 {ONE}\n"), 1),
        (format!("01 {ONE}\n"), 1),
        (format!("2147483648 {ONE}\n"), 1),
        (format!("{ONE} 1\n"), 1),
        (format!("1 {ONE}\n2 {short}\n"), 2),
        (format!("1 {ONE}\n2 {short}"), 2),
        (format!("1 {ONE}{ONE}\n"), 1),
        (format!("1 {ONE} 2\n"), 1),
        (format!("1 {}\n", ONE.trim_end_matches('=')), 1),
        (format!("1 {}9=\n", &ONE[..42]), 1),
        (format!("1 {}_=\n", &ONE[..42]), 1),
        (format!("\u{feff}1 {ONE}\n"), 1),
        (format!("1 {ONE}\n1 {TWO}\n"), 2),
    ] {
        let path = place.file("keys", &content, 0o600);
        let said = refused(make_key().arg(&path));
        assert!(said.starts_with(&format!("line {line} of \"{}\" ", path.display())), "{content:?}: {said}");
        assert!(!said.contains(&ONE[..8]) && !said.contains(&TWO[..8]), "{said}");
        assert_eq!(fs::read_to_string(&path).expect("the file"), content, "nothing was changed");
    }
    let path = place.file("keys", format!("1 {ONE}\n\0"), 0o600);
    assert!(refused(make_key().arg(&path)).ends_with("is not text"));
    let full = format!("1 {ONE}\n#{}", "#".repeat(64 * 1024 - 48 - 1));
    let path = place.file("keys", &full, 0o600);
    assert!(refused(make_key().arg(&path)).contains("larger than the 64 kB that the server reads"));
    assert_eq!(fs::read_to_string(&path).expect("the file"), full);
    assert_eq!(place.names(), ["keys".to_owned()].into());

    // What the server takes is no reason to refuse.
    let path = place.file("keys", format!("\r\n  # c\r\n\t5\t {ONE} \r\n4\u{c}{TWO}"), 0o600);
    made(&path, &[]);
    assert!(fs::read_to_string(&path).expect("the file").starts_with("6 "));
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let place = Place::new("link");
    fs::create_dir(place.0.join("real")).expect("a directory");
    let (real, link) = (place.0.join("real/keys"), place.0.join("link"));
    symlink(&real, &link).expect("a link");
    for ids_then in [[1].as_slice(), &[2, 1]] {
        made(&link, &[]);
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(ids(&real), ids_then);
    }
    assert_eq!((mode(&real), place.names().len()), (0o600, 2));
}

#[test]
fn what_is_no_file_and_what_makes_no_sense_is_refused() {
    let place = Place::new("nonsense");
    let path = place.0.join("keys");
    fs::create_dir(place.0.join("directory")).expect("a directory");
    run(Command::new("mkfifo").args(["-m", "600"]).arg(place.0.join("pipe")));
    for name in ["directory", "pipe"] {
        let said = refused(make_key().arg(place.0.join(name)));
        assert!(said.ends_with("is not a regular file"), "{said}");
    }
    assert!(refused(make_key().arg(place.0.join("none/keys"))).ends_with("does not exist"));
    let usage = "usage: make-key [--owner USER] FILE [ID]";
    let shown = path.to_str().expect("UTF-8");
    for arguments in [[].as_slice(), &[""], &[shown, "1", "2"], &["--owner"], &["--key", shown], &["-x"]] {
        assert_eq!(refused(make_key().args(arguments)), usage, "{arguments:?}");
    }
    assert_eq!(refused(make_key().args(["--owner", "no such user", shown])), "there is no user \"no such user\"");
    assert_eq!(place.names(), ["directory".to_owned(), "pipe".to_owned()].into());
}

/// Root gives the file to whom he names, and leaves one that is there to its owner. Who is not root can do neither.
#[test]
fn a_file_belongs_to_the_owner_that_is_named_or_that_it_had() {
    let place = Place::new("owner");
    let path = place.0.join("keys");
    if uid() != 0 {
        let said = make_key().args(["--owner", "root"]).arg(&path).output().expect("the script starts");
        assert_eq!(said.status.code(), Some(1));
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.ends_with("error: only root can give the file to \"root\"\n"), "{said}");
        assert!(place.names().is_empty(), "nothing is left: {:?}", place.names());
        return;
    }
    run(make_key().args(["--owner", "postgres"]).arg(&path));
    assert_eq!((owner_of(&path), mode(&path)), (postgres(), 0o600));
    made(&path, &[]);
    assert_eq!((owner_of(&path), mode(&path), ids(&path)), (postgres(), 0o600, vec![2, 1]));
    run(make_key().arg("--owner=nobody").arg(&path));
    assert_eq!((owner_of(&path), mode(&path)), (65534, 0o600));

    // The other form that the server takes: root's, and read through the group.
    let group = run(Command::new("id").args(["-g", "postgres"])).trim().parse().expect("a gid");
    for bits in [0o640, 0o440] {
        let path = place.file(&format!("{bits:o}"), format!("1 {ONE}\n"), bits);
        chown(&path, Some(0), Some(group)).expect("chown");
        made(&path, &[]);
        assert_eq!((owner_of(&path), mode(&path)), (0, 0o640), "{bits:o}");
        assert_eq!(fs::metadata(&path).expect("the file").gid(), group);
        run(make_key().args(["--owner", "postgres"]).arg(&path));
        assert_eq!((owner_of(&path), mode(&path)), (postgres(), 0o600), "its own user's needs no group");
    }

    // Somebody else may add no key to a file of root's that he can read.
    fs::set_permissions(&place.0, Permissions::from_mode(0o1777)).expect("chmod");
    let path = place.file("roots", format!("1 {ONE}\n"), 0o640);
    chown(&path, Some(0), Some(group)).expect("chown");
    // He may not be able to look into the source tree: a copy does as well.
    let copy = place.0.join("make-key");
    fs::copy(root().join("scripts/make-key"), &copy).expect("a copy");
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).expect("chmod");
    let said = refused(Command::new("runuser").args(["-u", "postgres", "--"]).arg(copy).arg(&path).current_dir("/"));
    assert!(said.contains("belongs to another user"), "{said}");
    assert_eq!(ids(&path), [1]);
}

/// The steps that it prints are taken at their word.
#[test]
fn the_server_takes_the_file_and_the_next_key_after_a_reload() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    let place = Place::new("server");
    // Spelled as a literal in SQL.
    let path = place.0.join("it's keys");
    let mut first = make_key();
    if uid() == 0 {
        first.args(["--owner", "postgres"]);
        chown(&place.0, Some(postgres()), None).expect("chown");
    }
    let printed = run(first.arg(&path));
    let steps: Vec<&str> = printed.lines().map(str::trim).filter(|line| line.ends_with(';')).collect();
    assert_eq!(steps.len(), 4, "{printed}");
    let shown = path.display().to_string();
    for step in &steps[..3] {
        client.batch_execute(step).unwrap_or_else(|error| panic!("{step}: {error:?}"));
    }
    host_tests::wait_until("a reload", || client.value::<String>("SHOW backup_codes.key_file", &[]) == shown);
    let row = client.query_one(steps[3], &[]).expect("the key");
    assert_eq!((row.get(0), row.get(1), row.get(2)), (1, true, true));
    let old = client.generate("old");
    assert_eq!(key_of(&mut client, "old"), Some(1));

    let mut other = session(&database);
    made(&path, &[]);
    reload(&mut [&mut client, &mut other]);
    let new = client.generate("new");
    assert_eq!(key_of(&mut client, "new"), Some(2), "new sets take the new key");
    assert_eq!(keys(&mut client), [(1, true, false, 1), (2, true, true, 1)]);
    for (n, session) in [&mut client, &mut other].into_iter().enumerate() {
        assert_eq!(session.attempt("old", &old[n]), "accepted", "old codes still work");
        assert_eq!(session.attempt("new", &new[n]), "accepted");
    }
    // The key is nowhere but in its file.
    for (_, key) in lines(&path) {
        assert!(!server.log().contains(&key[..12]));
    }
}

#[test]
fn make_key_is_a_target_of_make() {
    let place = Place::new("make");
    let path = place.0.join("the keys");
    let make = |more: &[&str]| {
        let mut command = Command::new("make");
        command.args(["-s", "-C"]).arg(root()).arg("key").arg(format!("FILE={}", path.display())).args(more);
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        run(&mut command)
    };
    make(&[]);
    make(&["ID=9"]);
    make(&[&format!("OWNER={}", run(Command::new("id").arg("-un")).trim())]);
    assert_eq!((ids(&path), mode(&path), owner_of(&path)), (vec![10, 9, 1], 0o600, uid()));
}
