//! Records in the order of their creation, found by id.

use std::collections::HashMap;
use std::sync::Arc;

/// A stored record.
#[derive(Debug)]
pub(crate) struct Row<C> {
    pub id: Arc<str>,
    content: C,
    /// What reads still see until `visible_ms`; `None`: nothing.
    previous: Option<Box<C>>,
    visible_ms: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// How often it was written.
    pub applied: u32,
    /// How often a write after the first changed it.
    pub changed: u32,
}

impl<C> Row<C> {
    /// What is stored.
    pub fn content(&self) -> &C {
        &self.content
    }

    /// What a read sees at `now_ms`.
    pub fn visible(&self, now_ms: i64) -> Option<&C> {
        if now_ms >= self.visible_ms { Some(&self.content) } else { self.previous.as_deref() }
    }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Created,
    Changed,
    Same,
}

/// Records by id. Nothing is ever removed, so a position is a cursor for good.
#[derive(Debug)]
pub(crate) struct Table<C> {
    rows: Vec<Row<C>>,
    index: HashMap<Arc<str>, u32>,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { rows: Vec::new(), index: HashMap::new() }
    }
}

impl<C: PartialEq> Table<C> {
    pub fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    pub fn position(&self, id: &str) -> Option<u32> {
        self.index.get(id).copied()
    }

    pub fn get(&self, id: &str) -> Option<&Row<C>> {
        self.position(id).and_then(|position| self.at(position))
    }

    pub fn at(&self, position: u32) -> Option<&Row<C>> {
        self.rows.get(position as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Row<C>> {
        self.rows.iter()
    }

    /// Writes a record at `now_ms`; reads see it `delay_ms` later.
    pub fn write(&mut self, id: &str, content: C, now_ms: i64, delay_ms: i64) -> (u32, Written) {
        if let Some(position) = self.position(id) {
            let row = &mut self.rows[position as usize];
            let changed = row.content != content;
            let was_visible = now_ms >= row.visible_ms;
            let old = std::mem::replace(&mut row.content, content);
            if delay_ms > 0 && was_visible {
                row.previous = Some(Box::new(old));
            }
            row.visible_ms = now_ms + delay_ms;
            row.updated_ms = now_ms;
            row.applied += 1;
            row.changed += u32::from(changed);
            return (position, if changed { Written::Changed } else { Written::Same });
        }
        let position = self.len();
        let id: Arc<str> = Arc::from(id);
        self.index.insert(Arc::clone(&id), position);
        self.rows.push(Row {
            id,
            content,
            previous: None,
            visible_ms: now_ms + delay_ms,
            created_ms: now_ms,
            updated_ms: now_ms,
            applied: 1,
            changed: 0,
        });
        (position, Written::Created)
    }
}
