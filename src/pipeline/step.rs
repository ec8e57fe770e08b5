//! A step: one mapping and the data that goes through it.

use std::sync::Arc;

use super::changes::{self, ChangesSource, SqlChanges};
use super::selection::Selection;
use crate::clock::Clock;
use crate::entity::{Entity, Schema};
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

impl StepSpec {
    /// What it imports.
    ///
    /// # Errors
    ///
    /// [`OpenStepError::NoImport`]: its records are paid subscriptions.
    pub fn entity(&self) -> Result<Entity, OpenStepError> {
        imported(&self.name, &self.mapping)
    }
}

/// The one place where records that no import takes are told from the others. What only imports takes an [`Entity`].
fn imported(step: &str, mapping: &MappingFile) -> Result<Entity, OpenStepError> {
    match mapping.schema() {
        Schema::Import(entity) => Ok(entity),
        Schema::PaidSubscription => {
            Err(OpenStepError::NoImport { step: step.to_owned(), mapping: mapping.name().to_owned() })
        }
    }
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
    /// Which of its records may be sent.
    pub(super) selection: Selection,
}

impl OpenStep {
    /// A step of rows that are open already, whatever gave them.
    ///
    /// # Errors
    ///
    /// All that the rows' columns lack for the mapping, or that no import takes its records.
    pub fn new(name: &str, mapping: &MappingFile, rows: Rows, clock: &dyn Clock) -> Result<Self, OpenStepError> {
        let entity = imported(name, mapping)?;
        let plan = compiled(name, mapping, &rows, clock)?;
        Ok(Self {
            name: name.to_owned(),
            entity,
            mapping_name: mapping.name().to_owned(),
            rows,
            plan,
            is_whole: false,
            changes: None,
            selection: Selection::All,
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

    /// The same step, of which only these records may be sent. A canary reads all of the source: it moves no mark.
    #[must_use]
    pub fn choosing(mut self, selection: Selection) -> Self {
        if selection.is_canary() {
            self.changes = None;
        }
        self.selection = selection;
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
}

/// A step of paid subscriptions whose source is open and whose mapping fits its columns.
pub struct OpenPaid {
    pub(super) name: String,
    pub(super) mapping_name: String,
    pub(super) rows: Rows,
    pub(super) plan: Arc<Plan>,
}

impl OpenPaid {
    /// A step of rows that are open already, whatever gave them.
    ///
    /// # Errors
    ///
    /// All that the rows' columns lack for the mapping, or that its records are not paid subscriptions.
    pub fn new(name: &str, mapping: &MappingFile, rows: Rows, clock: &dyn Clock) -> Result<Self, OpenStepError> {
        paid(name, mapping)?;
        let plan = compiled(name, mapping, &rows, clock)?;
        Ok(Self { name: name.to_owned(), mapping_name: mapping.name().to_owned(), rows, plan })
    }
}

/// Opens the source of paid subscriptions and compiles its mapping.
///
/// # Errors
///
/// It can't begin. A mapping of other records is refused before its source is opened.
pub async fn open_paid(step: &StepSpec, clock: &dyn Clock) -> Result<OpenPaid, OpenStepError> {
    paid(&step.name, &step.mapping)?;
    OpenPaid::new(&step.name, &step.mapping, rows_of(step).await?, clock)
}

fn paid(step: &str, mapping: &MappingFile) -> Result<(), OpenStepError> {
    match mapping.schema() {
        Schema::PaidSubscription => Ok(()),
        Schema::Import(_) => {
            Err(OpenStepError::OnlyImport { step: step.to_owned(), mapping: mapping.name().to_owned() })
        }
    }
}

/// Why a step can't begin. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum OpenStepError {
    /// Its records are paid subscriptions: each is provisioned by itself, and none is imported. Nothing was read.
    #[error("step `{step}` is not for an import: {mapping} makes paid subscriptions")]
    NoImport {
        /// The step.
        step: String,
        /// Its mapping, as the user named it.
        mapping: String,
    },
    /// Its records are imported, and are no paid subscriptions. Nothing was read.
    #[error("step `{step}` is not for a cutover: {mapping} makes no paid subscriptions")]
    OnlyImport {
        /// The step.
        step: String,
        /// Its mapping, as the user named it.
        mapping: String,
    },
    /// The source can't be opened.
    #[error("step `{step}` has no source")]
    Source {
        /// The step.
        step: String,
        /// Why.
        #[source]
        source: Box<SourceError>,
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

/// Opens a step's source and compiles its mapping, whatever its records are.
///
/// # Errors
///
/// The source can't be opened, or the mapping doesn't fit it.
pub async fn open_rows(step: &StepSpec, clock: &dyn Clock) -> Result<(Rows, Arc<Plan>), OpenStepError> {
    let rows = rows_of(step).await?;
    let plan = compiled(&step.name, &step.mapping, &rows, clock)?;
    Ok((rows, plan))
}

fn compiled(name: &str, mapping: &MappingFile, rows: &Rows, clock: &dyn Clock) -> Result<Arc<Plan>, OpenStepError> {
    mapping::compile(mapping, rows.columns(), clock)
        .map(Arc::new)
        .map_err(|problems| OpenStepError::Mapping { step: name.to_owned(), problems })
}

async fn rows_of(step: &StepSpec) -> Result<Rows, OpenStepError> {
    match &step.source {
        SourceSpec::Csv { inputs, options } => source::open_csv(inputs, options).await,
        SourceSpec::Json { inputs, options } => source::open_json(inputs, options, &wanted(&step.mapping)).await,
        SourceSpec::Sql { name, options } => source::open_sql(name, options).await,
        SourceSpec::Stripe(options) => source::open_stripe(options, &wanted(&step.mapping)).await,
    }
    .map_err(|source| OpenStepError::Source { step: step.name.clone(), source: Box::new(source) })
}

/// Opens every source and compiles every mapping, so that whatever is wrong with them is known
/// before the first request.
///
/// # Errors
///
/// The first step that can't begin. Where no import takes a step's records, no source is opened.
pub async fn open_steps(steps: &[StepSpec], clock: &dyn Clock) -> Result<Vec<OpenStep>, OpenStepError> {
    for step in steps {
        step.entity()?;
    }
    let mut opened = Vec::with_capacity(steps.len());
    for step in steps {
        let mut open = OpenStep::new(&step.name, &step.mapping, rows_of(step).await?, clock)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entity::{self, Field, Kind, ORIGINAL};
    use crate::provider::{OriginalId, ProviderName};

    fn original() -> &'static [Field] {
        let field = Schema::PaidSubscription.fields().iter().find(|field| field.name == ORIGINAL);
        let Some(Field { kind: Kind::Object(fields), .. }) = field else { panic!("an original is an object") };
        fields
    }

    #[test]
    fn an_original_is_at_one_of_the_providers() {
        let Kind::Enum(words) = original()[0].kind else { panic!("a provider is a word") };
        assert_eq!(words, ProviderName::ALL.map(ProviderName::as_str));
    }

    fn step(name: &str, entity: &str, fields: &str) -> StepSpec {
        let text = format!("entity = \"{entity}\"\n[fields]\ncustomerId = \"c\"\n{fields}");
        let mapping = mapping::parse("m.toml", &text, std::path::Path::new("")).expect("the mapping holds");
        let inputs = vec![Input::Path("there-is-no-such-file.csv".into())];
        let source = SourceSpec::Csv { inputs, options: CsvOptions::default() };
        StepSpec { name: name.to_owned(), mapping: Arc::new(mapping), source }
    }

    /// Given a step with a source that is missing, and after it a step of paid subscriptions, when they are opened, then
    /// it is the second that is refused: no source was opened.
    #[tokio::test]
    async fn steps_that_no_import_takes_are_refused_before_a_source_is_opened() {
        let paid = "subscriptionId = \"s\"\nplanId = \"p\"\nbillingPeriod = \"b\"\nstartDate = { column = \"d\", time = \"iso\" }\n\
            original = { provider = \"o\", id = \"s\" }\n";
        let steps = [step("people", "customer", ""), step("contracts", "paid_subscription", paid)];
        let clock = crate::clock::SystemClock;
        let refused = open_steps(&steps, &clock).await.err();
        assert!(matches!(refused, Some(OpenStepError::NoImport { step, .. }) if step == "contracts"));
        let missing = open_steps(&steps[..1], &clock).await.err();
        assert!(matches!(missing, Some(OpenStepError::Source { .. })));
    }

    proptest! {
        #[test]
        fn an_id_that_a_mapping_lets_through_is_one_for_the_provider(text in "[ a-c|_.@/%\u{e9}-]{0,6}|[a-z]{250,260}") {
            if let Ok(Some(id)) = entity::check(&original()[1].kind, &text) {
                prop_assert_eq!(OriginalId::parse(id).map(|id| id.to_string()), Ok(id.to_owned()));
            }
        }
    }
}
