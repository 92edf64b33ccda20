//! What can be said of a key: the kind of its value with bounds and allowed words, its default, what it is for.
//!
//! Owns the shapes of a description and how bounds are worded. Must not know which keys there are.

use std::time::Duration;

use bytesize::ByteSize;

/// One key.
pub(super) struct KeySpec {
    pub(super) name: &'static str,
    pub(super) kind: ValueKind,
    /// Its value if it is left out, as in the file but without quotes.
    pub(super) default: Option<&'static str>,
    /// What it is for.
    pub(super) doc: &'static str,
}

/// The keys of a table; several lists where tables share keys.
pub(super) struct TableSpec {
    pub(super) keys: &'static [&'static [KeySpec]],
    /// Those that always stand in it.
    pub(super) required: &'static [&'static str],
    /// Those that a later version will read.
    pub(super) later: &'static [&'static str],
}

/// The kind of a value; a text in it says what is allowed.
#[derive(Clone, Copy)]
pub(super) enum ValueKind {
    Text(&'static str),
    /// A text that may also come from the file that `<key>_file` names.
    Secret(&'static str),
    /// One of some words; those behind them are not supported yet.
    Word(fn() -> Vec<&'static str>, &'static [&'static str]),
    /// A time such as `15m`, bounds in milliseconds.
    Span(u64, u64),
    /// A size such as `32MiB`, bounds in bytes.
    Size(u64, u64),
    Whole(u64, u64),
    Number(&'static str),
    Flag,
    Day,
    /// With what is allowed if the list must not be empty.
    List(&'static str, &'static ValueKind),
    Table(&'static TableSpec),
    /// A list of tables.
    Tables(&'static TableSpec),
    /// A table whose keys are names.
    Map(&'static ValueKind),
}

impl ValueKind {
    /// What a value of this kind may be, in words.
    pub(super) fn allowed(&self) -> String {
        let time = |ms: u64| humantime::format_duration(Duration::from_millis(ms));
        match self {
            Self::Word(words, _) => words().join(", "),
            Self::Span(min, max) => format!("a time from \"{}\" to \"{}\"", time(*min), time(*max)),
            Self::Size(min, max) => {
                format!("a size from \"{}\" to \"{}\"", shown_size(*min), shown_size(*max))
            }
            Self::Whole(min, max) => format!("an integer, {min} to {max}"),
            Self::Flag => "true, false".to_owned(),
            Self::Day => "a day such as 2026-01-31".to_owned(),
            Self::List("", _) => "a list".to_owned(),
            Self::Table(_) | Self::Map(_) => "a table".to_owned(),
            Self::Tables(_) => "a list of tables".to_owned(),
            Self::Text(allowed) | Self::Secret(allowed) | Self::Number(allowed) | Self::List(allowed, _) => {
                (*allowed).to_owned()
            }
        }
    }

    /// The bounds of a time, size or whole number.
    pub(super) fn bounds(&self) -> std::ops::RangeInclusive<u64> {
        match self {
            Self::Span(min, max) | Self::Size(min, max) | Self::Whole(min, max) => *min..=*max,
            _ => 0..=u64::MAX,
        }
    }
}

impl TableSpec {
    /// All keys, in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static KeySpec> {
        self.keys.iter().copied().flatten()
    }

    /// The names of all keys, those of secrets' files too.
    pub(super) fn names(&self) -> Vec<String> {
        let names = |key: &KeySpec| match key.kind {
            ValueKind::Secret(_) => vec![key.name.to_owned(), format!("{}_file", key.name)],
            _ => vec![key.name.to_owned()],
        };
        self.all().flat_map(names).collect()
    }

    /// The key of a name.
    pub(super) fn key(&self, name: &str) -> Option<&'static KeySpec> {
        let is_file = |key: &KeySpec| {
            matches!(key.kind, ValueKind::Secret(_)) && name.strip_suffix("_file") == Some(key.name)
        };
        self.all().find(|key| key.name == name || is_file(key))
    }
}

/// A size as it is written in a file.
pub(super) fn shown_size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string().replace(".0 ", "")
}

/// Descriptions of keys: a doc comment, the name, the kind, and the default if there is one.
macro_rules! described {
    (@) => { None };
    (@ $default:literal) => { Some($default) };
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:expr $(=> $default:literal)?;)+) => {
        &[$(KeySpec {
            name: stringify!($name),
            kind: $kind,
            default: described!(@ $($default)?),
            doc: concat!($($doc),+),
        }),+]
    };
}

/// Descriptions of tables: what always stands in each and what a later version will read, then its keys. Keys that
/// tables share stand there by the name of their list.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident $(requires $required:tt)? $(later $later:tt)? = $($part:tt),+)+) => {
        $($(#[$doc])* pub(super) static $name: TableSpec = TableSpec {
            required: tables!(@list $($required)?),
            later: tables!(@list $($later)?),
            keys: &[$(tables!(@keys $part)),+],
        };)+
    };
    (@list) => { &[] };
    (@list $list:tt) => { &$list };
    (@keys { $($keys:tt)+ }) => { described! { $($keys)+ } };
    (@keys $shared:ident) => { $shared };
}
pub(super) use {described, tables};
