//! A step: one mapping and the data that goes through it.

use std::sync::Arc;

use super::changes::{self, ChangesSource, SqlChanges};
use crate::clock::Clock;
use crate::entity::Entity;
use crate::mapping::{self, MappingFile, Plan};
use crate::problem::Problems;
use crate::source::{self, CsvOptions, Input, JsonOptions, Rows, SourceError, SqlOptions, StripeOptions};

/// What a step reads and how it maps it.
#[derive(Debug)]
pub struct StepSpec {
    /// Its name, unique in its pipeline.
    pub name: String,
    /// The mapping.
    pub mapping: Arc<MappingFile>,
    /// Where the rows are.
    pub source: SourceSpec,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum SourceSpec {
    /// CSV text.
    Csv {
        /// Files, patterns, or standard input, read in this order.
        inputs: Vec<Input>,
        /// How they are written.
        options: CsvOptions,
    },
    /// JSON text: records on lines, in an array, or in an array of an object. The mapping's columns
    /// are names or paths in each record.
    Json {
        /// Files, patterns, or standard input, read in this order.
        inputs: Vec<Input>,
        /// How they are written.
        options: JsonOptions,
    },
    /// A query or table of a database.
    Sql {
        /// What places call it.
        name: String,
        /// Where it is and how it is read.
        options: Box<SqlOptions>,
    },
    /// A list of Stripe's API. The mapping's columns are names or paths in each object.
    Stripe(Box<StripeOptions>),
}

/// A step whose source is open and whose mapping fits its columns.
pub struct OpenStep {
    pub(super) name: String,
    pub(super) entity: Entity,
    pub(super) mapping_name: String,
    pub(super) rows: Rows,
    pub(super) plan: Arc<Plan>,
    /// Whether its source is all there is, so that what does not come is gone. A file may be a part.
    pub(super) is_whole: bool,
    /// How it reads changes only, and the identity of its mark.
    pub(super) changes: Option<(Arc<dyn ChangesSource>, String)>,
}

impl OpenStep {
    /// A step of rows that are open already, whatever gave them.
    ///
    /// # Errors
    ///
    /// All that the rows' columns lack for the mapping.
    pub fn new(name: &str, mapping: &MappingFile, rows: Rows, clock: &dyn Clock) -> Result<Self, Problems> {
        let plan = mapping::compile(mapping, rows.columns(), clock)?;
        Ok(Self {
            name: name.to_owned(),
            entity: mapping.entity(),
            mapping_name: mapping.name().to_owned(),
            rows,
            plan: Arc::new(plan),
            is_whole: false,
            changes: None,
        })
    }

    /// The same step, whose later runs read only what has changed: `source` gives the rows of this
    /// step, those that are open give all of them. Rows have a mark each time; see
    /// [`RowBatch::mark`](crate::record::RowBatch::mark). A mapping that joins rows always reads all.
    #[must_use]
    pub fn reading_changes(mut self, mapping: &MappingFile, source: Arc<dyn ChangesSource>) -> Self {
        let identity = changes::identity(&*source, mapping);
        self.is_whole = true;
        self.changes = (!mapping.joins_rows()).then_some((source, identity));
        self
    }

    /// The step's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it imports.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// The source's columns.
    pub fn columns(&self) -> &Arc<[Box<str>]> {
        self.rows.columns()
    }

    /// The rows and the plan.
    pub fn into_parts(self) -> (Rows, Arc<Plan>) {
        (self.rows, self.plan)
    }
}

/// Why a step can't begin. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum OpenStepError {
    /// The source can't be opened.
    #[error("step `{step}` has no source")]
    Source {
        /// The step.
        step: String,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// The mapping doesn't fit the source.
    #[error("the mapping of step `{step}` does not fit its source\n{problems}")]
    Mapping {
        /// The step.
        step: String,
        /// All that doesn't fit.
        problems: Problems,
    },
}

/// Opens every source and compiles every mapping, so that whatever is wrong with them is known
/// before the first request.
///
/// # Errors
///
/// The first step that can't begin.
pub async fn open_steps(steps: &[StepSpec], clock: &dyn Clock) -> Result<Vec<OpenStep>, OpenStepError> {
    let mut opened = Vec::with_capacity(steps.len());
    for step in steps {
        let rows = match &step.source {
            SourceSpec::Csv { inputs, options } => source::open_csv(inputs, options).await,
            SourceSpec::Json { inputs, options } => source::open_json(inputs, options, &wanted(&step.mapping)).await,
            SourceSpec::Sql { name, options } => source::open_sql(name, options).await,
            SourceSpec::Stripe(options) => source::open_stripe(options, &wanted(&step.mapping)).await,
        }
        .map_err(|source| OpenStepError::Source { step: step.name.clone(), source })?;
        let mut open = OpenStep::new(&step.name, &step.mapping, rows, clock)
            .map_err(|problems| OpenStepError::Mapping { step: step.name.clone(), problems })?;
        match &step.source {
            SourceSpec::Csv { .. } | SourceSpec::Json { .. } => {}
            SourceSpec::Stripe(_) => open.is_whole = true,
            SourceSpec::Sql { name, options } => {
                open.is_whole = true;
                if options.changed.is_some() {
                    let source = SqlChanges { name: name.clone(), options: (**options).clone() };
                    open = open.reading_changes(&step.mapping, Arc::new(source));
                }
            }
        }
        opened.push(open);
    }
    Ok(opened)
}

/// Names and paths of what a mapping takes from each record.
fn wanted(mapping: &MappingFile) -> Vec<String> {
    mapping.columns_used().into_iter().map(|column| column.name).collect()
}
