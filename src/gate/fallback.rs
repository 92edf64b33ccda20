//! May another model stand in for the one that a request was admitted for?

use super::{Gate, Who};

impl Gate {
    /// True if the plan includes `instead` and every limit that covers it covers `model` too: then the holds that were
    /// taken for `model` include all that `instead` needs, and no second admission is necessary. A caller whose limits
    /// say otherwise gets the upstream's error; what was held for `model` alone is charged as it was admitted.
    ///
    /// Limits are compared by what they cover, so this holds for any meter whose amount does not grow with the model.
    pub fn may_stand_in(&self, who: &Who, model: &str, instead: &str) -> bool {
        who.plan.models.contains(instead)
            && who.plan.limits.iter().all(|limit| !limit.covers(instead) || limit.covers(model))
    }
}
