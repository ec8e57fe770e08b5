//! How much of the rate limit was used over time, as numbers that a drawing needs.

use std::fmt::Write as _;

use serde::Serialize;

use super::recorder::{Line, Seen};
use crate::cli::report::{duration, grouped};

/// Width and height of the drawing, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;
/// Most windows that a step is drawn in.
const WINDOWS_MAX: usize = 120;
/// Requests that a window has room for at the limit, so that one more or less is no jump.
const REQUESTS_A_WINDOW: f64 = 20.0;
/// A shorter time says nothing about a limit that counts by the minute.
const SHORTEST_S: f64 = 3.0;
/// Most lines of the table under the drawing.
const ROWS_MAX: usize = 12;

/// A drawing, its scales, and what it shows in words.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    width: f64,
    height: f64,
    /// The height of the limit, from above.
    limit_y: f64,
    /// One closed shape for each step.
    shapes: Vec<String>,
    /// Where steps begin, but the first.
    borders: Vec<f64>,
    /// Names of the steps over their part of the width, in percent.
    bands: Vec<Band>,
    x_marks: Vec<Mark>,
    y_marks: Vec<Mark>,
    /// What it shows in one sentence, for those who do not see it.
    pub summary: String,
    /// The same in numbers.
    pub rows: Vec<[String; 3]>,
}

#[derive(Debug, Serialize)]
struct Band {
    name: String,
    left: f64,
    width: f64,
}

/// A mark of a scale: how far along it, in percent.
#[derive(Debug, Serialize)]
struct Mark {
    at: f64,
    label: String,
}

/// A step's share of its limit in some of the time.
struct Share {
    from_s: f64,
    to_s: f64,
    share: f64,
}

/// The chart; or why there is none, in a sentence.
pub(super) fn chart(seen: &Seen) -> Result<Chart, String> {
    let steps: Vec<(&Line, f64, Vec<Share>)> = seen
        .lines
        .iter()
        .filter_map(|line| line.per_minute.map(|per_minute| (line, per_minute, shares(line, per_minute))))
        .filter(|(_, _, shares)| !shares.is_empty())
        .collect();
    let end_s = steps.iter().map(|(line, ..)| line.began_s + line.requests.end_s()).fold(0.0, f64::max);
    if end_s < SHORTEST_S {
        return Err(format!("Sending took {}: too short for a chart.", duration(end_s)));
    }
    let highest = steps.iter().flat_map(|(.., shares)| shares).map(|share| share.share).fold(0.0, f64::max);
    if highest < 0.005 {
        return Err("The limit was never near: less than 1 % of it was used at any time.".to_owned());
    }
    // The limit has some room above it, and what went over it is seen.
    let top = ((highest.max(1.0) * 1.1 / 0.25).ceil() * 0.25).min(4.0);
    let x = |at_s: f64| at_s / end_s * WIDTH;
    let y = |share: f64| (1.0 - share.min(top) / top) * HEIGHT;
    let mut chart = Chart {
        width: WIDTH,
        height: HEIGHT,
        limit_y: y(1.0),
        shapes: Vec::new(),
        borders: Vec::new(),
        bands: Vec::new(),
        x_marks: [0.0, 0.25, 0.5, 0.75, 1.0]
            .map(|at| Mark { at: at * 100.0, label: short_duration(at * end_s) })
            .into(),
        y_marks: marks(top),
        summary: String::new(),
        rows: Vec::new(),
    };
    for (index, (line, _, shares)) in steps.iter().enumerate() {
        let began_s = line.began_s;
        let ended_s = began_s + line.requests.end_s();
        let mut shape = format!("M{:.1} {HEIGHT}", x(began_s));
        for share in shares {
            let (left, right, high) = (x(began_s + share.from_s), x(began_s + share.to_s), y(share.share));
            let _ = write!(shape, "L{left:.1} {high:.1}L{right:.1} {high:.1}");
        }
        let _ = write!(shape, "L{:.1} {HEIGHT}Z", x(ended_s));
        chart.shapes.push(shape);
        if index > 0 {
            chart.borders.push(x(began_s));
        }
        let (left, width) = (began_s / end_s * 100.0, (ended_s - began_s) / end_s * 100.0);
        chart.bands.push(Band { name: line.name.clone(), left, width });
    }
    chart.rows = rows(&steps);
    chart.summary = format!(
        "Highest use of the limit: {}. {}",
        percent(highest),
        steps
            .iter()
            .map(|(line, per_minute, shares)| in_words(line, *per_minute, shares))
            .collect::<Vec<_>>()
            .join(" ")
    );
    Ok(chart)
}

fn shares(line: &Line, per_minute: f64) -> Vec<Share> {
    let width_s = REQUESTS_A_WINDOW * 60.0 / per_minute;
    line.requests
        .windows(width_s, WINDOWS_MAX)
        .iter()
        .map(|window| {
            let allowed = per_minute * (window.to_s - window.from_s) / 60.0;
            Share { from_s: window.from_s, to_s: window.to_s, share: window.count / allowed }
        })
        .collect()
}

fn average(shares: &[Share]) -> f64 {
    let time_s: f64 = shares.iter().map(|share| share.to_s - share.from_s).sum();
    shares.iter().map(|share| share.share * (share.to_s - share.from_s)).sum::<f64>() / time_s.max(f64::MIN_POSITIVE)
}

fn in_words(line: &Line, per_minute: f64, shares: &[Share]) -> String {
    format!(
        "{}: {} on average, of {} requests a minute.",
        line.name,
        percent(average(shares)),
        grouped(per_minute.round() as u64)
    )
}

/// Some lines for each step, its windows put together.
fn rows(steps: &[(&Line, f64, Vec<Share>)]) -> Vec<[String; 3]> {
    let each = (ROWS_MAX / steps.len().max(1)).max(1);
    let mut rows = Vec::new();
    for (line, _, shares) in steps {
        for part in shares.chunks(shares.len().div_ceil(each)) {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let from = short_duration(line.began_s + first.from_s);
            let to = short_duration(line.began_s + last.to_s);
            rows.push([format!("{from} to {to}"), line.name.clone(), percent(average(part))]);
        }
    }
    rows
}

/// Marks from nothing to the top.
fn marks(top: f64) -> Vec<Mark> {
    let step = if top > 2.0 { 1.0 } else { 0.5 };
    let mut marks = Vec::new();
    let mut share = 0.0;
    while share <= top {
        marks.push(Mark { at: share / top * 100.0, label: percent(share) });
        share += step;
    }
    marks
}

/// `98 %`
pub(super) fn percent(share: f64) -> String {
    match share {
        share if share > 0.0 && share < 0.01 => "under 1 %".to_owned(),
        share => format!("{:.0} %", share * 100.0),
    }
}

/// `0`, `90 s`, `12 min`, `1:30 h`
fn short_duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 => "0 s".to_owned(),
        1..120 => format!("{whole} s"),
        120..7200 => format!("{} min", (seconds / 60.0).round()),
        _ => format!("{}:{:02} h", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::report_html::series::Series;

    fn line(name: &str, began_s: f64, per_minute: f64, seconds: u64, per_second: f64) -> Line {
        let mut requests = Series::default();
        for second in 1..=seconds {
            requests.saw(Duration::from_secs(second), (second as f64 * per_second) as u64);
        }
        Line { name: name.to_owned(), began_s, per_minute: Some(per_minute), requests }
    }

    #[test]
    fn each_step_is_measured_by_its_own_limit() {
        // Given: the first uses half of its limit, the second all.
        let lines = vec![line("customers", 0.0, 240.0, 60, 2.0), line("usage", 60.0, 600.0, 60, 10.0)];
        // When
        let chart = chart(&Seen { lines, ..Seen::default() }).unwrap();
        // Then
        assert_eq!(
            chart.summary,
            "Highest use of the limit: 100 %. customers: 50 % on average, of 240 requests a minute. \
             usage: 100 % on average, of 600 requests a minute."
        );
        assert_eq!((chart.shapes.len(), chart.borders.len()), (2, 1));
        assert!((chart.borders[0] - WIDTH / 2.0).abs() < 1e-6, "{chart:?}");
        assert_eq!(chart.rows.first().map(|row| row[2].as_str()), Some("50 %"));
        assert_eq!(chart.rows.last().map(|row| row[2].as_str()), Some("100 %"));
        // The shape of the second touches the limit's line.
        assert!(chart.shapes[1].contains(&format!(" {:.1}L", chart.limit_y)), "{} {:?}", chart.limit_y, chart.shapes);
    }

    #[test]
    fn what_went_over_the_limit_is_seen_above_it() {
        let over = chart(&Seen { lines: vec![line("a", 0.0, 60.0, 60, 1.5)], ..Seen::default() }).unwrap();
        assert!(over.summary.starts_with("Highest use of the limit: 150 %."), "{}", over.summary);
        assert!(over.limit_y > 0.0 && over.y_marks.iter().any(|mark| mark.label == "150 %"), "{over:?}");
    }

    #[test]
    fn a_chart_that_would_say_nothing_is_not_drawn() {
        let short = chart(&Seen { lines: vec![line("a", 0.0, 60.0, 2, 1.0)], ..Seen::default() });
        assert_eq!(short.unwrap_err(), "Sending took 2.0 s: too short for a chart.");
        let idle = chart(&Seen { lines: vec![line("a", 0.0, 1e9, 60, 1.0)], ..Seen::default() });
        assert_eq!(idle.unwrap_err(), "The limit was never near: less than 1 % of it was used at any time.");
        assert_eq!(chart(&Seen::default()).unwrap_err(), "Sending took 0.0 s: too short for a chart.");
    }

    #[test]
    fn a_long_run_is_drawn_in_a_bounded_number_of_points() {
        let long = chart(&Seen { lines: vec![line("a", 0.0, 6000.0, 20_000, 100.0)], ..Seen::default() }).unwrap();
        assert!(long.shapes[0].len() < 8000, "{}", long.shapes[0].len());
        assert!(long.rows.len() <= ROWS_MAX);
        assert_eq!(long.x_marks.last().map(|mark| mark.label.as_str()), Some("5:33 h"));
    }
}
