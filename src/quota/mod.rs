//! The rules of quota, as pure values: who is counted, against which limits, in which period, and what a refusal says.
//!
//! No async, no I/O, no store, no HTTP. A store does the arithmetic (`used + held + amount <= max`); policy stands here.

mod charge;
mod id;
mod limit;
mod pattern;
mod plan;
mod price;
mod refusal;
mod window;

pub use charge::{Bucket, Charge, Hold, LimitHold, Rule, Standing};
pub use id::{Domain, Scope, decode_id, encode_id};
pub use limit::{CallClass, Limit, MAX_AMOUNT, Meter};
pub use pattern::{ModelSet, Pattern};
pub use plan::{Group, OnOutage, Plan, Policy, Subject};
pub use price::{Price, PriceLine, PriceList, Priced};
pub use refusal::Refusal;
pub use window::{Calendar, Period, Rate, Window, month_and_day};

#[cfg(test)]
mod tests;
