//! `--report`: the page says what happened, shows no values unless it was asked to, runs nothing, and never stands in the
//! way of the command.
//!
//! With `STIGG_IMPORT_TEST_PAGES=FOLDER` the pages are left there, for `tests/report/check.sh`, which looks at them in a browser.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use stigg_import::sandbox::Settings;

use super::{CLEAN_CSV, CUSTOMERS_CSV, CUSTOMERS_TOML, RUN, customers, cutover};
use crate::program::{Api, Folder, Ran, assert_ran};

/// What may do harm where it is not escaped, in a browser or a spreadsheet.
const HOSTILE: [&str; 4] = [
    "<script>window.ran=1</script>",
    "\"><img src=x onerror=window.ran=1>",
    "=cmd|' /C calc'!A0",
    "</td></table><style>*{display:none}</style>\u{1b}[31m\u{202e}x",
];

/// The page of a name: its HTML.
fn page(folder: &Folder, name: &str) -> String {
    let html = folder.read(name);
    if let Some(pages) = std::env::var_os("STIGG_IMPORT_TEST_PAGES") {
        std::fs::write(std::path::Path::new(&pages).join(name), &html).unwrap();
    }
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{html}");
    let lower = html.to_lowercase();
    for word in ["<script", "<img", "<link", "javascript:", "http-equiv=\"refresh\"", " onerror=", "@import", "url("] {
        assert!(!lower.replace("&lt;img src=x onerror=", "").contains(word), "{word}: {html}");
    }
    let mode = std::fs::metadata(folder.path(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let left: Vec<_> = std::fs::read_dir(folder.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    html
}

/// What a person reads: a line for each line of the page, cells with bars between them.
fn text_of(html: &str) -> String {
    const LINES: &[&str] = &["tr", "p", "li", "ul", "div", "h1", "h2", "section", "header", "dl", "summary", "footer"];
    let (head, body) = html.split_once("<body>").unwrap();
    let title = head.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    let mut text = title.to_owned();
    for piece in body.split('<').skip(1) {
        let (tag, words) = piece.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        let gap = match name {
            "bdi" | "tr" | "td" | "th" if tag.starts_with('/') => "",
            "td" | "th" => " | ",
            name if LINES.contains(&name) => "\n",
            _ => " ",
        };
        if !(gap == "\n" && text.ends_with('\n')) {
            text.push_str(gap);
        }
        text.push_str(words.trim());
    }
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
    let text = named.iter().fold(text, |text, (name, letter)| text.replace(name, letter));
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = text.lines().map(line).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Compares what a person reads, without what differs each time.
macro_rules! assert_page {
    ($text:expr, @$expected:literal) => {{
        let mut settings = insta::Settings::clone_current();
        for (pattern, replacement) in [
            (r"(?m)^\| ", ""),
            (r"(\d(\.\d)? s) \| [^|\n]+ \| [\d,]+ \|", "$1 | [SHARE] | [SPEED] |"),
            (r"[\d,]+ records/s", "[SPEED] records/s"),
        ] {
            settings.add_filter(pattern, replacement);
        }
        settings.bind(|| assert_ran!($text, @$expected));
    }};
}
pub(super) use assert_page;

/// What a person reads of the page of a name.
pub(super) fn text(folder: &Folder, name: &str) -> String {
    text_of(&page(folder, name))
}

/// Rejected rows with hostile values, and good ones whose names are hostile and end with `end`.
fn hostile_rows(end: &str) -> String {
    let mut rows = "id,email,name\n".to_owned();
    for (number, value) in HOSTILE.iter().enumerate() {
        let quoted = value.replace('"', "\"\"");
        let _ = writeln!(rows, "bad_{number},\"{quoted}\",x\ngood_{number},,\"{quoted}{end}\"");
    }
    rows
}

/// A folder with them; the name of their file is hostile, too.
fn hostile() -> Folder {
    let folder = Folder::new();
    folder.write("customers.toml", CUSTOMERS_TOML).write(HOSTILE_CSV, hostile_rows(""));
    let source = format!("source = {{ csv = \"{HOSTILE_CSV}\" }}\n");
    folder.write("pipeline.toml", format!("[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\n{source}"));
    folder
}

const HOSTILE_CSV: &str = "=cmd<img src=x onerror=window.ran=1>.csv";

#[test]
fn a_run_is_told_on_one_page_without_any_value() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, &format!("{RUN} --report run.html")).exits(3);
    let text = text(&folder, "run.html");
    for value in ["not-an-email", "ada@example.com", "cus_3", "Carl"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    assert_page!(text, @r#"
    Done, with rejects: stigg-import run
    ! Done, with rejects
    5 records: all accounted for; 1 rejected.
    Command stigg-import run
    Run 1
    Into http://127.0.0.1:[PORT]/graphql
    Took [DURATION]
    Written [TIME] UTC
    In Stigg 4 4 sent now
    Rejected ! 1 set aside, not sent
    Refused 0 by the API
    Open 0 for the next run
    Took [DURATION] [SPEED] records/s
    What to do next
    stigg-import rejects list --run 1 shows why.
    Correct them in a CSV and send that: stigg-import rejects export --out fix.csv, then stigg-import rejects retry --csv fix.csv.
    Where every record went
    Records = accepted + unchanged + rejected + refused + filtered + open. Unchanged: Stigg had them already. One row may make several records, several rows one.
    Step | Rows | Records | Accepted | Unchanged | Rejected | Refused | Filtered | Open
    customers | 5 | 5 | 4 | 0 | 1 | 0 | 0 | 0
    What was rejected, and why
    Rows that do not fit stop nothing: they are set aside, and everything else goes through.
    Records | Step | What is wrong | Found by
    1 | customers | email: is not an e-mail address | own check
    Values are left out; with --report-samples some are shown.
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Slowest steps
    Step | Took | Of the time | Records a second | Of the rate limit | What held it back
    customers | [DURATION] | [SHARE] | [SPEED] | – | too short to say
    Retries and pauses
    Every request was answered the first time, and none too fast for the API.
    Step | Batches | Requests | Sent again | “Slow down” | Reads
    customers | 1 | 1 | 0 | 0 | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    "#);
}

#[test]
fn values_are_shown_only_where_that_is_asked_for() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, &format!("{RUN} --report run-samples.html --report-samples")).exits(3);
    let text = text(&folder, "run-samples.html");
    assert!(text.contains("customers.csv:4, record 3 \"not-an-email\": is not an e-mail address"), "{text}");
    assert!(text.contains("This page shows values of rows: personal data."), "{text}");
    for value in ["ada@example.com", "Carl"] {
        assert!(!text.contains(value), "{value} was not rejected: {text}");
    }
}

#[test]
fn hostile_values_are_only_text() {
    let (api, folder) = (Api::open(), hostile());
    folder.run_to(&api, "run pipeline.toml --report hostile-run.html --report-samples").exits(3);
    folder.run_to(&api, "plan pipeline.toml --report hostile-plan.html --report-samples").exits(3);
    folder.write(HOSTILE_CSV, hostile_rows("!"));
    folder.run_to(&api, "verify pipeline.toml --report hostile-verify.html --report-samples").exits(3);
    let run = page(&folder, "hostile-run.html");
    assert!(run.contains("&lt;script&gt;window.ran=1&lt;"), "{run}");
    page(&folder, "hostile-plan.html");
    let verify = text(&folder, "hostile-verify.html");
    assert!(verify.contains("and should be <script>window.ran=1</script>!"), "{verify}");
    assert!(
        verify.contains("| '=cmd<img src=x onerror=window.ran=1>.csv:3, record 2"),
        "a spreadsheet would run it: {verify}"
    );
    assert!(!verify.contains('\u{1b}'), "{verify}");
}

#[test]
fn a_run_at_the_limit_has_a_chart() {
    let api = Api::new(Settings { rate_scale: Some(4.0), ..Settings::default() });
    let folder = customers();
    // 64 requests; 1,000 a minute are allowed.
    let rows: String = (0..64_000).map(|number| format!("cus_{number},,x\n")).collect();
    folder.write("customers.csv", format!("id,email,name\n{rows}"));
    let words = format!("{RUN} --report chart.html --target {} --rate-scale 4", api.url);
    let ran = folder.run(&words).exits(0);
    let html = page(&folder, "chart.html");
    assert!(html.contains("<svg") && html.contains("class=\"limit\""), "{ran}\n{html}");
    let text = text_of(&html);
    assert!(text.contains("64,000 records: all accounted for; none rejected."), "{text}");
    let average = text.split_once("customers: ").unwrap().1.split_once(" %").unwrap().0;
    let average: u32 = average.parse().unwrap();
    assert!((20..=110).contains(&average), "{average} %: {text}");
}

#[test]
fn a_plan_is_told_on_one_page() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, "plan --mapping customers.toml --csv customers.csv --report plan.html").exits(4);
    let text = text(&folder, "plan.html");
    assert!(!text.contains("not-an-email"), "{text}");
    assert_page!(text, @r#"
    Ready, with rejects: stigg-import plan
    ! Ready, with rejects
    A run would send 4 records (4 new, 0 changed) in about a second; 1 would be rejected.
    Command stigg-import plan
    Written [TIME] UTC
    New 4 records to create
    Changed 0 records to update
    Unchanged 0 nothing is sent for them
    Rejected ! 1 would be set aside
    Refused 0 the API would refuse them
    Would take a second at the API's rate limit
    What to do next
    Look at what would be rejected: mend the mapping or the rows, or let the run set them aside; everything else goes through.
    stigg-import run with the same words sends it.
    What would happen to every record
    Compared with what earlier runs delivered. A plan sends nothing.
    Step | Rows | Records | New | Changed | Unchanged | Rejected | Filtered
    customers | 5 | 5 | 4 | 0 | 0 | 1 | 0
    What was rejected, and why
    Rows that do not fit stop nothing: they are set aside, and everything else goes through.
    Records | Step | What is wrong | Found by
    1 | customers | email: is not an e-mail address | own check
    Values are left out; with --report-samples some are shown.
    What the API would refuse
    Nothing: all that the records refer to is there.
    Slowest steps
    Requests, and the time that the API's rate limit gives them.
    Step | Requests | Would take
    customers | 1 | a second
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    "#);
}

#[test]
fn a_verification_is_told_on_one_page() {
    let (api, folder) = (Api::open(), customers());
    folder.write("customers.csv", CLEAN_CSV);
    folder.run_to(&api, RUN).exits(0);
    folder.write("customers.csv", CLEAN_CSV.replace("Bob", "Robert") + "cus_9,,Zoe\n");
    let verify = "verify --mapping customers.toml --csv customers.csv";
    folder.run_to(&api, &format!("{verify} --report verify.html")).exits(3);
    let text = text(&folder, "verify.html");
    for value in ["Robert", "Bob", "cus_9"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    assert_page!(text, @r#"
    Something differs: stigg-import verify
    ! Something differs
    2 of 4 records are in Stigg as the source has them.
    Command stigg-import verify
    Written [TIME] UTC
    Expected 4 records of the source
    Equal 2 as the source has them
    Different ! 1 in Stigg, with other content
    Missing ! 1 not in Stigg
    Not read 0 nothing is known of them
    What to do next
    The same words with stigg-import run send what has changed in the source; with run --resend, all of it again, also over what was changed in Stigg itself.
    What is there
    Records of the source were read back from the API and compared, field by field. Rejected rows are not looked for.
    Step | Expected | Equal | Different | Missing | Not read | Rejected
    customers | 4 | 2 | 1 | 1 | 0 | 0
    What differs
    Of the first 2 records that are not equal.
    Records | Step | Field
    1 | customers | name
    1 | customers | the record is missing
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    "#);
}

#[test]
fn bulk_has_the_page_of_a_run() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.json", r#"{ "customers": [{ "customerId": "cus_1" }, { "customerId": "" }] }"#);
    folder.run_to(&api, "bulk --customers-file customers.json --report bulk.html").exits(3);
    let text = text(&folder, "bulk.html");
    assert!(text.contains("stigg-import bulk") && text.contains("2 records: all accounted for; 1 rejected."), "{text}");
}

#[test]
fn a_cutover_is_told_on_one_page() {
    let (folder, api) = cutover::world(Settings::default());
    let words = "--mapping paid.toml --csv paid.csv --report";
    cutover::cutover(&folder, &api, &format!("{words} cutover-plan.html --plan")).exits(0);
    let plan = text(&folder, "cutover-plan.html");
    assert!(
        plan.contains("5 subscriptions would be provisioned and proved; 0 originals can be cancelled now."),
        "{plan}"
    );
    cutover::cutover(&folder, &api, &format!("{words} cutover.html --limit 2")).exits(0);
    assert_page!(text(&folder, "cutover.html"), @r#"
    Done: stigg-import cutover
    ✓ Done
    5 subscriptions: all accounted for; 2 confirmed.
    Command stigg-import cutover
    Run 2
    Took [DURATION]
    Written [TIME] UTC
    Confirmed 2 subscriptions
    Cancelled 0 originals, at the provider
    Parked 0 somebody has to decide
    Rejected 0 rows that do not fit
    What to do next
    Nothing was cancelled. When you have looked at them: stigg-import cutover --phase cancel --cancel-originals.
    Every step that was taken is in the audit file, .stigg-import/cutover-audit.jsonl.
    Where every record went
    What became of them | How many
    confirmed now | 2
    left for later | 3
    How far the whole move is
    All subscriptions that were ever begun, earlier runs included. docs/cutover.md says what to do about each reason.
    Stage | Reason | How many
    confirmed | – | 2
    Speed against the rate limit
    Sending took [DURATION]: too short for a chart.
    Requests
    What | How many
    Requests that provision, repeats included | 2
    Requests that cancel, repeats included | 0
    Answered with “slow down” | 0
    This page shows no values of rows.
    It loads nothing from anywhere and runs no script.
    "#);
    let cancel = "--phase cancel --cancel-originals --report cutover-cancel.html";
    cutover::cutover(&folder, &api, cancel).exits(0);
    let cancelled = text(&folder, "cutover-cancel.html");
    assert!(cancelled.contains("2 of 2 originals cancelled."), "{cancelled}");
}

#[test]
fn a_run_that_stops_says_so_on_its_page() {
    let (api, folder) = (Api::open(), customers());
    folder.run_to(&api, &format!("{RUN} --max-rejects 0 --report stopped.html")).exits(3);
    let text = text(&folder, "stopped.html");
    let verdict = "The run stopped early: too many rejects: 1, and 0 are allowed. 5 records: all accounted for; 1 rejected, \
                   4 still open.";
    assert!(text.contains(verdict) && text.contains("✕ Stopped\n"), "{text}");
}

#[test]
fn a_place_that_takes_no_file_is_told_before_anything_is_sent() {
    let (api, folder) = (Api::open(), customers());
    assert_ran!(folder.run_to(&api, &format!("{RUN} --report nowhere/run.html")), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the report nowhere/run.html can't be written
      because there is no folder nowhere
    hint: name another place with --report; nothing was sent
    "#);
    folder.write("folder/file", "");
    folder.run_to(&api, &format!("{RUN} --report folder")).exits(5);
    for words in
        ["plan --mapping customers.toml --csv customers.csv", "verify --mapping customers.toml --csv customers.csv"]
    {
        folder.run_to(&api, &format!("{words} --report nowhere/page.html")).exits(5);
    }
    folder.run_to(&api, &format!("{RUN} --report-samples")).exits(2);
    assert_eq!((api.customers(), api.sandbox.stats().requests), (0, 0));
    assert!(!folder.path(".stigg-import").exists());
}

/// A run whose report's folder goes away while the API takes its time.
fn run_whose_folder_goes(csv: &str, more: &str) -> (Api, Folder, Ran) {
    let api = Api::new(Settings { latency: Duration::from_millis(700), ..Settings::default() });
    let folder = customers();
    folder.write("customers.csv", csv).write("pages/run.html", "the page of an earlier run");
    let child = folder.command(&format!("{RUN} --report pages/run.html --target {} {more}", api.url)).spawn().unwrap();
    let began = Instant::now();
    while api.sandbox.stats().requests == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the run does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_dir_all(folder.path("pages")).unwrap();
    let ran = folder.wait(child);
    (api, folder, ran)
}

#[test]
fn a_report_that_fails_changes_nothing_of_the_run() {
    let (api, folder, ran) = run_whose_folder_goes(CLEAN_CSV, "");
    assert_ran!(ran, @r#"
    exit 8
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     3        3         3          0         0 [DURATION]

    every record is accounted for: 3 = 3 accepted

    --- stderr
    error: the report pages/run.html can't be written
      because there is no folder pages
    hint: what the command did stands, and only its report is missing; its numbers are above, and those of a run in stigg-import status --json
    "#);
    assert_eq!(api.customers(), 3, "what was read was sent");
    assert_eq!(folder.run("status --json").exits(0).json()["runs"][0]["exit"], 0, "the ledger has what the run did");

    let (_, _, ran) = run_whose_folder_goes(CLEAN_CSV, "--json");
    assert_eq!((ran.json()["exit"].as_i64(), ran.json()["ok"].as_bool()), (Some(8), Some(false)), "{ran}");

    let (_, _, ran) = run_whose_folder_goes(CUSTOMERS_CSV, "");
    let ran = ran.exits(3);
    assert!(ran.stderr.contains("error: the report pages/run.html can't be written"), "{ran}");
}
