//! The scripts that stand beside this file, and the text each is loaded with. What they take and answer is said in them.
//!
//! It must not know connections. The text names the server process, see `process`.

use crate::store::counters::{REPEAT_WITHIN_MS, REPEATS_MAX};

/// A script that works on one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Script {
    pub(super) const ALL: [Self; 10] = [
        Self::Reserve,
        Self::Settle,
        Self::Renew,
        Self::Read,
        Self::Rebuild,
        Self::Announce,
        Self::OpenEpoch,
        Self::Dump,
        Self::Repair,
        Self::Sweep,
    ];

    /// The operation as errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Settle => "settle",
            Self::Renew => "renew",
            Self::Read => "read",
            Self::Rebuild => "rebuild",
            Self::Announce => "announce",
            Self::OpenEpoch => "open_epoch",
            Self::Dump => "dump",
            Self::Repair => "repair",
            Self::Sweep => "sweep",
        }
    }

    /// The text for one term of a server process. A server that is out of memory still ends requests,
    /// gives back expired holds and shows what is used, but admits none.
    pub(super) fn text(self, term: &str) -> String {
        let (flags, parts): (&str, &[&str]) = match self {
            Self::Reserve => ("", &[REAP, HOLDS, include_str!("reserve.lua")]),
            Self::Read => (" flags=allow-oom", &[REAP, HOLDS, include_str!("read.lua")]),
            Self::Settle => (" flags=allow-oom", &[include_str!("settle.lua")]),
            Self::Renew => (" flags=allow-oom", &[include_str!("renew.lua")]),
            Self::Announce => (" flags=allow-oom", &[include_str!("announce.lua")]),
            Self::Rebuild => ("", &[include_str!("rebuild.lua")]),
            Self::OpenEpoch => ("", &[include_str!("open_epoch.lua")]),
            Self::Dump => (" flags=allow-oom", &[REAP, include_str!("dump.lua")]),
            Self::Repair => (" flags=allow-oom", &[REAP, include_str!("repair.lua")]),
            Self::Sweep => (" flags=allow-oom", &[REAP, include_str!("sweep.lua")]),
        };
        let bounds = format!("local REPEAT_WITHIN_MS, REPEATS_MAX = {REPEAT_WITHIN_MS}, {REPEATS_MAX}\n");
        let text = format!("#!lua{flags}\nlocal RUN = \"{term}\"\n{bounds}{COMMON}{}", parts.concat());
        #[cfg(debug_assertions)]
        let text = text + crate::failpoint::script_comment();
        text
    }
}
