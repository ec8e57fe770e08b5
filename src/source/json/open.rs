//! One JSON input, opened: where its records are.

use super::super::error::OpenProblem;
use super::super::feed::Opened;
use super::super::input::{Bytes, Named};
use super::super::sniff::{Described, SAMPLE_BYTES, Written};
use super::super::text::{self, Text};
use super::document::{self, After, Entered, Halt, Survey};
use super::each::Each;
use super::element::Element;
use super::options::{JsonForm, JsonOptions};
use super::records::{State, Table};
use super::wanted::Wanted;
use super::window::Window;

/// Opens `input`, right before its first record. `known`: how it was found to be written before.
pub(super) fn open(
    input: &mut Named,
    options: &JsonOptions,
    wanted: &[String],
    known: Option<&Described>,
    guard: &dyn Fn(Bytes) -> Bytes,
) -> Result<Opened<Table>, OpenProblem> {
    let text = text::open(input, options.encoding.as_deref(), &options.limits, "JSON", guard)?;
    let element = Element::new(Wanted::new(wanted, options.each.as_deref()).map_err(OpenProblem::NotJson)?);
    let each = options.each.as_deref().map(|path| Each::new(path, wanted));
    let (form, array) = match known.map(|described| &described.written) {
        Some(Written::Json { form, array }) => (*form, array.clone()),
        _ => choose(input, options, element.wanted(), &text, guard)?,
    };
    let described = Described {
        name: input.name.to_string(),
        compression: text.compression,
        encoding: text.encoding.encoding.name(),
        encoding_from: text.encoding.from,
        written: Written::Json { form, array: array.clone() },
        columns: wanted.len(),
    };
    let mut window = Window::new(text.bytes);
    let state = match (form, array) {
        (JsonForm::Lines, _) => State::Lines,
        (JsonForm::Values, _) => State::Values,
        (JsonForm::Array, array) => {
            let levels = into_array(&mut window, array.as_deref(), options.array.is_none())?;
            State::Array { levels, first: true }
        }
    };
    Ok(Opened {
        table: Table { window, element, state, encoding: described.encoding, each },
        columns: wanted.iter().map(|name| name.as_str().into()).collect(),
        described,
        raw_bytes: text.raw_bytes,
        again: text.again,
        bytes_total: text.bytes_total,
    })
}

/// Goes into the array; gives the keys on the way.
pub(super) fn into_array(
    window: &mut Window<Bytes>,
    array: Option<&str>,
    is_key: bool,
) -> Result<Vec<String>, OpenProblem> {
    let problem = |halt| match halt {
        Halt::Io(error) => OpenProblem::io(error),
        Halt::CutOff => OpenProblem::NotJson("it ends before its records".to_owned()),
        Halt::Wrong { line, column, what } => OpenProblem::NotJson(format!("{what} in line {line}, column {column}")),
    };
    let Some(array) = array else {
        if document::token(window).map_err(problem)? != b'[' {
            return Err(problem(document::wrong(window, 0, "`[`")));
        }
        window.advance(1);
        return Ok(Vec::new());
    };
    let said = || array.to_owned();
    match document::enter(window, array, is_key).map_err(problem)? {
        Entered::Array(levels) => Ok(levels),
        Entered::Other => Err(OpenProblem::NotAnArray(said())),
        Entered::Nowhere(found) => Err(OpenProblem::NoArray { said: said(), found }),
    }
}

/// Where the records are.
fn choose(
    input: &mut Named,
    options: &JsonOptions,
    wanted: &Wanted,
    text: &Text,
    guard: &dyn Fn(Bytes) -> Bytes,
) -> Result<(JsonForm, Option<String>), OpenProblem> {
    if let Some(form @ (JsonForm::Lines | JsonForm::Values)) = options.form {
        return Ok((form, None));
    }
    let first = text.sample.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    match (first, &options.array) {
        (Some(b'{'), Some(array)) => Ok((JsonForm::Array, Some(array.clone()))),
        (Some(b'['), Some(array)) => Err(OpenProblem::NoArray { said: array.clone(), found: Vec::new() }),
        (Some(b'['), None) => Ok((JsonForm::Array, None)),
        (Some(b'{'), None) => choose_by_object(input, options, wanted, text, guard),
        (None, None) if options.form.is_none() => Ok((JsonForm::Lines, None)),
        (None, _) => Err(OpenProblem::NotJson("it is empty".to_owned())),
        (Some(found), _) => Err(OpenProblem::NotJson(document::expected("`{` or `[`", Some(found)))),
    }
}

fn choose_by_object(
    input: &mut Named,
    options: &JsonOptions,
    wanted: &Wanted,
    text: &Text,
    guard: &dyn Fn(Bytes) -> Bytes,
) -> Result<(JsonForm, Option<String>), OpenProblem> {
    let mut survey = document::survey(&mut Window::new(&*text.sample), wanted);
    let mut is_all = text.whole || survey.after != After::CutOff;
    if !is_all && text.again {
        // The other arrays of a large file can only be known by going over it.
        let again = text::open(input, options.encoding.as_deref(), &options.limits, "JSON", guard)?;
        survey = document::survey(&mut Window::new(again.bytes), wanted);
        is_all = true;
    }
    let Survey { mut arrays, has_wanted, spans_lines, after } = survey;
    let by_lines = |spans_lines| Ok((if spans_lines { JsonForm::Values } else { JsonForm::Lines }, None));
    let is_array = options.form == Some(JsonForm::Array);
    match (after, arrays.len()) {
        (After::Something, _) if !is_array => by_lines(spans_lines),
        (_, 0) if is_array => Err(OpenProblem::NotJson("it has no array of objects".to_owned())),
        (After::Nothing, 0) => by_lines(spans_lines),
        (_, 0) if !is_all => Err(OpenProblem::NotJson(format!(
            "its first {SAMPLE_BYTES} bytes don't show where its records are; name the array, or say that each line is a record"
        ))),
        // It is damaged. Lines go on behind the damage, so they are taken where it looks like them.
        (_, 0) => {
            let mut lines =
                text.sample.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
            let second = lines.nth(1);
            by_lines(second.is_some_and(|line| !line.starts_with(b"{")))
        }
        _ if has_wanted && !is_array => Err(OpenProblem::RecordOrArray(arrays.swap_remove(0))),
        (_, 1) => Ok((JsonForm::Array, arrays.pop())),
        _ => Err(OpenProblem::Arrays(arrays)),
    }
}
