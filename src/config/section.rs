//! A table of the configuration, and the settings in it.
//!
//! Owns the walk over parsed TOML beside the descriptions of its keys: dotted paths, places, defaults, and the refusal
//! of unknown keys. Must not know what a key means or how its value is read.

use toml_edit::{Item, Table, TableLike};

use super::kind::{KeySpec, ValueKind};
use super::nearest::did_you_mean;
use super::reading::{Reading, Reported};
use super::setting::{LATER, Node, Setting, all};

/// A table; an absent one has no keys.
#[derive(Clone)]
pub(super) struct Section<'a> {
    reading: &'a Reading<'a>,
    path: String,
    /// Where the table begins, in bytes.
    offset: usize,
    table: Option<&'a dyn TableLike>,
    /// The description of its keys.
    kind: ValueKind,
}

impl<'a> Section<'a> {
    /// The whole file. Every key in it that `kind` does not describe is reported.
    pub(super) fn root(reading: &'a Reading<'a>, table: &'a Table, kind: ValueKind) -> Self {
        let root = Self { reading, path: String::new(), offset: 0, table: Some(table), kind };
        root.refuse_unknown();
        root
    }

    fn refuse_unknown(&self) {
        for setting in self.settings() {
            if let (ValueKind::Table(table), None) = (self.kind, self.spec(setting.name)) {
                let known = table.names();
                let near = || did_you_mean(setting.name, known.iter().map(String::as_str));
                let is_later = table.later.contains(&setting.name);
                let hint = if is_later { Some(LATER.to_owned()) } else { near() };
                let found = "an unknown key".to_owned();
                self.reading.report(setting.key_offset, &setting.path, found, known.join(", "), hint);
                continue;
            }
            // what should be a table and is none is told where it is read
            for part in setting
                .parts()
                .iter()
                .filter(|part| matches!(part.kind, ValueKind::Table(_) | ValueKind::Map(_)))
            {
                if let Some(table) = part.table() {
                    part.as_section(Some(table)).refuse_unknown();
                }
            }
        }
    }

    fn spec(&self, name: &str) -> Option<&'static KeySpec> {
        if let ValueKind::Table(table) = self.kind { table.key(name) } else { None }
    }

    fn kind_of(&self, name: &str) -> ValueKind {
        match self.kind {
            ValueKind::Map(kind) => *kind,
            _ => self.spec(name).map_or(ValueKind::Text("no such key"), |spec| spec.kind),
        }
    }

    /// All settings that are written, in the order of the file.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting<'a>> {
        self.table.into_iter().flat_map(TableLike::iter).filter_map(|(name, _)| self.get(name))
    }

    /// One setting, if it is written.
    pub(super) fn get(&self, name: &str) -> Option<Setting<'a>> {
        let (key, item) = self.table?.get_key_value(name)?;
        let node = match item {
            Item::None => return None,
            Item::Value(value) => Node::Value(value),
            Item::Table(table) => Node::Table(table),
            Item::ArrayOfTables(tables) => Node::Tables(tables),
        };
        let key_offset = key.span().or_else(|| item.span()).map_or(self.offset, |span| span.start);
        Some(Setting {
            reading: self.reading,
            name: key.get(),
            path: joined(&self.path, key.get()),
            kind: self.kind_of(name),
            key_offset,
            offset: item.span().map_or(key_offset, |span| span.start),
            node,
        })
    }

    /// One setting, written or by its default; a key without default must be there.
    pub(super) fn read(&self, name: &'static str) -> Result<Setting<'a>, Reported> {
        let spec = self.spec(name);
        match (self.get(name), spec.and_then(|spec| spec.default)) {
            (Some(setting), _) => Ok(setting),
            (None, Some(default)) => Ok(self.absent(name, Node::Default(default))),
            (None, None) => Err(self.missing(name, &self.kind_of(name).allowed(), None)),
        }
    }

    /// What is read of a setting, if it is written.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Setting<'a>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.get(name).as_ref().map(read).transpose()
    }

    /// A text that may be left out; an empty one counts as left out, so that `${NAME:-}` can switch a key off.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, Reported> {
        Ok(self.optional(name, Setting::text)?.filter(|text| !text.is_empty()))
    }

    /// Reports that a key is not there.
    pub(super) fn missing(&self, name: &str, allowed: &str, hint: Option<String>) -> Reported {
        let path = joined(&self.path, name);
        self.reading.report(self.offset, &path, "nothing".to_owned(), allowed.to_owned(), hint)
    }

    /// The table at a key, empty if the key is not there.
    pub(super) fn section(&self, name: &'static str) -> Result<Section<'a>, Reported> {
        match self.get(name) {
            Some(setting) => setting.section(),
            None => Ok(self.absent(name, Node::Default("")).as_section(None)),
        }
    }

    /// The tables of a list at a key; none if the key is not there.
    pub(super) fn sections(&self, name: &str) -> Result<Vec<Section<'a>>, Reported> {
        Ok(self.optional(name, Setting::sections)?.unwrap_or_default())
    }

    fn absent(&self, name: &'static str, node: Node<'a>) -> Setting<'a> {
        let path = joined(&self.path, name);
        let (reading, kind, offset) = (self.reading, self.kind_of(name), self.offset);
        Setting { reading, name, path, kind, key_offset: offset, offset, node }
    }
}

impl<'a> Setting<'a> {
    /// A table.
    pub(super) fn section(&self) -> Result<Section<'a>, Reported> {
        match self.table() {
            Some(table) => Ok(self.as_section(Some(table))),
            None => Err(self.wrong(self.found(), "a table", None)),
        }
    }

    /// A list of tables, written as `[[…]]` or inline.
    pub(super) fn sections(&self) -> Result<Vec<Section<'a>>, Reported> {
        if matches!(self.node, Node::Tables(_)) || self.found() == "a list" {
            return all(self.parts().iter().map(Setting::section));
        }
        let hint = matches!(self.node, Node::Table(_)).then(|| format!("write `[[{}]]`", self.path));
        Err(self.wrong(self.found(), "a list of tables", hint))
    }

    fn as_section(&self, table: Option<&'a dyn TableLike>) -> Section<'a> {
        let (reading, offset, kind) = (self.reading, self.offset, self.kind);
        Section { reading, path: self.path.clone(), offset, table, kind }
    }
}

/// A dotted path; a key that is not bare stands in quotes, as in TOML.
fn joined(path: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
