//! A table of the configuration, and the settings in it.
//!
//! Owns the walk over parsed TOML beside the descriptions of its keys: dotted paths, places, defaults, and the refusal
//! of unknown keys. Must not know what a key means or how its value is read.

use toml_edit::{Item, Table, TableLike, Value};

use super::kind::{KeySpec, TableSpec, ValueKind};
use super::nearest::did_you_mean;
use super::reading::{Reading, Reported, all};
use super::setting::{LATER, Node, Setting};

impl<'a> Setting<'a> {
    /// The whole file. Every key in it that `table` does not describe is reported.
    pub(super) fn root(reading: &'a Reading<'a>, written: &'a Table, table: &'static TableSpec) -> Self {
        let (kind, node) = (ValueKind::Table(table), Node::Table(written));
        let root = Self {
            reading,
            name: "",
            path: String::new(),
            kind,
            key_offset: 0,
            offset: 0,
            node,
            preset: &[],
        };
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
            let is_table = |part: &&Self| matches!(part.kind, ValueKind::Table(_) | ValueKind::Map(_));
            setting.parts().iter().filter(is_table).for_each(Self::refuse_unknown);
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

    /// All settings that are written in this table, in the order of the file.
    pub(super) fn settings(&self) -> impl Iterator<Item = Self> {
        self.table().into_iter().flat_map(TableLike::iter).filter_map(|(name, _)| self.get(name))
    }

    /// One setting of this table, if it is written.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let (key, item) = self.table()?.get_key_value(name)?;
        let node = match item {
            Item::None => return None,
            Item::Value(value) => Node::Value(value),
            Item::Table(table) => Node::Table(table),
            Item::ArrayOfTables(tables) => Node::Tables(tables),
        };
        let key_offset = key.span().or_else(|| item.span()).map_or(self.offset, |span| span.start);
        let offset = item.span().map_or(key_offset, |span| span.start);
        Some(Self { key_offset, offset, ..self.absent(key.get(), node) })
    }

    /// A setting of this table that is not written: told where the table begins.
    fn absent(&self, name: &'a str, node: Node<'a>) -> Self {
        let (reading, path, kind) = (self.reading, joined(&self.path, name), self.kind_of(name));
        Self { reading, name, path, kind, key_offset: self.offset, offset: self.offset, node, preset: &[] }
    }

    /// One setting, written or by its default.
    fn get_or_default(&self, name: &'static str) -> Option<Self> {
        let preset = self.preset.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let default = || preset.or_else(|| self.spec(name)?.default);
        self.get(name).or_else(|| Some(self.absent(name, Node::Default(default()?))))
    }

    /// What is read of a setting, written or by its default; a key without default must be there.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        let missing = || self.missing(name, &self.kind_of(name).allowed(), None);
        self.optional(name, read)?.ok_or_else(missing)
    }

    /// What is read of a setting, if it is written or has a default.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.get_or_default(name).as_ref().map(read).transpose()
    }

    /// A setting whose text is not empty, or its preset: an empty one counts as not written, so that `${NAME:-}` can
    /// switch a key off.
    pub(super) fn filled(&self, name: &str) -> Result<Option<Self>, Reported> {
        if let Some(setting) = self.get(name)
            && !setting.text()?.is_empty()
        {
            return Ok(Some(setting));
        }
        let preset = self.preset.iter().find(|(key, _)| *key == name);
        Ok(preset.map(|(key, value)| self.absent(key, Node::Default(value))))
    }

    /// A text that may be left out or empty.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, Reported> {
        self.filled(name)?.as_ref().map(Self::text).transpose()
    }

    /// Reports that a key is not there.
    pub(super) fn missing(&self, name: &str, allowed: &str, hint: Option<String>) -> Reported {
        let path = joined(&self.path, name);
        self.reading.report(self.offset, &path, "nothing".to_owned(), allowed.to_owned(), hint)
    }

    /// The table at a key, empty if the key is not there.
    pub(super) fn section(&self, name: &'static str) -> Result<Self, Reported> {
        self.get(name).map_or_else(|| Ok(self.absent(name, Node::Default(""))), |table| table.as_section())
    }

    /// The tables of a list at a key, written as `[[…]]` or inline; none if the key is not there.
    pub(super) fn sections(&self, name: &str) -> Result<Vec<Self>, Reported> {
        let Some(list) = self.get(name) else { return Ok(Vec::new()) };
        if matches!(list.node, Node::Tables(_)) || list.found() == "a list" {
            return all(list.parts().iter().map(Self::as_section));
        }
        let hint = matches!(list.node, Node::Table(_)).then(|| format!("write `[[{}]]`", list.path));
        Err(list.wrong(list.found(), "a list of tables", hint))
    }

    /// A table, unless it is something else.
    pub(super) fn table(&self) -> Option<&'a dyn TableLike> {
        match self.node {
            Node::Table(table) => Some(table),
            Node::Value(Value::InlineTable(table)) => Some(table),
            _ => None,
        }
    }

    /// Itself, if it is a table.
    pub(super) fn as_section(&self) -> Result<Self, Reported> {
        if self.table().is_some() { Ok(self.clone()) } else { Err(self.wrong(self.found(), "a table", None)) }
    }
}

/// A dotted path; a key that is not bare stands in quotes, as in TOML.
fn joined(path: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
