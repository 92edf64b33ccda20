//! One key with its value, read as what it should be: text, number, yes or no, list, table.
//!
//! Owns the type checks and the variables in texts. Must not know what a key means.

use chrono::{NaiveDate, NaiveTime};
use toml_edit::{ArrayOfTables, Table, TableLike, Value};

use super::expand::{ExpandError, expand};
use super::nearest::did_you_mean;
use super::reading::{Reading, Reported, listed, quoted};
use super::section::{LATER, Section};

/// A key with its value, or one element of a list.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) reading: &'a Reading<'a>,
    /// The key itself; of an element, that of its list.
    pub(super) name: &'a str,
    /// The dotted path.
    pub(super) path: String,
    /// Where the key stands, in bytes.
    pub(super) key_offset: usize,
    /// Where the value stands, in bytes.
    pub(super) offset: usize,
    pub(super) node: Node<'a>,
}

/// What stands behind a key.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Value(&'a Value),
    Table(&'a Table),
    Tables(&'a ArrayOfTables),
}

impl<'a> Entry<'a> {
    /// Reports that the value is not what it should be.
    pub(super) fn wrong(
        &self,
        found: impl Into<String>,
        allowed: impl Into<String>,
        hint: Option<String>,
    ) -> Reported {
        self.reading.report(self.offset, &self.path, found.into(), allowed.into(), hint)
    }

    /// Reports that the key itself is not what it should be.
    pub(super) fn wrong_key(&self, allowed: &str, hint: Option<String>) -> Reported {
        let found = quoted(self.name);
        self.reading.report(self.key_offset, &self.path, found, allowed.to_owned(), hint)
    }

    /// A text, its variables replaced.
    pub(super) fn text(&self) -> Result<String, Reported> {
        let Node::Value(Value::String(text)) = self.node else {
            return Err(self.wrong(self.kind(), "a string", None));
        };
        expand(text.value(), &|name| self.reading.env(name)).map_err(|error| {
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

    /// A whole number in a range, bounds included.
    pub(super) fn integer(&self, min: u64, max: u64) -> Result<u64, Reported> {
        let allowed = format!("an integer, {min} to {max}");
        match self.node {
            Node::Value(Value::Integer(number)) => u64::try_from(*number.value())
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| self.wrong(number.value().to_string(), allowed, None)),
            Node::Value(Value::String(text)) if text.value().parse::<u64>().is_ok() => {
                Err(self.wrong(self.kind(), allowed, Some("remove the quotes".to_owned())))
            }
            _ => Err(self.wrong(self.kind(), allowed, None)),
        }
    }

    /// A finite number, whole or not.
    pub(super) fn number(&self, allowed: &str) -> Result<f64, Reported> {
        let number = match self.node {
            Node::Value(Value::Float(number)) => *number.value(),
            // beyond 2^53 a double is not exact, and no setting goes so far
            #[expect(clippy::cast_precision_loss, reason = "bounds of settings are far below 2^53")]
            Node::Value(Value::Integer(number)) => *number.value() as f64,
            _ => return Err(self.wrong(self.kind(), allowed, None)),
        };
        if number.is_finite() { Ok(number) } else { Err(self.wrong(number.to_string(), allowed, None)) }
    }

    /// A day, as a TOML date or in quotes: its first instant (UTC), milliseconds since 1970.
    pub(super) fn day_ms(&self) -> Result<i64, Reported> {
        let allowed = "a day such as 2026-01-31";
        let text = match self.node {
            Node::Value(Value::Datetime(date)) => date.value().to_string(),
            Node::Value(Value::String(_)) => self.text()?,
            _ => return Err(self.wrong(self.kind(), allowed, None)),
        };
        // four digits of a year, two of each other part: no other spelling of the day
        let day = text.parse::<NaiveDate>().ok().filter(|day| text.len() == 10 && day.to_string() == text);
        let start = day.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
        start.ok_or_else(|| self.wrong(quoted(&text), allowed, None))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Reported> {
        match self.node {
            Node::Value(Value::Boolean(value)) => Ok(*value.value()),
            _ => Err(self.wrong(self.kind(), "true, false", None)),
        }
    }

    /// One of some words. Those in `later` are not supported yet.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Result<T, Reported> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let hint = if later.contains(&text.as_str()) {
            Some(LATER.to_owned())
        } else {
            did_you_mean(&text, words.iter().map(|(word, _)| *word))
        };
        Err(self.wrong(quoted(&text), listed(words.iter().map(|(word, _)| *word)), hint))
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Result<Vec<Entry<'a>>, Reported> {
        let Node::Value(Value::Array(array)) = self.node else {
            let hint = matches!(self.node, Node::Value(Value::String(_)))
                .then(|| format!("write `{} = [\"…\"]`", self.name));
            return Err(self.wrong(self.kind(), "a list", hint));
        };
        let element = |(index, value): (usize, &'a Value)| {
            let offset = value.span().map_or(self.offset, |span| span.start);
            self.element(index, offset, Node::Value(value))
        };
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// What each text of a list stands for; `one` reads it.
    pub(super) fn texts<T>(
        &self,
        mut one: impl FnMut(&Entry<'a>, &str) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        all(self.elements()?.iter().map(|element| element.text().and_then(|text| one(element, &text))))
    }

    /// As [`Entry::texts`], of a list that must not be empty.
    pub(super) fn some_texts<T>(
        &self,
        allowed: &str,
        one: impl FnMut(&Entry<'a>, &str) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let texts = self.texts(one)?;
        if texts.is_empty() { Err(self.wrong("an empty list", allowed, None)) } else { Ok(texts) }
    }

    /// A table.
    pub(super) fn section(&self) -> Result<Section<'a>, Reported> {
        let Some(table) = self.table() else { return Err(self.wrong(self.kind(), "a table", None)) };
        Ok(Section::new(self.reading, self.path.clone(), self.offset, table))
    }

    /// A table, unless it is something else.
    pub(super) fn table(&self) -> Option<&'a dyn TableLike> {
        match self.node {
            Node::Table(table) => Some(table),
            Node::Value(Value::InlineTable(table)) => Some(table),
            _ => None,
        }
    }

    /// A list of tables, written as `[[…]]` or inline.
    pub(super) fn sections(&self) -> Result<Vec<Section<'a>>, Reported> {
        match self.node {
            Node::Tables(tables) => all(tables.iter().enumerate().map(|(index, table)| {
                let offset = table.span().map_or(self.offset, |span| span.start);
                self.element(index, offset, Node::Table(table)).section()
            })),
            Node::Value(Value::Array(_)) => all(self.elements()?.iter().map(Entry::section)),
            _ => {
                let hint = matches!(self.node, Node::Table(_)).then(|| format!("write `[[{}]]`", self.path));
                Err(self.wrong(self.kind(), "a list of tables", hint))
            }
        }
    }

    fn element(&self, index: usize, offset: usize, node: Node<'a>) -> Entry<'a> {
        let path = format!("{}[{index}]", self.path);
        Entry { reading: self.reading, name: self.name, path, key_offset: offset, offset, node }
    }

    /// Is it `[[…]]`?
    pub(super) fn is_tables(&self) -> bool {
        matches!(self.node, Node::Tables(_))
    }

    /// What the value is, without saying which: it may be a secret.
    fn kind(&self) -> &'static str {
        match self.node {
            Node::Table(_) | Node::Value(Value::InlineTable(_)) => "a table",
            Node::Tables(_) => "a list of tables",
            Node::Value(Value::String(_)) => "a string",
            Node::Value(Value::Integer(_)) => "an integer",
            Node::Value(Value::Float(_)) => "a float",
            Node::Value(Value::Boolean(_)) => "a boolean",
            Node::Value(Value::Datetime(_)) => "a date",
            Node::Value(Value::Array(_)) => "a list",
        }
    }
}

/// All results, or a failure, but only after every one was looked at: all problems are told at once.
pub(super) fn all<T>(results: impl IntoIterator<Item = Result<T, Reported>>) -> Result<Vec<T>, Reported> {
    let mut values = Ok(Vec::new());
    for result in results {
        match (result, &mut values) {
            (Ok(value), Ok(values)) => values.push(value),
            (Ok(_), Err(_)) => {}
            (Err(reported), _) => values = Err(reported),
        }
    }
    values
}
