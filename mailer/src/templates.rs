//! The words of the mails: a folder per language, a few files per kind. Built in are English and German; a directory of the
//! operator's own goes over them, file by file.
//!
//! A mail is made of `KIND.subject` and `KIND.sentence`, which says what happened; `layout.txt` and `layout.html` put the rest
//! around it. A kind may have a text or a page of its own instead, `KIND.txt` and `KIND.html`. `moment` writes a date.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, SystemTime};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use uuid::Uuid;

use crate::config::Mail;
use crate::context::Context;
use crate::event::{Event, Kind};
use crate::failure::{Class, Failure};
use crate::moment::{self, Moment, Parts};

/// The name of a summary's templates.
const SUMMARY: &str = "summary";
/// What a template may do at the most, in instructions.
const FUEL: u64 = 100_000;
/// Where a line of the text ends.
const WIDTH: usize = 72;

/// The files of a built-in language.
macro_rules! built_in {
    ($language:literal) => {
        built_in!($language: "layout.txt" "layout.html" "moment"
            "generated.subject" "generated.sentence" "replaced.subject" "replaced.sentence"
            "confirmed.subject" "confirmed.sentence" "used.subject" "used.sentence" "locked.subject" "locked.sentence"
            "disabled.subject" "disabled.sentence" "revoked.subject" "revoked.sentence" "summary.subject" "summary.sentence")
    };
    ($language:literal: $($file:literal)+) => {
        &[$((concat!($language, "/", $file), include_str!(concat!("../templates/", $language, "/", $file))),)+]
    };
}

const BUILT_IN: [&[(&str, &str)]; 2] = [built_in!("en"), built_in!("de")];

/// What a mail says.
#[derive(Clone, Debug)]
pub struct Facts {
    pub kind: Kind,
    pub reason: Option<String>,
    pub at: SystemTime,
    pub set_no: Option<i32>,
    pub ordinal: Option<i32>,
    pub remaining: Option<i32>,
    pub low: bool,
    /// The event's context as the application gave it.
    pub context: Option<String>,
    /// What a support desk finds the event by.
    pub reference: Uuid,
    /// Of a summary: of how many events, and when the first and the last was.
    pub summary: Option<(usize, SystemTime, SystemTime)>,
}

impl Facts {
    /// What a mail about an event says.
    pub fn new(event: &Event, kind: Kind) -> Self {
        Self {
            kind,
            reason: event.reason.clone(),
            at: event.at,
            set_no: event.set_no,
            ordinal: event.ordinal,
            remaining: event.remaining,
            low: event.low,
            context: event.context.clone(),
            reference: event.id,
            summary: None,
        }
    }
}

/// A mail in words.
#[derive(Clone, Debug)]
pub struct Words {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// All templates, checked.
pub struct Templates {
    environment: Environment<'static>,
    mail: Mail,
    /// By language and kind.
    files: HashMap<(String, &'static str), Files>,
    languages: BTreeSet<String>,
}

/// Which files make a mail of a kind in a language.
#[derive(Clone, Debug)]
struct Files {
    language: String,
    subject: String,
    sentence: Option<String>,
    text: String,
    html: String,
}

/// What a template can name.
#[derive(Serialize)]
struct Fields<'a> {
    service: &'a str,
    support: &'a str,
    account_url: Option<&'a str>,
    locale: &'a str,
    kind: &'static str,
    reason: Option<&'a str>,
    at: When,
    set_no: Option<i32>,
    ordinal: Option<i32>,
    remaining: Option<i32>,
    low: bool,
    count: usize,
    first_at: When,
    last_at: When,
    device: Option<String>,
    place: Option<String>,
    ip: Option<String>,
    reference: String,
    subject: String,
    sentence: String,
}

/// A time as text.
#[derive(Clone, Serialize)]
struct When {
    local: Option<String>,
    utc: String,
}

impl Templates {
    /// Reads the templates and renders each kind in each language, with everything known and with as little as can be.
    pub fn load(mail: &Mail) -> Result<Self, Failure> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment
            .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
        // A name in a template is a file beside it.
        environment.set_path_join_callback(|name, parent| {
            parent.rsplit_once('/').map_or_else(|| name.into(), |(folder, _)| format!("{folder}/{name}").into())
        });
        environment.add_function("plural", |count: i64, one: String, many: String| if count == 1 { one } else { many });
        let mut sources: HashMap<String, String> =
            BUILT_IN.into_iter().flatten().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect();
        if !mail.templates.is_empty() {
            read_folder(Path::new(&mail.templates), &mut sources)?;
        }
        let languages = sources.keys().filter_map(|name| name.split_once('/')).map(|(language, _)| language.to_owned());
        let languages: BTreeSet<String> = languages.collect();
        let mut files = HashMap::new();
        let kinds = kinds(mail)?;
        for language in &languages {
            for kind in kinds.iter().map(|kind| kind.name()).chain([SUMMARY]) {
                let chain = chain(language, &mail.locale);
                let found = chain.iter().find_map(|language| Files::find(&sources, language, kind));
                let found = found.ok_or_else(|| {
                    Failure::configuration(format!(
                        "no templates for {kind}: give {kind}.subject and {kind}.sentence in [mail] templates"
                    ))
                })?;
                files.insert((language.clone(), kind), found);
            }
        }
        for (name, source) in sources {
            environment.add_template_owned(name, source).map_err(|error| failure(&error))?;
        }
        let templates = Self { environment, mail: mail.clone(), files, languages };
        templates.check(&kinds)?;
        Ok(templates)
    }

    /// The languages there are.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(String::as_str)
    }

    /// Puts a mail into words, in the language and the time of a user.
    pub fn render(&self, facts: &Facts, locale: Option<&str>, time_zone: Option<&str>) -> Result<Words, Failure> {
        let name = if facts.summary.is_some() { SUMMARY } else { facts.kind.name() };
        let language = self.language(locale);
        let files = self
            .files
            .get(&(language, name))
            .ok_or_else(|| Failure::configuration(format!("no templates for {name}: it is not among [mail] kinds")))?;
        let zone = match time_zone.filter(|name| !name.is_empty()) {
            Some(name) => moment::zone(name),
            None => moment::zone(&self.mail.time_zone),
        };
        let when = |at| self.when(&files.language, &Moment::new(at, zone.as_ref()));
        let at = when(facts.at)?;
        let (count, first_at, last_at) = match facts.summary {
            Some((count, first, last)) => (count, when(first)?, when(last)?),
            None => (1, at.clone(), at.clone()),
        };
        let context = match &facts.context {
            Some(context) if self.mail.show_context => Context::read(context),
            _ => Context::default(),
        };
        let mut fields = Fields {
            service: &self.mail.service,
            support: &self.mail.support,
            account_url: Some(self.mail.account_url.as_str()).filter(|url| !url.is_empty()),
            locale: &files.language,
            kind: facts.kind.name(),
            reason: facts.reason.as_deref(),
            at,
            set_no: facts.set_no,
            ordinal: facts.ordinal,
            remaining: facts.remaining,
            low: facts.low,
            count,
            first_at,
            last_at,
            device: context.device,
            place: context.place,
            ip: context.ip,
            reference: facts.reference.to_string(),
            subject: String::new(),
            sentence: String::new(),
        };
        let subject = self.fill(&files.subject, &fields)?;
        fields.subject = subject
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if let Some(sentence) = &files.sentence {
            fields.sentence = self.fill(sentence, &fields)?.trim().to_owned();
        }
        let text = wrap(&self.fill(&files.text, &fields)?);
        let html = self.fill(&files.html, &fields)?;
        Ok(Words { subject: fields.subject, text, html })
    }

    fn fill(&self, name: &str, fields: &Fields<'_>) -> Result<String, Failure> {
        let template = self.environment.get_template(name).map_err(|error| failure(&error))?;
        template.render(Serde(fields)).map_err(|error| failure(&error))
    }

    fn when(&self, language: &str, moment: &Moment) -> Result<When, Failure> {
        let write = |parts: &Parts| match self.environment.get_template(&format!("{language}/moment")) {
            Ok(template) => template.render(Serde(parts)).map_err(|error| failure(&error)),
            Err(_) => Ok(format!("{:04}-{:02}-{:02} {}", parts.year, parts.month, parts.day, parts.time)),
        };
        let local = match &moment.local {
            Some((parts, offset)) => Some(format!("{} ({offset})", write(parts)?)),
            None => None,
        };
        Ok(When { local, utc: format!("{} (UTC)", write(&moment.utc)?) })
    }

    fn language(&self, locale: Option<&str>) -> String {
        let known = |locale: &str| {
            chain(locale, &self.mail.locale).into_iter().find(|language| self.languages.contains(language))
        };
        known(locale.unwrap_or(&self.mail.locale)).unwrap_or_else(|| "en".to_owned())
    }

    fn check(&self, kinds: &[Kind]) -> Result<(), Failure> {
        for language in &self.languages {
            for facts in kinds.iter().flat_map(|kind| samples(*kind)) {
                let words = self.render(&facts, Some(language), None)?;
                if words.subject.is_empty() || words.text.trim().is_empty() || words.html.trim().is_empty() {
                    let kind = facts.kind;
                    return Err(Failure::configuration(format!("template {language}/{kind}: it renders to nothing")));
                }
            }
        }
        Ok(())
    }
}

impl Files {
    /// The files of a kind in a language, if they are complete there.
    fn find(sources: &HashMap<String, String>, language: &str, kind: &str) -> Option<Self> {
        let file = |name: &str| Some(format!("{language}/{name}")).filter(|name| sources.contains_key(name));
        let sentence = file(&format!("{kind}.sentence"));
        let of = |format: &str| {
            file(&format!("{kind}.{format}"))
                .or_else(|| sentence.as_ref().and_then(|_| file(&format!("layout.{format}"))))
        };
        Some(Self {
            language: language.to_owned(),
            subject: file(&format!("{kind}.subject"))?,
            text: of("txt")?,
            html: of("html")?,
            sentence,
        })
    }
}

/// The kinds that are mailed.
pub fn kinds(mail: &Mail) -> Result<Vec<Kind>, Failure> {
    let kind = |name: &String| {
        name.parse().map_err(|()| {
            let known = Kind::ALL.map(Kind::name).join(", ");
            Failure::configuration(format!("[mail] kinds: there is no kind {name:?}; there are {known}"))
        })
    };
    mail.kinds.iter().map(kind).collect()
}

/// Where to look for a language: `de-AT`, `de`, the default, English.
fn chain(locale: &str, default: &str) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for locale in [locale, default, "en"] {
        let tag = locale.split(['.', '@']).next().unwrap_or_default().replace('_', "-").to_ascii_lowercase();
        let mut tag = tag.as_str();
        while !tag.is_empty() {
            if !chain.iter().any(|known| known == tag) {
                chain.push(tag.to_owned());
            }
            tag = tag.rsplit_once('-').map_or("", |(shorter, _)| shorter);
        }
    }
    chain
}

fn read_folder(folder: &Path, sources: &mut HashMap<String, String>) -> Result<(), Failure> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::configuration(format!("template {}: {error}", path.display()))
    };
    let mut found = false;
    for language in std::fs::read_dir(folder).map_err(|error| wrong(folder, &error))? {
        let language = language.map_err(|error| wrong(folder, &error))?.path();
        if !language.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&language).map_err(|error| wrong(&language, &error))? {
            let path = file.map_err(|error| wrong(&language, &error))?.path();
            let (Some(tag), Some(name)) = (text(language.file_name()), text(path.file_name())) else {
                return Err(wrong(&path, &"its name is no UTF-8"));
            };
            if path.is_file() && !name.starts_with('.') {
                let source = std::fs::read_to_string(&path).map_err(|error| wrong(&path, &error))?;
                sources.insert(format!("{}/{name}", tag.replace('_', "-").to_ascii_lowercase()), source);
                found = true;
            }
        }
    }
    if found { Ok(()) } else { Err(wrong(folder, &"there is no LANGUAGE/KIND.subject in it")) }
}

fn text(name: Option<&std::ffi::OsStr>) -> Option<&str> {
    name.and_then(std::ffi::OsStr::to_str)
}

/// An error of a template in one line: which, where, what.
fn failure(error: &minijinja::Error) -> Failure {
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("template {name}, line {line}"),
        _ => "template".to_owned(),
    };
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Failure::new(Class::Configuration, format!("{place}: {}{detail}", error.kind()))
}

/// Breaks the lines of a paragraph that are too long, at spaces.
fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    for line in text.lines() {
        let mut width = 0;
        for (index, word) in line.split(' ').enumerate() {
            let length = word.chars().count();
            if index > 0 {
                if width + 1 + length > WIDTH && width > 0 {
                    wrapped.push('\n');
                    width = 0;
                } else {
                    wrapped.push(' ');
                    width += 1;
                }
            }
            wrapped.push_str(word);
            width += length;
        }
        wrapped.push('\n');
    }
    wrapped
}

/// What a kind's mails can be about, for checks and previews: everything known, and as little as can be.
pub fn samples(kind: Kind) -> Vec<Facts> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_075_900);
    let full = Facts {
        kind,
        reason: Some("failures".to_owned()),
        at,
        set_no: Some(2),
        ordinal: Some(3),
        remaining: Some(8),
        low: false,
        context: Some(r#"{"device": "Firefox on Linux", "place": "Vienna, Austria", "ip": "192.0.2.7"}"#.to_owned()),
        reference: Uuid::from_u128(0x0193_5f2e_4c80_7000_8000_0000_0000_0001),
        summary: None,
    };
    let request = Facts { reason: Some("request".to_owned()), ..full.clone() };
    let few = Facts { remaining: Some(1), low: true, ..full.clone() };
    let none = Facts { remaining: Some(0), low: true, ..full.clone() };
    let bare = Facts { reason: None, set_no: None, ordinal: None, remaining: None, context: None, ..full.clone() };
    let summary = Facts { summary: Some((7, at, at + Duration::from_secs(3_000))), ..full.clone() };
    vec![full, request, few, none, bare, summary]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail { service: "Example".into(), support: "help@example.com".into(), ..Mail::default() }
    }

    #[test]
    fn every_kind_says_what_happened_in_every_language() {
        let templates = Templates::load(&mail()).expect("templates");
        assert_eq!(templates.languages().collect::<Vec<_>>(), ["de", "en"]);
        let facts = &samples(Kind::Used)[2];
        let words = templates.render(facts, Some("de_AT.UTF-8"), Some("Europe/Vienna")).expect("a mail");
        assert_eq!(words.subject, "Nur noch 1 Backup-Code für Example");
        assert!(words.text.contains("Nummer 3 auf Ihrer Liste wurde benutzt. Einer ist übrig."), "{}", words.text);
        assert!(words.text.contains("25. November 2025, 14:05 Uhr (UTC+01:00)"), "{}", words.text);
        let words = templates.render(facts, Some("fr"), None).expect("a mail");
        assert_eq!(words.subject, "Only 1 backup code left for Example");
        assert!(words.text.contains("When: 25 November 2025, 13:05 (UTC)\n\nWas it you?"), "{}", words.text);
    }

    #[test]
    fn text_and_page_say_the_same_and_hold_no_link() {
        let templates = Templates::load(&Mail { show_context: true, ..mail() }).expect("templates");
        for kind in kinds(&mail()).expect("kinds") {
            for (facts, language) in samples(kind).iter().flat_map(|facts| [(facts, "en"), (facts, "de")]) {
                let words = templates.render(facts, Some(language), Some("Asia/Tokyo")).expect("a mail");
                let plain = |html: &str| {
                    let body = html.split_once("<body>").expect("a body").1;
                    let text = body
                        .replace("<br>", " ")
                        .split('<')
                        .map(|part| part.split_once('>').map_or(part, |(_, text)| text))
                        .collect::<String>();
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                };
                assert_eq!(
                    plain(&words.html),
                    words.text.split_whitespace().collect::<Vec<_>>().join(" "),
                    "{kind} {language}"
                );
                for part in [&words.subject, &words.text, &words.html] {
                    assert!(!part.contains("http") && !part.contains("href") && !part.contains("<a"), "{part}");
                    assert!(!part.contains("none") && !part.contains("undefined"), "{part}");
                }
                assert!(words.text.lines().all(|line| line.chars().count() <= WIDTH + 4), "{}", words.text);
            }
        }
    }

    #[test]
    fn what_comes_from_outside_is_escaped_in_the_page() {
        let templates = Templates::load(&Mail { service: "A & <b>".into(), ..mail() }).expect("templates");
        let words = templates.render(&samples(Kind::Revoked)[0], None, None).expect("a mail");
        assert!(
            words.html.contains("A &amp; &lt;b&gt; has withdrawn") && !words.html.contains("<b>"),
            "{}",
            words.html
        );
        assert!(words.text.contains("A & <b> has withdrawn"), "{}", words.text);
    }

    #[test]
    fn a_broken_template_is_found_when_it_is_read() {
        let folder = std::env::temp_dir().join(format!("backup-codes-mailer-templates-{}", std::process::id()));
        let language = folder.join("en");
        std::fs::create_dir_all(&language).expect("a folder");
        let load = || Templates::load(&Mail { templates: folder.to_str().expect("UTF-8").to_owned(), ..mail() });
        for (source, told) in [
            ("{{ remainng }}", "template en/used.subject, line 1: undefined value"),
            ("{% if %}", "template en/used.subject, line 1: syntax error"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}", "fuel"),
            (" ", "renders to nothing"),
            ("{% include \"../../../etc/passwd\" %}", "template not found"),
        ] {
            std::fs::write(language.join("used.subject"), source).expect("a file");
            let failure = load().err().unwrap_or_else(|| panic!("{source} was taken"));
            assert!(failure.message.contains(told), "{failure} does not say {told}");
        }
        std::fs::write(language.join("used.subject"), "Codes: {{ remaining }}\n\tleft").expect("a file");
        let words = load().expect("templates").render(&samples(Kind::Used)[0], None, None).expect("a mail");
        std::fs::remove_dir_all(&folder).expect("the folder");
        assert_eq!(words.subject, "Codes: 8 left");
    }
}
