//! A table of the configuration, and the entries in it.
//!
//! Owns the walk over parsed TOML: keys, dotted paths, places, and the refusal of unknown keys. Must not know what a
//! key means or how its value is read.

use toml_edit::{Item, Table, TableLike};

use super::entry::{Entry, Node};
use super::nearest::did_you_mean;
use super::reading::{Reading, Reported, listed};

/// The hint for what the documentation promises and this version does not do yet.
pub(super) const LATER: &str = "not supported by this version";

/// A table; an absent one has no keys.
#[derive(Clone)]
pub(super) struct Section<'a> {
    reading: &'a Reading<'a>,
    path: String,
    /// Where the table begins, in bytes.
    offset: usize,
    table: Option<&'a dyn TableLike>,
}

/// Which keys a table may have.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Those that are read.
    pub(super) known: &'static [&'static str],
    /// Those that a later version will read.
    pub(super) later: &'static [&'static str],
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(reading: &'a Reading<'a>, table: &'a Table) -> Self {
        Self { reading, path: String::new(), offset: 0, table: Some(table) }
    }

    pub(super) fn new(
        reading: &'a Reading<'a>,
        path: String,
        offset: usize,
        table: &'a dyn TableLike,
    ) -> Self {
        Self { reading, path, offset, table: Some(table) }
    }

    /// Refuses every key that is not known.
    pub(super) fn only(&self, keys: Keys) -> Result<(), Reported> {
        self.only_of(&[keys])
    }

    /// The same with several lists of keys.
    pub(super) fn only_of(&self, lists: &[Keys]) -> Result<(), Reported> {
        let known = || lists.iter().flat_map(|keys| keys.known).copied();
        let is_later = |name: &str| lists.iter().any(|keys| keys.later.contains(&name));
        let mut all_known = Ok(());
        for entry in self.entries().filter(|entry| !known().any(|name| name == entry.name)) {
            let hint =
                if is_later(entry.name) { Some(LATER.to_owned()) } else { did_you_mean(entry.name, known()) };
            all_known = Err(self.reading.report(
                entry.key_offset,
                &entry.path,
                "an unknown key".to_owned(),
                listed(known()),
                hint,
            ));
        }
        all_known
    }

    /// All entries, in the order of the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        self.table.into_iter().flat_map(TableLike::iter).filter_map(|(name, _)| self.get(name))
    }

    /// One entry, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Entry<'a>> {
        let (key, item) = self.table?.get_key_value(name)?;
        let node = match item {
            Item::None => return None,
            Item::Value(value) => Node::Value(value),
            Item::Table(table) => Node::Table(table),
            Item::ArrayOfTables(tables) => Node::Tables(tables),
        };
        let key_offset = key.span().or_else(|| item.span()).map_or(self.offset, |span| span.start);
        Some(Entry {
            reading: self.reading,
            name: key.get(),
            path: joined(&self.path, key.get()),
            key_offset,
            offset: item.span().map_or(key_offset, |span| span.start),
            node,
        })
    }

    /// One entry that must be there.
    pub(super) fn require(&self, name: &str, allowed: &str) -> Result<Entry<'a>, Reported> {
        self.get(name).ok_or_else(|| self.missing(name, allowed, None))
    }

    /// Reports that a key is not there.
    pub(super) fn missing(&self, name: &str, allowed: &str, hint: Option<String>) -> Reported {
        let path = joined(&self.path, name);
        self.reading.report(self.offset, &path, "nothing".to_owned(), allowed.to_owned(), hint)
    }

    /// The table at a key, empty if the key is not there.
    pub(super) fn section(&self, name: &str) -> Result<Section<'a>, Reported> {
        match self.get(name) {
            Some(entry) => entry.section(),
            None => Ok(Self {
                reading: self.reading,
                path: joined(&self.path, name),
                offset: self.offset,
                table: None,
            }),
        }
    }

    /// The tables of a list at a key; none if the key is not there.
    pub(super) fn sections(&self, name: &str) -> Result<Vec<Section<'a>>, Reported> {
        self.get(name).map_or(Ok(Vec::new()), |entry| entry.sections())
    }
}

/// A dotted path; a key that is not bare stands in quotes, as in TOML.
fn joined(path: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
