//! One key with its value, read as what its description says: text, number, yes or no, list.
//!
//! Owns the type checks, bounds and the variables in texts. Must not know what a key means.

use chrono::{NaiveDate, NaiveTime};
use toml_edit::{ArrayOfTables, Table, Value};

use super::expand::{ExpandError, expand};
use super::kind::ValueKind;
use super::nearest::did_you_mean;
use super::reading::{Reading, Reported, all, quoted};

/// The hint for what the documentation promises and this version does not do yet.
pub(super) const LATER: &str = "not supported by this version";

/// A key with its value, or one element of a list.
#[derive(Clone)]
pub(super) struct Setting<'a> {
    pub(super) reading: &'a Reading<'a>,
    /// The key itself; of an element, that of its list.
    pub(super) name: &'a str,
    /// The dotted path.
    pub(super) path: String,
    /// What the value should be.
    pub(super) kind: ValueKind,
    /// Where the key stands, in bytes.
    pub(super) key_offset: usize,
    /// Where the value stands, in bytes.
    pub(super) offset: usize,
    pub(super) node: Node<'a>,
    /// Of a table: keys with values that hold where they are not written, before the defaults.
    pub(super) preset: Preset,
}

/// Keys with values, as in the file but without quotes; the elements of a list stand between spaces.
pub(super) type Preset = &'static [(&'static str, &'static str)];

/// What stands behind a key.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Value(&'a Value),
    Table(&'a Table),
    Tables(&'a ArrayOfTables),
    /// Nothing: the default of the key holds.
    Default(&'static str),
}

impl<'a> Setting<'a> {
    /// Reports that the value is not what it should be.
    pub(super) fn wrong(
        &self,
        found: impl Into<String>,
        allowed: impl Into<String>,
        hint: Option<String>,
    ) -> Reported {
        self.reading.report(self.offset, &self.path, found.into(), allowed.into(), hint)
    }

    /// Reports that the value is not what the description of the key allows.
    pub(super) fn refused(&self, found: impl Into<String>, hint: Option<String>) -> Reported {
        self.wrong(found, self.kind.allowed(), hint)
    }

    /// Reports that the key itself is not what it should be.
    pub(super) fn wrong_key(&self, allowed: &str, hint: Option<String>) -> Reported {
        let found = quoted(self.name);
        self.reading.report(self.key_offset, &self.path, found, allowed.to_owned(), hint)
    }

    /// A text, its variables replaced.
    pub(super) fn text(&self) -> Result<String, Reported> {
        let text = match self.node {
            Node::Value(Value::String(text)) => text.value(),
            Node::Default(text) => return Ok(text.to_owned()),
            _ => return Err(self.wrong(self.found(), "a string", None)),
        };
        expand(text, &|name| self.reading.env(name)).map_err(|error| {
            let hint = match &error {
                ExpandError::Missing(name) => {
                    format!("set the environment variable `{name}`, or write `${{{name}:-default}}`")
                }
                ExpandError::Malformed => {
                    "a text that has `${` in it must come from a variable itself".to_owned()
                }
            };
            self.wrong(error.to_string(), "`${NAME}` of a set variable, or `${NAME:-default}`", Some(hint))
        })
    }

    /// A text that must not be empty.
    pub(super) fn some_text(&self) -> Result<String, Reported> {
        let text = self.text()?;
        if text.is_empty() { Err(self.refused("\"\"", None)) } else { Ok(text) }
    }

    /// A whole number within its bounds.
    pub(super) fn whole(&self) -> Result<u64, Reported> {
        match self.node {
            Node::Value(Value::Integer(number)) => u64::try_from(*number.value())
                .ok()
                .filter(|number| self.kind.bounds().contains(number))
                .ok_or_else(|| self.refused(number.value().to_string(), None)),
            Node::Default(text) => text.parse().map_err(|_| self.refused(quoted(text), None)),
            Node::Value(Value::String(text)) if text.value().parse::<u64>().is_ok() => {
                Err(self.refused(self.found(), Some("remove the quotes".to_owned())))
            }
            _ => Err(self.refused(self.found(), None)),
        }
    }

    /// A finite number, whole or not.
    pub(super) fn number(&self) -> Result<f64, Reported> {
        let number = match self.node {
            Node::Value(Value::Float(number)) => *number.value(),
            // beyond 2^53 a double is not exact, and no setting goes so far
            #[expect(clippy::cast_precision_loss, reason = "bounds of settings are far below 2^53")]
            Node::Value(Value::Integer(number)) => *number.value() as f64,
            _ => return Err(self.refused(self.found(), None)),
        };
        if number.is_finite() { Ok(number) } else { Err(self.refused(number.to_string(), None)) }
    }

    /// A span of time within its bounds, in milliseconds.
    pub(super) fn ms(&self) -> Result<u64, Reported> {
        let text = self.text()?;
        let ms = humantime::parse_duration(&text).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
        ms.filter(|ms| self.kind.bounds().contains(ms)).ok_or_else(|| self.refused(quoted(&text), None))
    }

    /// A span of time in whole seconds.
    pub(super) fn seconds(&self) -> Result<u32, Reported> {
        let ms = self.ms()?;
        match u32::try_from(ms / 1_000) {
            Ok(seconds) if ms % 1_000 == 0 => Ok(seconds),
            _ => Err(self.wrong(format!("{ms} ms"), "a time in whole seconds", None)),
        }
    }

    /// A size within its bounds, in bytes.
    pub(super) fn bytes(&self) -> Result<u64, Reported> {
        let text = self.text()?;
        let size = text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
        size.filter(|size| self.kind.bounds().contains(size)).ok_or_else(|| self.refused(quoted(&text), None))
    }

    /// A day, as a TOML date or in quotes: its first instant (UTC), milliseconds since 1970.
    pub(super) fn day_ms(&self) -> Result<i64, Reported> {
        let text = match self.node {
            Node::Value(Value::Datetime(date)) => date.value().to_string(),
            Node::Value(Value::String(_)) => self.text()?,
            _ => return Err(self.refused(self.found(), None)),
        };
        // four digits of a year, two of each other part: no other spelling of the day
        let day = text.parse::<NaiveDate>().ok().filter(|day| text.len() == 10 && day.to_string() == text);
        let start = day.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
        start.ok_or_else(|| self.refused(quoted(&text), None))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, Reported> {
        match self.node {
            Node::Value(Value::Boolean(value)) => Ok(*value.value()),
            Node::Default(text) => Ok(text == "true"),
            _ => Err(self.refused(self.found(), None)),
        }
    }

    /// What one of the words stands for.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Reported> {
        let text = self.text()?;
        let known = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        known.ok_or_else(|| self.no_word(&text, words.iter().map(|(word, _)| *word)))
    }

    /// Reports a text that is none of the words that the description of the key names.
    pub(super) fn no_word<'k>(&self, text: &str, known: impl IntoIterator<Item = &'k str>) -> Reported {
        let is_later = matches!(self.kind, ValueKind::Word(_, later) if later.contains(&text));
        let hint = if is_later { Some(LATER.to_owned()) } else { did_you_mean(text, known) };
        self.refused(quoted(text), hint)
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Result<Vec<Setting<'a>>, Reported> {
        match self.node {
            Node::Value(Value::Array(_)) | Node::Default(_) => Ok(self.parts()),
            _ => {
                let hint = matches!(self.node, Node::Value(Value::String(_)))
                    .then(|| format!("write `{} = [\"…\"]`", self.name));
                Err(self.wrong(self.found(), "a list", hint))
            }
        }
    }

    /// The elements of a list or of `[[…]]`; of anything else, itself.
    pub(super) fn parts(&self) -> Vec<Setting<'a>> {
        let kind = match self.kind {
            ValueKind::List(_, element) => *element,
            ValueKind::Tables(table) => ValueKind::Table(table),
            other => other,
        };
        let part = |index: usize, span: Option<std::ops::Range<usize>>, node: Node<'a>| {
            let offset = span.map_or(self.offset, |span| span.start);
            let path = format!("{}[{index}]", self.path);
            Setting { path, kind, key_offset: offset, offset, node, ..self.clone() }
        };
        match self.node {
            Node::Value(Value::Array(array)) => {
                let values = array.iter().enumerate();
                values.map(|(at, value)| part(at, value.span(), Node::Value(value))).collect()
            }
            Node::Tables(tables) => {
                let tables = tables.iter().enumerate();
                tables.map(|(at, table)| part(at, table.span(), Node::Table(table))).collect()
            }
            Node::Default(list) => {
                let words = list.trim_matches(['[', ']']).split_whitespace().enumerate();
                words.map(|(at, word)| part(at, None, Node::Default(word))).collect()
            }
            Node::Value(_) | Node::Table(_) => vec![self.clone()],
        }
    }

    /// What each text of a list stands for; `one` reads it.
    pub(super) fn texts<T>(
        &self,
        mut one: impl FnMut(&Setting<'a>, &str) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let elements = self.elements()?;
        if elements.is_empty() && !matches!(self.kind, ValueKind::List("", _)) {
            return Err(self.refused("an empty list", None));
        }
        all(elements.iter().map(|element| element.text().and_then(|text| one(element, &text))))
    }

    /// What the value is, without saying which: it may be a secret.
    pub(super) fn found(&self) -> &'static str {
        match self.node {
            Node::Table(_) | Node::Value(Value::InlineTable(_)) => "a table",
            Node::Tables(_) => "a list of tables",
            Node::Value(Value::String(_)) => "a string",
            Node::Value(Value::Integer(_)) => "an integer",
            Node::Value(Value::Float(_)) => "a float",
            Node::Value(Value::Boolean(_)) => "a boolean",
            Node::Value(Value::Datetime(_)) => "a date",
            Node::Value(Value::Array(_)) => "a list",
            Node::Default(_) => "nothing",
        }
    }
}
