//! `[rewrite]`, `upstreams.rewrite` and `[fallback]`: other names for models, and models that stand in for others.
//!
//! Owns that each name leads to one model and each model is served. Must not know when an alias or a fallback is used.

use std::collections::BTreeMap;

use super::keys::MODEL_ALLOWED;
use super::reading::{Reported, all, quoted};
use super::setting::{Node, Setting};
use super::settings::Routing;
use super::value;
use crate::upstream::{UpstreamSettings, UpstreamTable};

/// Models that may stand in for one: each is asked up to three times before the caller hears of a failure.
const FALLBACKS_MAX: usize = 3;

/// Reads the three, once the upstreams are known; `None`: they are not sound, and that was told.
pub(super) fn read(root: &Setting<'_>, upstreams: Option<&[UpstreamSettings]>) -> Result<Routing, Reported> {
    let table = upstreams.map(|upstreams| UpstreamTable::new(upstreams.to_vec()));
    let mut aliases = Aliases::default();
    let top = root.section("rewrite").and_then(|section| aliases.add(&section, false, table.as_ref()));
    // what is no list of tables was told when the upstreams were read
    let listed = upstreams.is_some()
        || root.get("upstreams").is_some_and(|setting| matches!(setting.node, Node::Tables(_)));
    let sections = if listed { root.sections("upstreams") } else { Ok(Vec::new()) };
    let own = sections.and_then(|sections| {
        let lists = sections.iter().enumerate().map(|(at, section)| {
            let only = upstreams.and_then(|all| all.get(at)).cloned();
            let only = only.map(|upstream| UpstreamTable::new(vec![upstream]));
            section.section("rewrite").and_then(|rewrite| aliases.add(&rewrite, true, only.as_ref()))
        });
        all(lists).map(|_| ())
    });
    let chains = aliases.chains();
    let fallbacks =
        root.section("fallback").and_then(|section| fallbacks(&section, table.as_ref(), &aliases));
    top?;
    own?;
    chains?;
    let fallbacks = fallbacks?;
    let aliases = aliases.0.into_values().map(|alias| (alias.written, alias.model)).collect();
    Ok(Routing { aliases, fallbacks })
}

/// Aliases by their name in lower case.
#[derive(Default)]
struct Aliases<'a>(BTreeMap<String, Alias<'a>>);

struct Alias<'a> {
    written: String,
    model: String,
    setting: Setting<'a>,
}

impl<'a> Aliases<'a> {
    /// Takes the aliases of a table; `table` are the upstreams that may have their models.
    fn add(
        &mut self,
        section: &Setting<'a>,
        is_own: bool,
        table: Option<&UpstreamTable>,
    ) -> Result<(), Reported> {
        all(section.settings().map(|setting| self.add_one(setting, is_own, table))).map(|_| ())
    }

    fn add_one(
        &mut self,
        setting: Setting<'a>,
        is_own: bool,
        table: Option<&UpstreamTable>,
    ) -> Result<(), Reported> {
        if !value::is_model(setting.name) {
            return Err(setting.wrong_key(MODEL_ALLOWED, None));
        }
        let model = model(&setting)?;
        if table.is_some_and(|table| !table.serves(&model)) {
            let by = if is_own { "this upstream has" } else { "an upstream has" };
            let found = format!("{}, which no pattern of `models` names", quoted(&model));
            return Err(setting.wrong(found, format!("a model that {by}"), None));
        }
        let (written, name) = (setting.name.to_owned(), setting.name.to_ascii_lowercase());
        // the same alias at several upstreams of one model is what one would write, and leads to one model
        if let Some(other) = self.0.get(&name).filter(|other| !other.model.eq_ignore_ascii_case(&model)) {
            let found =
                format!("{} although `{}` says {}", quoted(&model), other.setting.path, quoted(&other.model));
            let hint = "quota goes by the model, so a name must mean the same one everywhere";
            return Err(setting.wrong(found, "one model for a name", Some(hint.to_owned())));
        }
        self.0.entry(name).or_insert(Alias { written, model, setting });
        Ok(())
    }

    /// An alias of an alias is refused: one look must tell what a name means.
    fn chains(&self) -> Result<(), Reported> {
        all(self.0.values().map(|alias| match self.0.get(&alias.model.to_ascii_lowercase()) {
            Some(_) => {
                let found = format!("{}, which is an alias itself", quoted(&alias.model));
                Err(alias.setting.wrong(found, "the model that is meant", None))
            }
            None => Ok(()),
        }))
        .map(|_| ())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }
}

fn fallbacks(
    section: &Setting<'_>,
    table: Option<&UpstreamTable>,
    aliases: &Aliases<'_>,
) -> Result<BTreeMap<String, Vec<String>>, Reported> {
    let read = all(section.settings().map(|setting| {
        if !value::is_model(setting.name) || aliases.has(setting.name) {
            let hint = aliases.has(setting.name).then(|| "name the model, not its alias".to_owned());
            return Err(setting.wrong_key(MODEL_ALLOWED, hint));
        }
        let models = setting.texts(|element, text| {
            let is_itself = text.eq_ignore_ascii_case(setting.name);
            let unserved = table.is_some_and(|table| !table.serves(text));
            if !value::is_model(text) || aliases.has(text) || is_itself || unserved {
                let allowed = "another model that an upstream has, by its own name";
                return Err(element.wrong(quoted(text), allowed, None));
            }
            Ok(text.to_owned())
        })?;
        if models.len() > FALLBACKS_MAX {
            let found = format!("{} models", models.len());
            return Err(setting.wrong(found, format!("1 to {FALLBACKS_MAX}"), None));
        }
        Ok((setting.name.to_owned(), models))
    }))?;
    Ok(read.into_iter().collect())
}

fn model(setting: &Setting<'_>) -> Result<String, Reported> {
    let text = setting.text()?;
    if value::is_model(&text) { Ok(text) } else { Err(setting.refused(quoted(&text), None)) }
}
