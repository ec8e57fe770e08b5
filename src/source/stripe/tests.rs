use super::*;
use crate::stripe::recorder::{Recorder, Scripted};
use crate::stripe::{Endpoint, LiveKeys, StripeKey};

/// As Stripe writes it: over several lines.
fn page(ids: &[&str], has_more: bool) -> Scripted {
    let objects: Vec<String> = ids
        .iter()
        .map(|id| {
            format!(
                "{{\n  \"id\": \"{id}\",\r\n  \"items\": {{\"data\": [\n    {{\"price\": {{\"id\": \"price\\n_{id}\"}}}}]}}\n}}"
            )
        })
        .collect();
    Scripted::json(
        200,
        &format!("{{\"object\": \"list\", \"has_more\": {has_more}, \"data\": [{}]}}", objects.join(",\n")),
    )
}

fn error(status: u16) -> Scripted {
    Scripted::json(status, r#"{"error":{"message":"said by the test"}}"#)
}

async fn open(list: StripeList, answers: Vec<Scripted>) -> (Result<Rows, SourceError>, Recorder) {
    let recorder = Recorder::start(answers).await;
    let key = StripeKey::parse(&"sk_test_51Secret".into(), LiveKeys::Refused).expect("a key");
    let settings = StripeSettings::new(Endpoint::parse(&recorder.url("")).expect("an address"), key);
    let wanted = ["id".to_owned(), "items.data[0].price.id".to_owned()];
    (open_stripe(&StripeOptions { list, settings }, &wanted).await, recorder)
}

/// First cells of all rows with their records' numbers, and how the reading ended.
async fn ids(rows: &mut Rows) -> (Vec<(u64, String)>, Option<String>) {
    let mut ids = Vec::new();
    loop {
        match rows.next().await {
            Ok(Some(batch)) => {
                assert!(batch.bad().is_empty(), "{:?}", batch.bad());
                for row in batch.rows() {
                    assert_eq!(row.cell(1), row.cell(0).map(|id| format!("price\n_{id}")).as_deref());
                    ids.push((row.place().record, row.cell(0).expect("an id").to_owned()));
                }
            }
            Ok(None) => return (ids, None),
            Err(error) => return (ids, Some(error.to_string())),
        }
    }
}

fn numbered(ids: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(ids.iter().map(|id| (*id).to_owned())).collect()
}

fn lines(recorder: &Recorder) -> Vec<String> {
    recorder.requests().into_iter().map(|request| request.line).collect()
}

#[tokio::test]
async fn pages_go_on_from_their_last_object() {
    let pages = vec![page(&["c", "b"], true), page(&["a"], false)];
    let (rows, recorder) = open(StripeList::Subscriptions, pages).await;

    let read = ids(&mut rows.expect("it opens")).await;

    assert_eq!(read, (numbered(&["c", "b", "a"]), None));
    assert_eq!(
        lines(&recorder),
        ["GET /v1/subscriptions?limit=100&status=all", "GET /v1/subscriptions?limit=100&status=all&starting_after=b",]
    );
}

#[tokio::test]
async fn an_empty_list_has_no_rows() {
    let (rows, recorder) = open(StripeList::Customers, vec![page(&[], false)]).await;
    assert_eq!(ids(&mut rows.expect("it opens")).await, (vec![], None));
    assert_eq!(lines(&recorder), ["GET /v1/customers?limit=100"]);
}

#[tokio::test]
async fn a_page_that_does_not_come_is_asked_for_again_from_the_same_object() {
    let answers = vec![
        error(429).header("retry-after-ms", "20"),
        page(&["b"], true),
        Scripted::cut(),
        error(500).header("retry-after-ms", "20"),
        error(400).header("stripe-should-retry", "true").header("retry-after-ms", "20"),
        page(&["a"], false),
    ];
    let (rows, recorder) = open(StripeList::Customers, answers).await;

    let read = ids(&mut rows.expect("it opens")).await;

    assert_eq!(read, (numbered(&["b", "a"]), None), "no object is lost, none comes twice");
    let (first, second) = ("GET /v1/customers?limit=100", "GET /v1/customers?limit=100&starting_after=b");
    assert_eq!(lines(&recorder), [first, first, second, second, second, second]);
}

#[tokio::test]
async fn what_can_not_be_read_is_known_before_the_first_row() {
    for (answer, credentials, message) in [
        (error(401), true, "stripe customers: Stripe refuses the key: said by the test"),
        (error(403), true, "stripe customers: Stripe refuses the key: said by the test"),
        (
            error(503).header("stripe-should-retry", "false"),
            false,
            "stripe customers: the list can't be read: Stripe answered with status 503: said by the test",
        ),
        (
            Scripted::json(404, "<html>"),
            false,
            "stripe customers: the list can't be read: Stripe does not answer at this address: status 404",
        ),
        (
            Scripted::json(200, "<html>"),
            false,
            "stripe customers: the list can't be read: Stripe's answer could not be read: it is no list",
        ),
        (
            page(&[], true),
            false,
            "stripe customers: the list can't be read: Stripe's answer could not be read: a page is empty and not the last",
        ),
    ] {
        let (rows, recorder) = open(StripeList::Customers, vec![answer]).await;
        let error = rows.expect_err("it is wrong");
        assert_eq!((error.to_string().as_str(), error.is_credentials()), (message, credentials));
        assert!(error.before_reading());
        assert_eq!(recorder.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_gives_what_came_before() {
    // More than the JSON reader looks at before it begins.
    let many: Vec<String> = (0..2000).map(|n| format!("cus_{n:060}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (rows, _recorder) = open(StripeList::Customers, vec![page(&many, true), error(401)]).await;

    let (read, ended) = ids(&mut rows.expect("it opens")).await;

    assert_eq!(read, numbered(&many));
    assert!(ended.as_deref().is_some_and(|end| end.ends_with("the list breaks off: said by the test")), "{ended:?}");
}

#[tokio::test]
async fn a_list_that_does_not_go_on_ends() {
    let (rows, recorder) = open(StripeList::Customers, vec![page(&["a"], true), page(&["a"], true)]).await;
    let ended = match rows {
        Ok(mut rows) => ids(&mut rows).await.1,
        // The JSON reader had met it before it began.
        Err(error) => Some(error.to_string()),
    };
    assert!(ended.as_deref().is_some_and(|end| end.contains("the list does not go on")), "{ended:?}");
    assert_eq!(recorder.requests().len(), 2);
}
