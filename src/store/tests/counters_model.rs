//! A model of the counters, small enough to be read as their definition. `counters_history` compares stores with it.
//!
//! In the model `held` is no number but the sum of the live holds, and loading anew is almost no event: only what a loading
//! may lose is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::counters_history::LEASE_MS;
use crate::quota::{Bucket, Charge, Hold, Rule};
use crate::store::counters::{REPEAT_WITHIN_MS, REPEATS_MAX};
use crate::store::{MessageKey, Settled};

#[derive(Default)]
pub(super) struct Model {
    pub now_ms: u64,
    pub used: BTreeMap<(Bucket, u32), u64>,
    tat_ms: BTreeMap<Bucket, u64>,
    pub epochs: BTreeMap<String, u32>,
    pub live: BTreeMap<Uuid, Live>,
    ended: BTreeSet<Uuid>,
    /// Of each message: when the attempt that was charged for it was admitted (ms), and its repeats since.
    charged: BTreeMap<MessageKey, (u64, u32)>,
}

/// A hold that stands.
pub(super) struct Live {
    pub end_ms: u64,
    pub taken: Vec<(Hold, u32)>,
    repeat: u32,
    /// Once it is charged, this message may be repeated, counted from this time (ms).
    mark: Option<(MessageKey, u64)>,
}

/// What a reserve is answered.
#[derive(Default)]
pub(super) struct Answer {
    /// The first hold that does not fit.
    pub over: Option<usize>,
    /// Which repeat of a charged message it is; 0: none.
    pub repeat: u32,
    pub epochs: Vec<u32>,
    /// `used` and `held` of each hold.
    pub numbers: Vec<(u64, u64)>,
}

impl Model {
    pub fn reserve(&mut self, rid: Uuid, holds: &[Hold], message: Option<&MessageKey>) -> Answer {
        self.expire();
        let current = |hold: &Hold| *self.epochs.get(&hold.bucket.owner_key()).unwrap_or(&0);
        let mut answer = Answer { epochs: holds.iter().map(current).collect(), ..Answer::default() };
        if let Some(live) = self.live.get(&rid) {
            answer.epochs = live.taken.iter().map(|&(_, epoch)| epoch).collect();
            answer.repeat = live.repeat;
        } else if !self.ended.contains(&rid) {
            self.decide(rid, holds, message, &mut answer);
        }
        let numbers = holds.iter().zip(&answer.epochs).map(|(hold, &epoch)| self.numbers(hold, epoch));
        answer.numbers = numbers.collect();
        answer
    }

    /// A request that nobody knows: takes all of its holds or none.
    fn decide(&mut self, rid: Uuid, holds: &[Hold], message: Option<&MessageKey>, answer: &mut Answer) {
        let repeat = message.map_or(0, |message| self.next_repeat(message, self.now_ms));
        let is_free = |hold: &Hold| repeat > 0 && hold.rule.is_quota();
        let fits = |(hold, &epoch): (&Hold, &u32)| {
            let (used, held) = self.numbers(hold, epoch);
            if is_free(hold) { hold.rule.max() > 0 } else { used + held + hold.amount <= hold.rule.max() }
        };
        answer.over = holds.iter().zip(&answer.epochs).position(|it| !fits(it));
        if answer.over.is_some() {
            return;
        }
        answer.repeat = repeat;
        for hold in holds.iter().filter(|hold| matches!(hold.rule, Rule::Rate { .. })) {
            let tat = self.tat_ms.entry(hold.bucket.clone()).or_default();
            *tat = self.now_ms.max(*tat) + interval_ms(hold) * hold.amount;
        }
        let taken = |(hold, &epoch): (&Hold, &u32)| {
            let amount = if is_free(hold) { 0 } else { hold.amount };
            (Hold { amount, ..hold.clone() }, epoch)
        };
        let taken = holds.iter().zip(&answer.epochs).map(taken).collect();
        let mark = message.filter(|_| repeat == 0).map(|message| (message.clone(), self.now_ms));
        if let Some((_, repeats)) = message.filter(|_| repeat > 0).and_then(|it| self.charged.get_mut(it)) {
            *repeats += 1;
        }
        self.live.insert(rid, Live { end_ms: self.now_ms + LEASE_MS, taken, repeat, mark });
    }

    pub fn settle(&mut self, rid: Uuid, charges: &[Charge]) -> Settled {
        let live = self.live.remove(&rid);
        if !self.ended.insert(rid) {
            return Settled::Duplicate;
        }
        for charge in charges {
            *self.used.entry((charge.bucket.clone(), charge.epoch)).or_default() += charge.amount;
        }
        let Some(live) = live else { return Settled::Late };
        let is_charged = charges.iter().any(|charge| charge.amount > 0);
        if let Some((message, at_ms)) = live.mark.filter(|_| is_charged)
            && self.next_repeat(&message, at_ms) == 0
        {
            self.charged.insert(message, (at_ms, 0));
        }
        Settled::Done
    }

    pub fn expire(&mut self) {
        self.live.retain(|_, live| live.end_ms > self.now_ms);
    }

    /// All that a loading may lose: bursts, and which messages may be repeated.
    pub fn forget(&mut self) {
        self.tat_ms.clear();
        self.charged.clear();
        for live in self.live.values_mut() {
            (live.repeat, live.mark) = (0, None);
        }
    }

    /// Which repeat an attempt of this time is; 0: it is charged.
    fn next_repeat(&self, message: &MessageKey, at_ms: u64) -> u32 {
        match self.charged.get(message) {
            Some(&(first_ms, repeats)) if at_ms < first_ms + REPEAT_WITHIN_MS && repeats < REPEATS_MAX => {
                repeats + 1
            }
            _ => 0,
        }
    }

    fn numbers(&self, hold: &Hold, epoch: u32) -> (u64, u64) {
        if let Rule::Rate { .. } = hold.rule {
            let tat_ms = self.tat_ms.get(&hold.bucket).copied().unwrap_or(0);
            return (tat_ms.saturating_sub(self.now_ms).div_ceil(interval_ms(hold)), 0);
        }
        let same = |(other, at): &&(Hold, u32)| {
            other.bucket == hold.bucket && (*at == epoch || !hold.rule.is_quota())
        };
        let used = self.used.get(&(hold.bucket.clone(), epoch)).copied().unwrap_or(0);
        let taken = self.live.values().flat_map(|live| &live.taken);
        (used, taken.filter(same).map(|(it, _)| it.amount).sum())
    }
}

fn interval_ms(hold: &Hold) -> u64 {
    let Rule::Rate { max, window_us } = hold.rule else { panic!("no rate") };
    window_us / max / 1_000
}
