//! The scripts that stand beside this file, and the text each is loaded with. What they take and answer is said in them.
//!
//! It must not know connections. The text names the server process, see `process`.

use crate::store::counters::{REPEAT_WITHIN_MS, REPEATS_MAX};

/// A script that works on one domain.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    Reserve,
    Settle,
    Renew,
    Read,
    Rebuild,
    Announce,
    OpenEpoch,
    Dump,
    Repair,
    Sweep,
}

const COMMON: &str = include_str!("common.lua");
const REAP: &str = include_str!("reap.lua");
const HOLDS: &str = include_str!("holds.lua");

/// The registry of gateways belongs to no domain: loaded with every call, so twice a second.
pub(super) const HEARTBEAT: &str = include_str!("heartbeat.lua");

/// For scripts that a server that is out of memory runs too: those that end requests, give back expired holds or show what
/// is used. None of them admits a request.
const ALLOW_OOM: &str = " flags=allow-oom";

/// In the order of [`Script`]: the operation as errors name it, flags, and the parts behind the common one.
const SCRIPTS: [(&str, &str, &[&str]); 10] = [
    ("reserve", "", &[REAP, HOLDS, include_str!("reserve.lua")]),
    ("settle", ALLOW_OOM, &[include_str!("settle.lua")]),
    ("renew", ALLOW_OOM, &[include_str!("renew.lua")]),
    ("read", ALLOW_OOM, &[REAP, HOLDS, include_str!("read.lua")]),
    ("rebuild", "", &[include_str!("rebuild.lua")]),
    ("announce", ALLOW_OOM, &[include_str!("announce.lua")]),
    ("open_epoch", "", &[include_str!("open_epoch.lua")]),
    ("dump", ALLOW_OOM, &[REAP, include_str!("dump.lua")]),
    ("repair", ALLOW_OOM, &[REAP, include_str!("repair.lua")]),
    ("sweep", ALLOW_OOM, &[REAP, include_str!("sweep.lua")]),
];

impl Script {
    pub(super) fn name(self) -> &'static str {
        SCRIPTS[self as usize].0
    }
}

/// The texts of all scripts for one term of a server process, in the order of [`Script`].
pub(super) fn texts(term: &str) -> impl Iterator<Item = String> {
    let bounds = format!("local REPEAT_WITHIN_MS, REPEATS_MAX = {REPEAT_WITHIN_MS}, {REPEATS_MAX}\n");
    SCRIPTS.iter().map(move |(_, flags, parts)| {
        let text = format!("#!lua{flags}\nlocal RUN = \"{term}\"\n{bounds}{COMMON}{}", parts.concat());
        #[cfg(debug_assertions)]
        let text = text + crate::failpoint::script_comment();
        text
    })
}
