//! One reading of one configuration file: its text, the environment, and the problems found so far.
//!
//! Owns lines and columns, the proof that a failure was told, and how results with it are put together. Must not know TOML
//! or what a key means.

use std::cell::RefCell;

use super::problem::{ConfigProblem, Problems};

/// Longer texts from a file are cut when they are shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Proof that a problem was recorded: nothing else makes one, so a setting that is missing was always told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// The file that is read, and what was wrong so far.
pub(super) struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    problems: RefCell<Vec<ConfigProblem>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { file, text, env, problems: RefCell::default() }
    }

    /// The value of an environment variable.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Records a problem at a byte offset of the text.
    pub(super) fn report(
        &self,
        offset: usize,
        key: &str,
        found: String,
        allowed: String,
        hint: Option<String>,
    ) -> Reported {
        let (line, column) = self.line_and_column(offset);
        self.problems.borrow_mut().push(ConfigProblem {
            file: self.file.to_owned(),
            line: Some(line),
            column: Some(column),
            key: key.to_owned(),
            found,
            allowed,
            hint,
        });
        Reported(())
    }

    /// Takes over what was wrong in another file that this one names.
    pub(super) fn adopt(&self, problems: impl IntoIterator<Item = ConfigProblem>) -> Reported {
        self.problems.borrow_mut().extend(problems);
        Reported(())
    }

    /// The settings, if nothing was wrong. A failure has left a problem behind: only `report` makes a [`Reported`].
    pub(super) fn finish<T>(self, settings: Result<T, Reported>) -> Result<T, Problems> {
        let problems = self.problems.into_inner();
        match settings {
            Ok(settings) if problems.is_empty() => Ok(settings),
            _ => Err(Problems::new(problems)),
        }
    }

    /// Line and column (in characters) of a byte offset, both from 1. What is missing at the end is told where the text
    /// ends, not on the empty line behind it.
    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let end = self.text.trim_end().len();
        let before = self.text.get(..offset.min(end)).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}

/// A text from the file as it is shown: in quotes, control characters escaped, long ones cut.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
    }
}

/// Words as they are listed in `allowed`.
pub(super) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// All results, or a failure, but only after every one was looked at: all problems are told at once.
pub(super) fn all<T>(results: impl IntoIterator<Item = Result<T, Reported>>) -> Result<Vec<T>, Reported> {
    // `collect` would stop at the first
    let results: Vec<_> = results.into_iter().collect();
    results.into_iter().collect()
}

/// A struct of what was read for its fields, or a failure, but only after every one was looked at. A field's reader may
/// look at the results of those before it.
macro_rules! gather {
    ($name:ident { $($field:ident: $value:expr),+ $(,)? }) => {{
        $(let $field = $value;)+
        $crate::config::reading::whole(|| Ok($name { $($field: $field?),+ }))
    }};
}
pub(super) use gather;

/// What `read` gives: a bound for the `?` in it.
pub(super) fn whole<T>(read: impl FnOnce() -> Result<T, Reported>) -> Result<T, Reported> {
    read()
}
