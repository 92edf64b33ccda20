//! The gate against memory counters, a SQLite ledger and a real journal; a counter store that fails on command.

mod admission;
mod faulty;
mod outages;
mod outcomes;
mod refusals;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use faulty::Faulty;

use super::{Asked, Gate, Parts, Permit, Rules, Who};
use crate::auth::{Caller, Identity, Role};
use crate::clock::Clock;
use crate::quota::{
    Calendar, Group, Limit, Meter, ModelSet, OnOutage, Pattern, Plan, Policy, Rate, Scope, Window,
};
use crate::store::journal::{Journal, JournalOptions};
use crate::store::memory::MemoryCounters;
use crate::store::sqlite::SqliteLedger;
use crate::store::writer::{Writer, WriterOptions};
use crate::store::{Counters, Entry, Ledger};

/// The upstream answers, and the client gets a first byte of it.
pub fn answer(permit: &mut Permit, status: u16) {
    if let Some(first) = permit.answered(status) {
        first.note();
    }
}

/// A gate with everything around it, in a folder that goes with it.
pub struct Bench {
    pub gate: Arc<Gate>,
    pub counters: Arc<Faulty>,
    pub ledger: Arc<dyn Ledger>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    folder: PathBuf,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Bench {
    pub async fn new(on_outage: OnOutage) -> Self {
        let clock = Clock::manual("2026-11-24T12:00:00Z".parse().unwrap());
        let folder = std::env::temp_dir().join(format!("tollgate-gate-{}", clock.request_id().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.join("ledger.sqlite")).unwrap());
        ledger.migrate().await.unwrap();
        let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
        let (journal, _) = Journal::open(&folder.join("journal"), options, clock.clone()).unwrap();
        let journal = Arc::new(journal);
        let counters = Arc::new(Faulty::new(MemoryCounters::new(clock.clone())));
        let gate = Gate::new(Parts {
            counters: Arc::clone(&counters) as Arc<dyn Counters>,
            fallback: Some(Arc::new(MemoryCounters::new(clock.clone()))),
            ledger: Arc::clone(&ledger),
            journal: Arc::clone(&journal),
            rules: Rules { policy: policy(), lease_ms: 900_000, on_outage, webhooks: Vec::new() }.into(),
            clock: clock.clone(),
        });
        let mut bench = Self { gate, counters, ledger, journal, clock, folder, tasks: Vec::new() };
        bench.tasks.push(tokio::spawn(Arc::clone(&bench.gate).run()));
        bench.start_writer();
        bench
    }

    fn start_writer(&mut self) {
        let gate = Arc::clone(&self.gate);
        let on_ack = Arc::new(move |entries: &[Entry], up_to| gate.acknowledged(entries, up_to));
        let (journal, ledger) = (Arc::clone(&self.journal), Arc::clone(&self.ledger));
        let writer = Writer::new(journal, ledger, self.clock.clone(), WriterOptions::default(), on_ack);
        self.tasks.push(tokio::spawn(async move {
            let (_never, stop) = tokio::sync::watch::channel(false);
            writer.run(stop).await;
        }));
    }

    /// Waits until nothing is under way: settles done, the ledger has every row.
    pub async fn quiet(&self) {
        assert!(self.gate.settled(Duration::from_secs(10)).await, "settles are left");
        while self.journal.pending_events() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Used and held of a limit, as the counters see it.
    pub async fn numbers(&self, who: &Who, limit: &str) -> (u64, u64) {
        let view = self.gate.reports.usage(who).await.unwrap();
        let limit = view.limits.iter().find(|view| &*view.limit.name == limit).unwrap();
        (limit.standing.used, limit.standing.held)
    }

    /// The conservation check: counters = ledger = fold of the rows, no hold left.
    pub async fn conserved(&self, who: &Who, limit: &str, expected: u64) {
        self.quiet().await;
        assert_eq!(self.numbers(who, limit).await, (expected, 0), "the counters");
        let totals = self.ledger.load(&who.subject.domain, self.clock.now_ms()).await.unwrap();
        let of_limit = totals.buckets.iter().filter(|total| &*total.bucket.limit == limit);
        assert_eq!(of_limit.map(|total| total.used).sum::<u64>(), expected, "the ledger");
        assert!(
            self.ledger.fold_differences().await.unwrap().is_empty(),
            "user_usage is the fold of message_logs"
        );
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn set(written: &[&str], patterns: &[&str]) -> ModelSet {
    ModelSet {
        written: written.iter().map(ToString::to_string).collect(),
        patterns: patterns.iter().map(|text| Pattern::new(text)).collect(),
    }
}

fn limit(name: &str, models: Option<ModelSet>, scope: Scope, max: u64, window: Window) -> Arc<Limit> {
    let meter = if window == Window::Open { Meter::InFlight } else { Meter::Messages };
    Arc::new(Limit { name: name.into(), meter, models, scope, max, window, alert_permille: Vec::new() })
}

/// free: 100 a month, 20 premium; team: also a pool of 30, 5 a second, 4 at once; anonymous: one model.
fn policy() -> Policy {
    let month = Window::Calendar(Calendar::Month);
    let premium = || Some(set(&["@premium"], &["claude-*"]));
    let free = vec![
        limit("messages", None, Scope::User, 100, month),
        limit("premium", premium(), Scope::User, 20, month),
    ];
    let mut team = free.clone();
    team.push(limit("pool", None, Scope::Team, 30, month));
    team.push(limit("burst", None, Scope::User, 5, Window::Rate(Rate::Second)));
    team.push(limit("parallel", None, Scope::User, 4, Window::Open));
    let plan =
        |name: &str, models, limits| (name.into(), Arc::new(Plan { name: name.into(), models, limits }));
    Policy {
        zone: Tz::UTC,
        groups: BTreeMap::from([(
            "premium".into(),
            Group { name: "premium".into(), patterns: vec![Pattern::new("claude-*")] },
        )]),
        plans: BTreeMap::from([
            plan("free", set(&["*"], &["*"]), free),
            plan("team", set(&["*"], &["*"]), team),
            plan("anonymous", set(&["gemini-2.0-flash"], &["gemini-2.0-flash"]), Vec::new()),
        ]),
        default_plan: "free".into(),
        anonymous_plan: Some("anonymous".into()),
        premium_group: "premium".into(),
    }
}

pub fn user(bench: &Bench, name: &str, plan: Option<&str>, team: Option<&str>) -> Who {
    let caller = Caller {
        identity: Identity::User,
        user: Some(name.to_owned()),
        team: team.map(str::to_owned),
        plan: plan.map(str::to_owned),
        role: Role::User,
        issuer: None,
    };
    bench.gate.identify(&caller).unwrap()
}

pub fn asked(model: &str) -> Asked {
    Asked {
        request_id: "req".to_owned(),
        dialect: "openai",
        endpoint: "chat_completions",
        upstream: "stub".to_owned(),
        model_requested: model.to_owned(),
        model: model.to_owned(),
        stream: false,
        task: String::new(),
        message_id: None,
    }
}
