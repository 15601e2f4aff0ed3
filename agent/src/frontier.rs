//! What is still to be visited on a target, breadth first, and what was seen: sealed under the
//! profile's key with each exhibit, so that a run goes on where it stopped.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use vigie_store::{ProfileKey, StateOp, Store};

use crate::error::Problem;

/// Longest address that is kept for a later visit, in bytes (a sealed value holds 4 KiB).
const URL_BYTES: usize = 1500;

/// A page to visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Absolute URL.
    #[serde(skip)]
    pub url: String,
    /// Links from the entry point.
    pub depth: u32,
    /// Place in the queue.
    pub order: u64,
    /// The page that led here; empty for an entry point.
    pub from: String,
    /// Which visit in this run it is, from 1.
    #[serde(skip, default = "first")]
    pub visits: u32,
}

fn first() -> u32 {
    1
}

#[derive(Serialize, Deserialize, Default)]
struct Round {
    number: u64,
    finished: bool,
}

/// The frontier of one target.
pub struct Frontier {
    key: ProfileKey,
    target: String,
    queue_area: String,
    seen_area: String,
    round_area: String,
    round: Round,
    queue: VecDeque<Item>,
    seen: HashSet<String>,
    order: u64,
    /// Pages finished in this round.
    pub done: u64,
}

impl Frontier {
    /// Goes on with an unfinished round, or begins a new one with the entry points. Gives the
    /// frontier and the changes that begin it.
    pub fn open(
        store: &Store,
        key: &ProfileKey,
        target: &str,
        entries: &[String],
    ) -> Result<(Self, Vec<StateOp>), Problem> {
        let fault = |e: vigie_store::StoreError| Problem::from(e);
        let (queue_area, seen_area, round_area) =
            (format!("frontier/{target}"), format!("seen/{target}"), format!("round/{target}"));
        let round: Round = store
            .state(key, &round_area)
            .get("round")
            .map_err(fault)?
            .and_then(|value| serde_json::from_slice(&value).ok())
            .unwrap_or(Round { number: 0, finished: true });
        let mut frontier = Self {
            key: key.clone(),
            target: target.to_owned(),
            queue_area,
            seen_area,
            round_area,
            round,
            queue: VecDeque::new(),
            seen: HashSet::new(),
            order: 0,
            done: 0,
        };
        let mut begin = Vec::new();
        if frontier.round.finished {
            for (name, _) in store.state(key, &frontier.seen_area).iter().map_err(fault)? {
                begin.push(StateOp::remove(key, &frontier.seen_area, &name));
            }
            frontier.round = Round { number: frontier.round.number + 1, finished: false };
            begin.push(frontier.keep_round());
            for entry in entries {
                begin.extend(frontier.add(entry, 0, ""));
            }
        } else {
            for (name, _) in store.state(key, &frontier.seen_area).iter().map_err(fault)? {
                frontier.seen.insert(name);
            }
            let mut items = Vec::new();
            for (url, value) in store.state(key, &frontier.queue_area).iter().map_err(fault)? {
                if let Ok(item) = serde_json::from_slice::<Item>(&value) {
                    items.push(Item { url, ..item });
                }
            }
            items.sort_by_key(|item| (item.depth, item.order));
            frontier.order = items.iter().map(|item| item.order + 1).max().unwrap_or(0);
            frontier.done = (frontier.seen.len() as u64).saturating_sub(items.len() as u64);
            frontier.queue = items.into();
        }
        Ok((frontier, begin))
    }

    /// Adds an address unless it was seen in this round or is too long to keep.
    pub fn add(&mut self, url: &str, depth: u32, from: &str) -> Vec<StateOp> {
        if url.len() > URL_BYTES || !self.seen.insert(url.to_owned()) {
            return Vec::new();
        }
        let from = if from.len() > URL_BYTES { "" } else { from };
        let item = Item { url: url.to_owned(), depth, order: self.order, from: from.to_owned(), visits: 1 };
        self.order += 1;
        let value = serde_json::to_vec(&item).unwrap_or_default();
        self.queue.push_back(item);
        vec![
            StateOp::put(&self.key, &self.queue_area, url, value),
            StateOp::put(&self.key, &self.seen_area, url, Vec::new()),
        ]
    }

    /// The next page; it stays in the stored queue until [`Self::finished`].
    pub fn next(&mut self) -> Option<Item> {
        self.queue.pop_front()
    }

    /// The changes that take a page off the stored queue.
    pub fn finished(&self, item: &Item) -> Vec<StateOp> {
        vec![StateOp::remove(&self.key, &self.queue_area, &item.url)]
    }

    /// The change that ends the round: the next run begins again at the entry points.
    pub fn end(&mut self) -> Vec<StateOp> {
        self.round.finished = true;
        vec![self.keep_round()]
    }

    /// Name of the target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Pages known in this round.
    pub fn known(&self) -> u64 {
        self.seen.len() as u64
    }

    fn keep_round(&self) -> StateOp {
        StateOp::put(&self.key, &self.round_area, "round", serde_json::to_vec(&self.round).unwrap_or_default())
    }
}
