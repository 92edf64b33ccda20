//! `[groups]`, and the sets of models that plans and limits name.
//!
//! Owns how `@name` is resolved. Must not know what a set is used for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::NAME_ALLOWED;
use super::nearest::did_you_mean;
use super::reading::{Reported, gather, quoted};
use super::setting::Setting;
use super::value;
use crate::quota::{Group, ModelSet, Pattern};

/// The groups of the file, the unsound ones too: a name that is there is not unknown.
pub(super) struct Groups {
    by_name: BTreeMap<Arc<str>, Result<Group, Reported>>,
    is_table: Result<(), Reported>,
}

impl Groups {
    /// Reads `[groups]`.
    pub(super) fn read(root: &Setting<'_>) -> Self {
        let section = root.section("groups");
        let settings = section.iter().flat_map(Setting::settings);
        let by_name = settings.map(|setting| (setting.name.into(), group(&setting))).collect();
        Self { by_name, is_table: section.map(|_| ()) }
    }

    /// A set of models: patterns, and groups by `@name`.
    pub(super) fn models(&self, setting: &Setting<'_>) -> Result<ModelSet, Reported> {
        let sets = setting.texts(|element, text| {
            let patterns = match text.strip_prefix('@') {
                Some(name) => self.patterns_of(element, name),
                None => value::pattern(element, text, None).map(|pattern| vec![pattern]),
            };
            patterns.map(|patterns| (text.to_owned(), patterns))
        })?;
        let (written, patterns): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
        Ok(ModelSet { written, patterns: patterns.concat() })
    }

    /// The group that a setting names; `absent` need not be there.
    pub(super) fn named(&self, setting: &Setting<'_>, absent: &str) -> Result<String, Reported> {
        let name = setting.text()?;
        if name == absent || self.by_name.contains_key(name.as_str()) {
            return Ok(name);
        }
        Err(self.unknown(setting, &name, ""))
    }

    /// The groups, if all are sound.
    pub(super) fn finish(self) -> Result<BTreeMap<Arc<str>, Group>, Reported> {
        self.is_table?;
        self.by_name.into_iter().map(|(name, group)| group.map(|group| (name, group))).collect()
    }

    fn patterns_of(&self, element: &Setting<'_>, name: &str) -> Result<Vec<Pattern>, Reported> {
        if let Some(group) = self.by_name.get(name) {
            return group.as_ref().map(|group| group.patterns.clone()).map_err(|reported| *reported);
        }
        Err(self.unknown(element, name, "@"))
    }

    /// Reports a name that no group has; `mark` stands before the names where they are written.
    fn unknown(&self, setting: &Setting<'_>, name: &str, mark: &str) -> Reported {
        // what the groups are is not known, and that was told
        if let Err(reported) = self.is_table {
            return reported;
        }
        let known: Vec<String> = self.by_name.keys().map(|name| format!("{mark}{name}")).collect();
        let written = format!("{mark}{name}");
        let hint = did_you_mean(&written, known.iter().map(String::as_str));
        let allowed = value::one_of("group", known.iter().map(String::as_str));
        setting.wrong(quoted(&written), allowed, hint)
    }
}

fn group(setting: &Setting<'_>) -> Result<Group, Reported> {
    let bare = setting.name.strip_prefix('@');
    let hint = || bare.map(|bare| format!("write `{bare}`: the `@` stands where it is used"));
    let is_name = value::is_name(setting.name);
    gather!(Group {
        name: if is_name { Ok(setting.name.into()) } else { Err(setting.wrong_key(NAME_ALLOWED, hint())) },
        patterns: value::patterns(setting),
    })
}
