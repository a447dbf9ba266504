//! A mail server that does as it is told, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// Where in the dialogue the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Dot,
}

/// What the server does there, instead of agreeing.
#[derive(Clone, Debug)]
pub enum Does {
    /// Agrees.
    Agrees,
    /// Says this, with CRLF behind it.
    Says(String),
    /// Closes the connection.
    Closes,
    /// Resets it.
    Resets,
    /// Says nothing until the other side goes.
    Waits,
    /// Says yes after that time.
    AgreesLate(Duration),
    /// Takes the mail, if it is one, and closes without saying so.
    TakesAndCloses,
}

/// A mail that was accepted.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub text: String,
}

impl Mail {
    /// A header, unfolded; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}:", name.to_lowercase());
        let line = head.split("\r\n").find(|line| line.to_lowercase().starts_with(&prefix)).map(str::to_owned);
        line.map(|line| line[prefix.len()..].trim().to_owned()).unwrap_or_default()
    }
}

type Script = dyn Fn(At, &str, usize) -> Does + Send + Sync;

struct State {
    mails: Vec<Mail>,
    connections: usize,
    script: Arc<Script>,
    offers: Vec<&'static str>,
    open: Vec<TcpStream>,
    closed: bool,
    asked: Vec<At>,
}

/// The server, on a port of its own.
#[derive(Clone)]
pub struct Server {
    state: Arc<(Mutex<State>, Condvar)>,
    pub port: u16,
}

impl Server {
    /// A server that agrees to everything.
    pub fn start() -> Self {
        Self::with(|_, _, _| Does::Agrees)
    }

    /// A server that does what the script says: at a stage, with the line it came with, on which connection.
    pub fn with(script: impl Fn(At, &str, usize) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = State {
            mails: Vec::new(),
            connections: 0,
            script: Arc::new(script),
            offers: vec!["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "DSN"],
            open: Vec::new(),
            closed: false,
            asked: Vec::new(),
        };
        let server = Self { state: Arc::new((Mutex::new(state), Condvar::new())), port };
        let acceptor = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let number = acceptor.with_state(|state| {
                    if state.closed {
                        return None;
                    }
                    state.connections += 1;
                    state.open.push(stream.try_clone().expect("a clone"));
                    Some(state.connections)
                });
                let Some(number) = number else { continue };
                let server = acceptor.clone();
                std::thread::spawn(move || {
                    let _ = server.serve(&stream, number);
                });
            }
        });
        server
    }

    /// Another script from now on.
    pub fn change(&self, script: impl Fn(At, &str, usize) -> Does + Send + Sync + 'static) {
        self.with_state(|state| state.script = Arc::new(script));
    }

    /// What it offers besides.
    pub fn offer(&self, offers: &[&'static str]) {
        self.with_state(|state| state.offers = offers.to_vec());
    }

    /// Closes every connection, and each new one at once, or stops doing so.
    pub fn away(&self, away: bool) {
        self.with_state(|state| {
            state.closed = away;
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Says something that nobody asked for, and with 421 or nothing to say closes every connection.
    pub fn part(&self, farewell: &str) {
        self.with_state(|state| {
            for mut stream in std::mem::take(&mut state.open) {
                if !farewell.is_empty() {
                    let _ = stream.write_all(format!("{farewell}\r\n").as_bytes());
                }
                if !farewell.starts_with('2') {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        });
    }

    /// The mails so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.with_state(|state| state.mails.clone())
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.with_state(|state| state.connections)
    }

    /// Waits until the dialogue has come to that stage.
    pub fn wait_until_asked(&self, at: At) {
        let (mutex, changed) = &*self.state;
        let mut state = mutex.lock().expect("no panic");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !state.asked.contains(&at) {
            assert!(Instant::now() < deadline, "the dialogue did not come to {at:?}");
            state = changed.wait_timeout(state, Duration::from_secs(1)).expect("no panic").0;
        }
    }

    /// Waits until there are so many mails.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let (mutex, changed) = &*self.state;
        let mut state = mutex.lock().expect("no panic");
        while state.mails.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} mails came", state.mails.len());
            state = changed.wait_timeout(state, left).expect("no panic").0;
        }
        state.mails.clone()
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut self.state.0.lock().expect("no panic"));
        self.state.1.notify_all();
        result
    }

    fn serve(&self, stream: &TcpStream, number: usize) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream.try_clone()?;
        let (mut from, mut to) = (String::new(), String::new());
        let mut line = String::new();
        let mut at = At::Greeting;
        loop {
            let script = self.with_state(|state| {
                state.asked.push(at);
                state.script.clone()
            });
            let about = if at == At::Dot { &to } else { line.trim_end() };
            let does = script(at, about, number);
            let agreed = match at {
                At::Greeting => "220 test".to_owned(),
                At::Ehlo => {
                    let offers = self.with_state(|state| state.offers.clone());
                    let lines: Vec<&str> = ["test"].into_iter().chain(offers).collect();
                    let last = lines.len() - 1;
                    let reply = |(index, line)| format!("250{}{line}", if index == last { ' ' } else { '-' });
                    lines.into_iter().enumerate().map(reply).collect::<Vec<_>>().join("\r\n")
                }
                At::Data => "354 go on".to_owned(),
                At::Dot if to.is_empty() => "554 5.5.1 no recipient".to_owned(),
                _ => "250 2.0.0 yes".to_owned(),
            };
            let accepted = match does {
                Does::Agrees => {
                    writer.write_all((agreed + "\r\n").as_bytes())?;
                    self.keep_at(at, &from, &to, &line);
                    true
                }
                Does::AgreesLate(time) => {
                    std::thread::sleep(time);
                    writer.write_all((agreed + "\r\n").as_bytes())?;
                    self.keep_at(at, &from, &to, &line);
                    true
                }
                Does::Says(text) => {
                    let accepted = text.starts_with(if at == At::Data { '3' } else { '2' });
                    writer.write_all((text + "\r\n").as_bytes())?;
                    if accepted {
                        self.keep_at(at, &from, &to, &line);
                    }
                    if at == At::Rcpt && !accepted {
                        to.clear();
                    }
                    accepted
                }
                Does::TakesAndCloses => {
                    self.keep_at(at, &from, &to, &line);
                    return stream.shutdown(Shutdown::Both);
                }
                Does::Closes => return stream.shutdown(Shutdown::Both),
                Does::Resets => {
                    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                    let peer = stream.peer_addr()?;
                    self.with_state(|state| {
                        state.open.retain(|other| other.peer_addr().is_ok_and(|other| other != peer))
                    });
                    return Ok(());
                }
                Does::Waits => {
                    let mut sink = Vec::new();
                    reader.read_to_end(&mut sink)?;
                    return Ok(());
                }
            };
            if at == At::Data && accepted {
                line = read_mail(&mut reader)?;
                at = At::Dot;
                continue;
            }
            at = loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let verb = line.get(..4).unwrap_or_default().to_uppercase();
                match verb.as_str() {
                    "EHLO" => break At::Ehlo,
                    "MAIL" => {
                        from = argument(&line);
                        break At::Mail;
                    }
                    "RCPT" => {
                        to = argument(&line);
                        break At::Rcpt;
                    }
                    "DATA" => break At::Data,
                    "QUIT" => {
                        writer.write_all(b"221 bye\r\n")?;
                        return Ok(());
                    }
                    _ => writer.write_all(b"250 as you like\r\n")?,
                }
            };
        }
    }

    /// A mail is kept once it is accepted.
    fn keep_at(&self, at: At, from: &str, to: &str, text: &str) {
        if at == At::Dot && !to.is_empty() {
            let mail = Mail { from: from.to_owned(), to: to.to_owned(), text: text.to_owned() };
            self.with_state(|state| state.mails.push(mail));
        }
    }
}

/// What stands between angle brackets.
fn argument(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inside, _)| inside.to_owned())
        .unwrap_or_default()
}

/// A mail up to its last line, with the doubled dots taken out.
fn read_mail(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
