//! Rows in, records out.

use std::sync::Arc;

use crate::record::{Origin, RecordBatch, Reject, RowBatch};

use super::aggregate::{EventValue, Events, SpillError, SpillSettings, Totals, push};
use super::expr::Scope;
use super::fault::Fault;
use super::group::{Group, Member};
use super::number::Decimal;
use super::plan::{At, EventPlan, Plan, Shape, Verdict};
use super::spec::How;
use super::write;

/// Applies a plan to the rows of its sources, in their order.
///
/// Every row is accounted for: it becomes part of records, or is a reject, filtered, or unchanged
/// (a repeated event), or is held until [`Mapper::finish`] (an open group, a total). A row that
/// makes several records makes all of them or none.
#[derive(Debug)]
pub struct Mapper {
    plan: Arc<Plan>,
    group: Option<Group>,
    totals: Option<Totals>,
    events: Events,
    content: Vec<u8>,
}

impl Mapper {
    /// A mapper that holds nothing yet. `spill` is used by totals only, and no file is made
    /// before they need one.
    pub fn new(plan: Arc<Plan>, spill: SpillSettings) -> Self {
        let totals = plan.aggregate.as_ref().map(|aggregate| {
            let id_column = aggregate.distinct.map(|column| &*plan.columns[column]);
            Totals::new(aggregate.how, id_column, &spill)
        });
        let group = plan.group.map(|_| Group::default());
        Self { plan, group, totals, events: Events::default(), content: Vec::new() }
    }

    /// The plan at work.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Goes on with another plan of the same mapping, for a further source with other columns.
    /// Totals and known identifiers are kept; an open group ends.
    pub fn change_plan(&mut self, plan: Arc<Plan>, out: &mut RecordBatch) {
        if let Some(group) = &mut self.group {
            group.close(&self.plan, out);
        }
        self.plan = plan;
    }

    /// Maps some rows and appends what comes of them to `out`.
    ///
    /// # Errors
    ///
    /// [`SpillError`]: totals could not be kept. The mapper is of no use afterwards.
    ///
    /// # Panics
    ///
    /// Where the rows have other columns than the plan was compiled for.
    pub fn apply(&mut self, rows: &Arc<RowBatch>, out: &mut RecordBatch) -> Result<(), SpillError> {
        let same = Arc::ptr_eq(rows.columns(), &self.plan.columns) || rows.columns() == &self.plan.columns;
        assert!(same, "rows have the columns that the plan was compiled for");
        out.rows += (rows.len() + rows.bad().len()) as u64;
        let plan = self.plan.clone();
        let scope = plan.scoped.then(|| Scope::new(rows, &plan.names, plan.now_ms));
        if let Some(group) = &mut self.group {
            group.apply(&plan, rows, scope.as_ref(), out);
            return Ok(());
        }
        out.rejects.extend(rows.bad().iter().map(|bad| Reject::of_bad(bad, rows.columns())));
        for row in rows.rows() {
            let at = At { row, scope: scope.as_ref() };
            match plan.judge(at) {
                Ok(Verdict::Kept) => {}
                Ok(Verdict::Filtered) => {
                    out.filtered += 1;
                    continue;
                }
                Err(fault) => {
                    out.rejects.push(fault.reject(row));
                    continue;
                }
            }
            if self.totals.is_some() {
                self.event(&plan, at, out)?;
            } else {
                plain(&plan, rows, at, out);
            }
        }
        Ok(())
    }

    /// Gives out what is still held: the open group, then the totals in the order of their keys,
    /// some at a time. `true`: there is more, call again.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn finish(&mut self, out: &mut RecordBatch) -> Result<bool, SpillError> {
        if let Some(group) = &mut self.group {
            group.close(&self.plan, out);
        }
        match &mut self.totals {
            Some(totals) => totals.finish(out),
            None => Ok(false),
        }
    }

    fn event(&mut self, plan: &Plan, at: At<'_>, out: &mut RecordBatch) -> Result<(), SpillError> {
        match self.read_events(plan, at) {
            Err(fault) => out.rejects.push(fault.reject(at.row)),
            Ok(()) if self.events.values.is_empty() => out.filtered += 1,
            Ok(()) => {
                let aggregate = plan.aggregate.as_ref().expect("only a plan with totals has events");
                let identity = match aggregate.distinct {
                    None => None,
                    Some(column) => {
                        let id = at.row.cell(column).unwrap_or("").trim();
                        if id.is_empty() {
                            let reason = "is empty, so that a repeat could not be told from another event";
                            let fault = Fault::new(reason).at(&plan.columns[column]);
                            out.rejects.push(fault.reject(at.row));
                            return Ok(());
                        }
                        Some((id, self.content_hash(&aggregate.content, at)))
                    }
                };
                let totals = self.totals.as_mut().expect("a mapper of totals has them");
                totals.add(at.row, identity, &self.events, out)?;
            }
        }
        Ok(())
    }

    /// Hash of all that the mapping reads of a row.
    fn content_hash(&mut self, columns: &[usize], at: At<'_>) -> u64 {
        self.content.clear();
        for column in columns {
            let cell = at.row.cell(*column).unwrap_or("");
            self.content.extend_from_slice(cell.as_bytes());
            // Not in UTF-8: cells can't run into each other.
            self.content.push(0xff);
        }
        xxhash_rust::xxh3::xxh3_64(&self.content)
    }

    fn read_events(&mut self, plan: &Plan, at: At<'_>) -> Result<(), Box<Fault>> {
        self.events.keys.clear();
        self.events.values.clear();
        let aggregate = plan.aggregate.as_ref().expect("only a plan with totals has events");
        let order = match &aggregate.order {
            Some(order) => match order.text(at)? {
                Some(text) => unix_ms(text.as_str()),
                None => return Err(order.empty()),
            },
            None => 0,
        };
        for shape in &plan.shapes {
            if takes_part(shape, at)? {
                let event = shape.event.as_ref().expect("a shape of totals has an event");
                self.read_event(event, aggregate.how, order, at)?;
            }
        }
        Ok(())
    }

    fn read_event(&mut self, plan: &EventPlan, how: How, order: i64, at: At<'_>) -> Result<(), Box<Fault>> {
        let start = self.events.keys.len();
        for (index, part) in plan.keys.iter().enumerate() {
            if index > 0 {
                self.events.keys.push(crate::entity::KEY_SEPARATOR);
            }
            let Some(part) = part else { continue };
            match part.text(at)? {
                Some(text) => self.events.keys.push_str(text.as_str()),
                None if part.required => return Err(part.empty()),
                None => {}
            }
        }
        let value = match (&plan.value, how) {
            (_, How::Count) | (None, _) => Decimal::of(1),
            (Some(plan), How::Sum | How::Last | How::Max) => match plan.text(at)? {
                Some(text) => Decimal::parse(text.as_str()).ok_or_else(|| {
                    Fault::of_value(text.as_str(), "has more than 18 digits after the point").at(&plan.path)
                })?,
                None => return Err(plan.empty()),
            },
        };
        let created_ms = match &plan.created {
            Some(plan) => match plan.text(at)? {
                Some(text) => Some(unix_ms(text.as_str())),
                None if plan.required => return Err(plan.empty()),
                None => None,
            },
            None => None,
        };
        self.events.values.push(EventValue { key: start..self.events.keys.len(), value, created_ms, order });
        Ok(())
    }
}

/// The instant of a time that a rule has made.
fn unix_ms(iso: &str) -> i64 {
    super::time::TimeRule::iso().convert(iso).map(|civil| civil.unix_ms()).unwrap_or(0)
}

fn takes_part(shape: &Shape, at: At<'_>) -> Result<bool, Box<Fault>> {
    shape.when.as_ref().map_or(Ok(true), |when| at.test(when))
}

/// One row, and the records that it makes.
fn plain(plan: &Plan, rows: &Arc<RowBatch>, at: At<'_>, out: &mut RecordBatch) {
    let (json, keys, records) = (out.json.len(), out.keys.len(), out.records.len());
    match shapes(plan, rows, at, out) {
        Ok(true) => {}
        Ok(false) => out.filtered += 1,
        Err(fault) => {
            out.json.truncate(json);
            out.keys.truncate(keys);
            out.records.truncate(records);
            out.rejects.push(fault.reject(at.row));
        }
    }
}

fn shapes(plan: &Plan, rows: &Arc<RowBatch>, at: At<'_>, out: &mut RecordBatch) -> Result<bool, Box<Fault>> {
    let mut any = false;
    for shape in &plan.shapes {
        if !takes_part(shape, at)? {
            continue;
        }
        any = true;
        let (json, keys) = (out.json.len(), out.keys.len());
        write::record(shape, &[at], &mut out.json, &mut out.keys)?;
        let index = u32::try_from(at.row.index()).expect("a batch has fewer than 2^32 rows");
        let origin = out.origins.add_row(rows, index);
        push(out, json, keys, origin);
    }
    Ok(any)
}

/// Writes the record of a whole group.
pub(super) fn grouped(plan: &Plan, members: &[Member], out: &mut RecordBatch) {
    let origin = || Origin::Group(members.iter().map(|member| (member.rows.clone(), member.index)).collect());
    let mut scopes: Vec<Scope> = Vec::new();
    let mut of_batch: Vec<usize> = Vec::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        let same = at > 0 && Arc::ptr_eq(&members[at - 1].rows, &member.rows);
        if plan.scoped && !same {
            scopes.push(Scope::new(&member.rows, &plan.names, plan.now_ms));
        }
        of_batch.push(scopes.len().saturating_sub(1));
    }
    let rows: Vec<At<'_>> = members
        .iter()
        .zip(of_batch)
        .map(|(member, scope)| At { row: member.rows.row(member.index as usize), scope: scopes.get(scope) })
        .collect();
    let (json, keys) = (out.json.len(), out.keys.len());
    match write::record(&plan.shapes[0], &rows, &mut out.json, &mut out.keys) {
        Ok(()) => {
            let origin = out.origins.add(origin());
            push(out, json, keys, origin);
        }
        Err(fault) => {
            out.json.truncate(json);
            out.keys.truncate(keys);
            out.rejects.push(Reject::of_origin(
                &origin(),
                fault.field.as_deref(),
                fault.value.as_deref(),
                fault.reason.clone(),
            ));
        }
    }
}
