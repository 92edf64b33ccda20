//! `[plans]`: each plan's models and limits, with what it takes over from the plan it extends.
//!
//! Owns `extends`: chains, circles, what replaces what; and the names of plans. Must not know what a limit says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::NAME_ALLOWED;
use super::limit;
use super::models::Groups;
use super::nearest::did_you_mean;
use super::reading::{Reported, all, quoted};
use super::setting::Setting;
use super::value;
use crate::quota::{Limit, ModelSet, Plan};

/// Every limit is one more counter that each request of the plan must touch.
const LIMITS_MAX: usize = 32;
/// Nobody can follow a longer line of plans that extend one another.
const LINE_MAX: usize = 8;

/// The plans of the file, the unsound ones too: a name that is there is not unknown.
pub(super) struct Plans<'a> {
    by_name: BTreeMap<&'a str, Written<'a>>,
    is_table: Result<(), Reported>,
}

/// A plan as it is written.
struct Written<'a> {
    extends: Option<Parent<'a>>,
    draft: Result<Draft<'a>, Reported>,
}

/// The plan that another one extends.
#[derive(Clone)]
struct Parent<'a> {
    setting: Setting<'a>,
    name: String,
}

/// A sound plan before it takes over anything.
struct Draft<'a> {
    setting: Setting<'a>,
    base: Base<'a>,
    limits: Vec<Limit>,
}

/// Where a plan's models come from.
enum Base<'a> {
    /// It stands alone.
    Own(ModelSet),
    /// It extends another one, and may still have models of its own.
    Extends(Parent<'a>, Option<ModelSet>),
}

impl<'a> Plans<'a> {
    /// Reads `[plans]`.
    pub(super) fn read(root: &Setting<'a>, groups: &Groups) -> Self {
        let section = root.section("plans");
        let settings = section.iter().flat_map(Setting::settings);
        let by_name = settings.map(|setting| (setting.name, written(&setting, groups))).collect();
        let mut plans = Self { by_name, is_table: section.map(|_| ()) };
        let check = |name: &&'a str| Some((*name, plans.check_line(name).err()?));
        let broken: Vec<(&str, Reported)> = plans.by_name.keys().filter_map(check).collect();
        for (name, reported) in broken {
            plans.by_name.insert(name, Written { extends: None, draft: Err(reported) });
        }
        plans
    }

    /// The plan that a setting names.
    pub(super) fn named(&self, setting: &Setting<'_>) -> Result<Arc<str>, Reported> {
        let name = setting.text()?;
        if self.by_name.contains_key(name.as_str()) {
            return Ok(name.into());
        }
        Err(self.unknown(setting, &name))
    }

    /// What a key that names a plan may hold.
    pub(super) fn allowed(&self) -> String {
        value::one_of("plan", self.by_name.keys().copied())
    }

    /// The plans with all they take over, if all are sound.
    pub(super) fn finish(&self) -> Result<BTreeMap<Arc<str>, Arc<Plan>>, Reported> {
        self.is_table?;
        let plans = all(self.by_name.values().map(|written| match &written.draft {
            Ok(draft) => self.plan(draft),
            Err(reported) => Err(*reported),
        }))?;
        Ok(plans.into_iter().map(|plan| (Arc::clone(&plan.name), Arc::new(plan))).collect())
    }

    /// A plan with all it takes over: the limits of its ancestors first, each replaced in its place by a later one of
    /// the same name.
    fn plan(&self, draft: &Draft<'a>) -> Result<Plan, Reported> {
        let mut line = Vec::new();
        let mut own_models: Option<&ModelSet> = None;
        let mut eldest = draft;
        let models = loop {
            line.push(eldest);
            match &eldest.base {
                Base::Own(models) => break own_models.unwrap_or(models),
                Base::Extends(parent, _) if line.len() > LINE_MAX => {
                    let found =
                        format!("a line of more than {LINE_MAX} plans below `{}`", draft.setting.name);
                    return Err(parent.setting.wrong(found, format!("at most {LINE_MAX}"), None));
                }
                Base::Extends(parent, models) => {
                    own_models = own_models.or(models.as_ref());
                    eldest = self.parent(parent)?.draft.as_ref().map_err(|reported| *reported)?;
                }
            }
        };
        let mut limits: Vec<Limit> = Vec::new();
        for limit in line.iter().rev().flat_map(|draft| &draft.limits) {
            match limits.iter_mut().find(|known| known.name == limit.name) {
                Some(known) => *known = limit.clone(),
                None => limits.push(limit.clone()),
            }
        }
        if limits.len() > LIMITS_MAX {
            let found = format!("{} limits, those of extended plans included", limits.len());
            return Err(draft.setting.wrong(found, format!("at most {LIMITS_MAX}"), None));
        }
        Ok(Plan {
            name: draft.setting.name.into(),
            models: models.clone(),
            limits: limits.into_iter().map(Arc::new).collect(),
        })
    }

    /// Is what a plan extends there, and not the plan itself again?
    fn check_line(&self, name: &str) -> Result<(), Reported> {
        let Some(parent) = self.by_name.get(name).and_then(|written| written.extends.as_ref()) else {
            return Ok(());
        };
        let mut line = vec![name];
        let mut next = parent.name.as_str();
        let mut written = self.parent(parent)?;
        while !line.contains(&next) {
            line.push(next);
            let Some(parent) = &written.extends else { return Ok(()) };
            let Some(grandparent) = self.by_name.get(parent.name.as_str()) else { return Ok(()) };
            (next, written) = (&parent.name, grandparent);
        }
        if next != name {
            // it leads into a circle that is told where it closes
            return Ok(());
        }
        line.push(next);
        let circle = format!("the circle `{}`", line.join("` → `"));
        Err(parent.setting.wrong(circle, "a plan that does not lead back here", None))
    }

    fn parent(&self, parent: &Parent<'_>) -> Result<&Written<'a>, Reported> {
        self.by_name.get(parent.name.as_str()).ok_or_else(|| self.unknown(&parent.setting, &parent.name))
    }

    fn unknown(&self, setting: &Setting<'_>, name: &str) -> Reported {
        if let Err(reported) = self.is_table {
            return reported;
        }
        setting.wrong(quoted(name), self.allowed(), did_you_mean(name, self.by_name.keys().copied()))
    }
}

fn written<'a>(setting: &Setting<'a>, groups: &Groups) -> Written<'a> {
    let name = if value::is_name(setting.name) { Ok(()) } else { Err(setting.wrong_key(NAME_ALLOWED, None)) };
    let section = match setting.as_section() {
        Ok(section) => section,
        Err(reported) => return Written { extends: None, draft: Err(reported) },
    };
    let extends = section
        .optional("extends", |setting| setting.text().map(|name| Parent { setting: setting.clone(), name }));
    let base = base(&section, &extends, groups);
    let limits = section.sections("limits").and_then(|sections| limit::read(&sections, groups));
    let draft = name.and_then(|()| Ok(Draft { setting: setting.clone(), base: base?, limits: limits? }));
    Written { extends: extends.unwrap_or_default(), draft }
}

fn base<'a>(
    section: &Setting<'a>,
    extends: &Result<Option<Parent<'a>>, Reported>,
    groups: &Groups,
) -> Result<Base<'a>, Reported> {
    let models = section.optional("models", |setting| groups.models(setting))?;
    match (extends, models) {
        (Err(reported), _) => Err(*reported),
        (Ok(Some(parent)), models) => Ok(Base::Extends(parent.clone(), models)),
        (Ok(None), Some(models)) => Ok(Base::Own(models)),
        (Ok(None), None) => {
            let hint = "a plan without `extends` must say which models it may use".to_owned();
            Err(section.missing("models", "patterns and groups, such as [\"*\"]", Some(hint)))
        }
    }
}
