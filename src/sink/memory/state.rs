//! What the sink in memory holds, and how its imports of subscriptions come on.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::fault::{Fault, Tasks};
use super::provisioning::Provisions;
use crate::entity::Entity;
use crate::sink::{CatalogFeature, CatalogPlan, ErrorCode, Page, READ_IDS_MAX, Submission, TaskState, TaskStatus};

#[derive(Debug)]
pub(super) struct State {
    pub(super) tasks: Tasks,
    pub(super) records: BTreeMap<(Entity, String), Value>,
    pub(super) applied: BTreeMap<(Entity, String), u64>,
    pub(super) refused: BTreeMap<(Entity, String), ErrorCode>,
    pub(super) write_faults: VecDeque<Fault>,
    pub(super) read_faults: VecDeque<Fault>,
    pub(super) started: BTreeMap<String, Task>,
    pub(super) plans: Vec<CatalogPlan>,
    pub(super) features: Vec<CatalogFeature>,
    pub(super) requests: u64,
    pub(super) provisions: Provisions,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) looks_left: u32,
    pub(super) looks: u32,
    pub(super) rows: Vec<(String, Value)>,
    pub(super) errors: Vec<(String, String)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tasks: Tasks::Listed { looks: 1 },
            records: BTreeMap::new(),
            applied: BTreeMap::new(),
            refused: BTreeMap::new(),
            write_faults: VecDeque::new(),
            read_faults: VecDeque::new(),
            started: BTreeMap::new(),
            plans: Vec::new(),
            features: Vec::new(),
            requests: 0,
            provisions: Provisions::default(),
        }
    }
}

impl State {
    pub(super) fn apply(&mut self, entity: Entity, key: String, json: Value) {
        *self.applied.entry((entity, key.clone())).or_default() += 1;
        self.records.insert((entity, key), json);
    }

    pub(super) fn start(&mut self, mut task: Task) -> Submission {
        let looks = match self.tasks {
            Tasks::None => {
                task.rows.into_iter().for_each(|(key, json)| self.apply(Entity::Subscription, key, json));
                return Submission::applied();
            }
            Tasks::Listed { looks } | Tasks::NotListed { looks } | Tasks::Unreadable { looks } => looks,
        };
        (task.looks_left, task.looks) = (looks, looks);
        let id = uuid::Uuid::from_u128(self.started.len() as u128 + 1).to_string();
        self.started.insert(id.clone(), task);
        self.finish_tasks();
        Submission::Started { task: Some(id) }
    }

    /// Every look brings every task on.
    pub(super) fn look(&mut self) {
        self.started.values_mut().for_each(|task| task.looks_left = task.looks_left.saturating_sub(1));
        self.finish_tasks();
    }

    pub(super) fn finish_tasks(&mut self) {
        let done = self.started.values_mut().filter(|task| task.looks_left == 0);
        let rows: Vec<_> = done.flat_map(|task| std::mem::take(&mut task.rows)).collect();
        rows.into_iter().for_each(|(key, json)| self.apply(Entity::Subscription, key, json));
    }

    pub(super) fn task(&mut self, id: &str) -> TaskState {
        self.look();
        match self.tasks {
            Tasks::Unreadable { .. } => return TaskState::Unreadable { reason: "no right to read tasks".to_owned() },
            Tasks::NotListed { .. } => return TaskState::NotListed,
            Tasks::None | Tasks::Listed { .. } => {}
        }
        let Some(task) = self.started.get(id) else { return TaskState::NotListed };
        if task.looks_left > 0 {
            let done = 100 * (task.looks - task.looks_left) / task.looks.max(1);
            return TaskState::Running { progress: u8::try_from(done).unwrap_or(100) };
        }
        let status = if task.errors.is_empty() { TaskStatus::Completed } else { TaskStatus::PartiallyFailed };
        TaskState::Finished { status, errors: task.errors.clone() }
    }

    pub(super) fn running(&self) -> Option<Vec<String>> {
        match self.tasks {
            Tasks::Unreadable { .. } => None,
            Tasks::NotListed { .. } => Some(Vec::new()),
            Tasks::None | Tasks::Listed { .. } => {
                let running = self.started.iter().rev().filter(|(_, task)| task.looks_left > 0);
                Some(running.map(|(id, _)| id.clone()).take(10).collect())
            }
        }
    }

    /// A page of an entity's ids, in their own order.
    pub(super) fn ids(&self, entity: Entity, after: Option<&str>) -> Page<String> {
        let mut ids: Vec<&String> = self
            .records
            .keys()
            .filter(|(of, id)| *of == entity && after.is_none_or(|after| id.as_str() > after))
            .map(|(_, id)| id)
            .collect();
        ids.sort();
        let next = ids.get(READ_IDS_MAX - 1).filter(|_| ids.len() > READ_IDS_MAX).map(|last| (*last).clone());
        Page { items: ids.into_iter().take(READ_IDS_MAX).cloned().collect(), next }
    }

    pub(super) fn find<T>(&self, entity: Entity, ids: &[&str], convert: fn(&str, &Value) -> T) -> Page<T> {
        let found = ids.iter().filter_map(|id| {
            let json = self.records.get(&(entity, (*id).to_owned()))?;
            Some(convert(id, json))
        });
        Page::only(found.collect())
    }
}
