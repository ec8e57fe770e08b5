//! Consecutive rows that make one record (`group`).

use std::sync::Arc;

use crate::record::{BadRow, Origin, RecordBatch, Reject, Row, RowBatch};

use super::expr::Scope;
use super::fault::Fault;
use super::mapper::grouped;
use super::plan::{At, Plan, Verdict};

/// Most rows of one group. More are rejects, and so is the group.
const ROWS_MAX: usize = 10_000;

/// One row of a group.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub rows: Arc<RowBatch>,
    pub index: u32,
}

/// The group that is open.
#[derive(Debug, Default)]
pub(super) struct Group {
    value: Option<Box<str>>,
    members: Vec<Member>,
    /// Why it will be a reject.
    fault: Option<Box<Fault>>,
    /// An unreadable row just before: its place, and its cell of the group's column where it has
    /// one. It may belong to the rows that follow.
    bad: Option<(String, Option<String>)>,
}

impl Group {
    pub fn apply(&mut self, plan: &Plan, rows: &Arc<RowBatch>, scope: Option<&Scope>, out: &mut RecordBatch) {
        let column = plan.group.expect("only a plan with a group has one");
        let mut bad = rows.bad().iter().peekable();
        for row in rows.rows() {
            while let Some(bad) = bad.next_if(|bad| bad.place.record < row.record()) {
                self.unreadable(bad, column, rows, out);
            }
            self.row(plan, rows, At { row, scope }, column, out);
        }
        for bad in bad {
            self.unreadable(bad, column, rows, out);
        }
    }

    fn row(&mut self, plan: &Plan, rows: &Arc<RowBatch>, at: At<'_>, column: usize, out: &mut RecordBatch) {
        let verdict = plan.judge(at);
        if matches!(verdict, Ok(Verdict::Filtered)) {
            out.filtered += 1;
            return;
        }
        let value = at.row.cell(column).unwrap_or("").trim();
        if value.is_empty() {
            self.close(plan, out);
            out.rejects
                .push(Fault::new("is empty, and rows are grouped by it").at(&plan.columns[column]).reject(at.row));
            return;
        }
        if self.value.as_deref() != Some(value) {
            self.close(plan, out);
            self.value = Some(value.into());
        }
        if let Some((place, cell)) = self.bad.take()
            && cell.as_deref().is_none_or(|cell| cell.trim() == value)
        {
            self.spoil(Fault::new(format!("a row that may belong to it can't be read: {place}")));
        }
        if self.members.len() == ROWS_MAX {
            let reason = format!("has more than {ROWS_MAX} rows in its group");
            out.rejects.push(Reject::of_row(at.row, Some(&plan.columns[column]), Some(value), reason.clone()));
            self.spoil(Fault::of_value(value, reason).at(&plan.columns[column]));
            return;
        }
        if let Err(fault) = verdict {
            self.spoil(in_record(fault, at.row));
        }
        let index = u32::try_from(at.row.index()).expect("a batch has fewer than 2^32 rows");
        self.members.push(Member { rows: rows.clone(), index });
    }

    fn unreadable(&mut self, bad: &BadRow, column: usize, rows: &Arc<RowBatch>, out: &mut RecordBatch) {
        out.rejects.push(Reject::of_bad(bad, rows.columns()));
        let cell = bad.cells.get(column).cloned();
        let may_belong = match (&self.value, &cell) {
            (Some(value), Some(cell)) => cell.trim() == &**value,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if may_belong {
            self.spoil(Fault::new(format!("a row that may belong to it can't be read: {}", bad.place)));
        }
        self.bad = Some((bad.place.to_string(), cell));
    }

    fn spoil(&mut self, fault: Box<Fault>) {
        self.fault.get_or_insert(fault);
    }

    /// Ends the open group: a record or a reject.
    pub fn close(&mut self, plan: &Plan, out: &mut RecordBatch) {
        self.value = None;
        let members = std::mem::take(&mut self.members);
        let fault = self.fault.take();
        if members.is_empty() {
            return;
        }
        match fault {
            None => grouped(plan, &members, out),
            Some(fault) => {
                let origin = Origin::Group(members.into_iter().map(|member| (member.rows, member.index)).collect());
                let (field, value) = (fault.field.as_deref(), fault.value.as_deref());
                out.rejects.push(Reject::of_origin(&origin, field, value, fault.reason.clone()));
            }
        }
    }
}

fn in_record(mut fault: Box<Fault>, row: Row<'_>) -> Box<Fault> {
    fault.reason = format!("{} (in record {})", fault.reason, row.record()).into();
    fault
}
