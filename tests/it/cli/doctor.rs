//! What the target is like, told before anything is written to it.

use stigg_import::sandbox::{EnvironmentType, Fault, FaultKind, Settings};

use super::clean;
use crate::program::{Api, Folder, Ran, assert_ran, catalog};

/// At twenty times the published rates: fast, and not so fast that this machine is what limits an import.
fn doctor(folder: &Folder, api: &Api, words: &str) -> Ran {
    folder.run(&format!("doctor {words} --target {} --rate-scale 20", api.url))
}

#[test]
fn a_target_that_is_fine_is_told_to_be() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = Folder::new();
    assert_ran!(doctor(&folder, &api, ""), @r#"
    exit 0
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key          none is needed for a server on this machine
    ok       environment  "sandbox" (DEVELOPMENT)
    ok       reading      customers, subscriptions and import tasks can be read
    ok       catalog      plans: 1 free, 4 custom, 0 paid; 3 features, 3 take usage, 0 are fed by events; 0 add-ons; 0 credit currencies
    ok       clock        this machine's clock agrees with the server's
    ok       speed        a read takes [MS] ms (median of 10): with [N] requests at once the limit of importCustomersBulk is used in full, 5000 a minute, at which a million customers take [DURATION]
    note     writing      whether the key may write is not seen by reading
                          to do: stigg-import doctor --probe tries it, in a non-production environment

    what the API's documents leave open:
      how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
      with which status does an error come, and how is its code spelled? status 200, code BadUserInput
      may the key read import tasks? yes
      more is answered by --probe, in a non-production environment

    an import can begin

    --- stderr
    "#);
    let told = doctor(&folder, &api, "--json").exits(0).json();
    assert_eq!((told["ok"].as_bool(), told["exit"].as_i64()), (Some(true), Some(0)), "{told:#}");
    let written = ["importCustomersBulk", "importSubscriptionsBulk", "reportUsageBulk", "archiveCustomer"];
    assert_eq!(written.map(|operation| api.requests(operation)), [0; 4], "it reads");
    assert!(!folder.path(".stigg-import").exists(), "and writes nothing here either");
}

#[test]
fn what_is_in_the_way_of_an_import_is_told_with_its_remedy() {
    let folder = Folder::new();
    assert_ran!(folder.run("doctor"), @r#"
    exit 7
    --- stdout
    https://api.stigg.io/graphql

    problem  key  there is none
                  to do: put the full access key of the environment (server-…) into STIGG_API_KEY

    a problem is in the way of an import

    --- stderr
    "#);
    assert_ran!(folder.run("doctor --target http://127.0.0.1:1/graphql"), @r#"
    exit 5
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key      none is needed for a server on this machine
    problem  contact  the API could not be reached: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
                      to do: check --target, the network and HTTPS_PROXY, then run the same command again

    a problem is in the way of an import

    --- stderr
    "#);
    let api = Api::new(Settings { keys: vec!["server-right".into()], ..Settings::default() });
    let mut wrong = folder.command(&format!("doctor --target {}", api.url));
    let ran = folder.finish(wrong.env("STIGG_API_KEY", "server-wrong-key-123"));
    assert!(!ran.to_string().contains("wrong-key-123"), "{ran}");
    assert_ran!(ran, @r#"
    exit 7
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key      a server key, from STIGG_API_KEY
    problem  contact  the API does not accept the key: Unauthenticated (trace [UUID])
                      to do: put the full access key of the environment (server-…) into STIGG_API_KEY

    a problem is in the way of an import

    --- stderr
    "#);
}

/// Given a target that is not production, when it is probed, then what the probe made is archived again and the answers are
/// there the next time, for this target only.
#[test]
fn answers_of_a_probe_are_remembered() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = clean();
    assert_ran!(doctor(&folder, &api, "--probe"), @r#"
    exit 0
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key          none is needed for a server on this machine
    ok       environment  "sandbox" (DEVELOPMENT)
    ok       reading      customers, subscriptions and import tasks can be read
    ok       catalog      plans: 1 free, 4 custom, 0 paid; 3 features, 3 take usage, 0 are fed by events; 0 add-ons; 0 credit currencies
    ok       clock        this machine's clock agrees with the server's
    ok       speed        a read takes [MS] ms (median of 10): with [N] requests at once the limit of importCustomersBulk is used in full, 5000 a minute, at which a million customers take [DURATION]
    ok       writing      customers can be written and archived

    what the API's documents leave open:
      how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
      with which status does an error come, and how is its code spelled? status 200, code BadUserInput
      may the key read import tasks? yes
    as it was probed, [TIME]:
      what does importCustomersBulk answer? nothing (null)
      does a refused customer batch name its bad rows? yes, with FailedToImportCustomer
      what becomes of the good rows of a refused customer batch? none is kept
      is the id that a subscription import answers its task's? yes
      what do the errors of an import task name? the subscription
      is an archived customer still listed? no
    not asked:
      status and headers of a 429: only requests beyond the rate limit would show them
      what becomes of the good rows of a refused usage batch: it takes a subscription that grants a metered feature
      what provisioning does with an id that it knows: it takes a subscription on a plan that is sold

    an import can begin

    --- stderr
    "#);
    let left = api.sandbox.snapshot().customers;
    assert!(left.keys().all(|id| id.starts_with("stigg-import-doctor-")), "{left:?}");
    let requests = api.requests("importCustomersBulk");
    let told = doctor(&folder, &api, "--json").exits(0).json();
    assert_eq!(api.requests("importCustomersBulk"), requests, "it is not asked again");
    assert!(told.to_string().contains("remembered"), "{told:#}");
}

/// Given a production environment, when it is probed, then nothing is written to it, and that is said; the word of somebody
/// does not change it.
#[test]
fn a_production_environment_is_not_probed() {
    let api = Api::new(Settings { environment_type: EnvironmentType::Production, ..Settings::default() });
    let folder = Folder::new();
    assert_ran!(doctor(&folder, &api, "--probe"), @r#"
    exit 5
    --- stdout
    http://127.0.0.1:[PORT]/graphql

    ok       key          none is needed for a server on this machine
    problem  probe        "sandbox" (PRODUCTION) is for production: nothing was written
                          to do: probe with the key of a non-production environment; without --probe nothing is written
    note     environment  "sandbox" (PRODUCTION)
                          to do: rehearse in a non-production environment first: an import can't be taken back
    ok       reading      customers, subscriptions and import tasks can be read
    ok       catalog      plans: 0 free, 0 custom, 0 paid; 0 features, 0 take usage, 0 are fed by events; 0 add-ons; 0 credit currencies
    note     catalog      no free or custom plan is published: no subscription can be imported
                          to do: publish it in Stigg before the import: what refers to it is refused
    note     catalog      no feature takes reported usage
                          to do: publish it in Stigg before the import: what refers to it is refused
    ok       clock        this machine's clock agrees with the server's
    ok       speed        a read takes [MS] ms (median of 10): with [N] requests at once the limit of importCustomersBulk is used in full, 5000 a minute, at which a million customers take [DURATION]
    note     writing      whether the key may write is not seen by reading
                          to do: stigg-import doctor --probe tries it, in a non-production environment

    what the API's documents leave open:
      how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
      with which status does an error come, and how is its code spelled? status 200, code BadUserInput
      may the key read import tasks? yes
      more is answered by --probe, in a non-production environment

    a problem is in the way of an import

    --- stderr
    "#);
    doctor(&folder, &api, "--probe --not-production");
    assert_eq!((api.requests("importCustomersBulk"), api.customers()), (0, 0));
}

/// Given a sandbox whose clock is an hour behind, when it is examined, then the clock is told.
#[test]
fn a_clock_that_is_off_is_told() {
    let started_at = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(1)).ok();
    let api = Api::new(Settings { catalog: Some(catalog()), started_at, ..Settings::default() });
    let ran = doctor(&Folder::new(), &api, "");
    assert!(ran.stdout.lines().any(|line| line.contains("clock") && !line.starts_with("ok")), "{ran}");
}

/// Given a key that may not read what the environment is, when it is probed, then nothing is written before somebody gives
/// their word.
#[test]
fn an_environment_that_cannot_be_read_is_probed_only_on_somebodys_word() {
    let unknowns = "environment-read=refused".parse().unwrap();
    let api = Api::new(Settings { catalog: Some(catalog()), unknowns, ..Settings::default() });
    let folder = Folder::new();
    let refused = doctor(&folder, &api, "--probe").exits(5);
    assert_eq!((api.requests("importCustomersBulk"), api.customers()), (0, 0));
    assert_ran!(told(&refused, "probe"), @r#"
    problem  probe        the key may not read whether the environment is for production: nothing was written
                          to do: look in Stigg, and say --probe --not-production if it is not
    "#);
    let probed = doctor(&folder, &api, "--probe --not-production").exits(0);
    assert_ran!(told(&probed, "writing"), @"ok       writing      customers can be written and archived");
    assert!(api.requests("archiveCustomer") > 0);
    assert_ran!(folder.run("doctor --not-production"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      --probe

    Usage: stigg-import doctor --probe --not-production [PIPELINE.toml]

    For more information, try '--help'.
    "#);
}

/// The lines of a diagnosis about one thing.
fn told(ran: &Ran, check: &str) -> String {
    let mut lines = Vec::new();
    let mut is_about = false;
    for line in ran.stdout.lines() {
        is_about = line.split_whitespace().nth(1) == Some(check) || (is_about && line.starts_with(' '));
        lines.extend(is_about.then(|| line.trim_end().to_owned()));
    }
    lines.join("\n")
}

/// Given an API that archives nothing, when it is probed, then what stays is named; the next probe, once it does, has no part
/// in it, since it may belong to one that goes on.
#[test]
fn what_a_probe_cannot_take_back_is_named() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = Folder::new();
    api.sandbox.inject(Fault::once(FaultKind::ServerErrorBefore).on("archiveCustomer"));
    let ran = doctor(&folder, &api, "--probe").exits(5);
    assert_ran!(told(&ran, "probe"), @r#"
    note     probe        could not be taken back: customer stigg-import-doctor-[AT]
                          to do: archive or cancel it in Stigg, if it is there; a probe after ten minutes archives its customers, too
    "#);
    assert_ran!(told(&ran, "writing"), @r#"
    problem  writing      the probe ended early: it is not known whether the request was applied: the API failed: UnexpectedError: Internal server error (trace [UUID])
                          to do: run the same command again; if it stays, show the message to the vendor's support
    "#);
    assert!(!ran.stdout.contains("is an archived customer still listed?"), "nobody knows: {ran}");
    assert_eq!(api.customers(), 1, "of a batch with a bad row none is kept");
    doctor(&folder, &api, "--probe").exits(0);
    assert_eq!(listed(&api), 1, "it may belong to a probe that goes on");
}

/// Customers that are not archived.
fn listed(api: &Api) -> usize {
    api.sandbox.snapshot().customers.values().filter(|customer| !customer.archived).count()
}

/// Given throw-away customers of a probe that was killed, when the target is probed again, then they are archived, and nobody
/// else is.
#[test]
fn what_a_killed_probe_left_is_archived_by_the_next() {
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    let folder = Folder::new();
    let long_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    let left = [format!("stigg-import-doctor-{long_ago:x}"), format!("stigg-import-doctor-{long_ago:x}-good")];
    let others = ["acme", "stigg-import-doctor-by-hand", "stigg-import-doctos"].map(str::to_owned);
    let rows: String = left.iter().chain(&others).map(|id| format!("{id}\n")).collect();
    folder
        .write("c.csv", format!("id\n{rows}"))
        .write("c.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n");
    folder.run_to(&api, "run --mapping c.toml --csv c.csv").exits(0);
    assert_eq!(listed(&api), 5);
    let ran = doctor(&folder, &api, "--probe").exits(0);
    assert_eq!(
        told(&ran, "probe"),
        "ok       probe        2 throw-away customers of an earlier probe that was ended half-way: archived"
    );
    let snapshot = api.sandbox.snapshot();
    for id in &others {
        assert!(!snapshot.customers[id].archived, "{id}");
    }
    assert_eq!(listed(&api), 3);
    assert_eq!(told(&doctor(&folder, &api, "--probe").exits(0), "probe"), "", "nothing is left");
}

/// Every choice of what the documents leave open that a probe can see is told as it is.
#[test]
fn every_choice_of_what_the_documents_leave_open_is_told() {
    let answers = |unknowns: &str| {
        let unknowns = unknowns.parse().unwrap();
        let api = Api::new(Settings { catalog: Some(catalog()), unknowns, ..Settings::default() });
        let ran = doctor(&Folder::new(), &api, "--probe").exits(0);
        let open = ran.stdout.split_once("leave open:\n").unwrap().1.split_once("not asked:").unwrap().0.to_owned();
        assert_eq!(listed(&api), 0, "{ran}");
        open.lines().map(str::trim).filter(|line| !line.starts_with("as it was")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(answers("customer-batch=good-kept,customer-error=anonymous,customer-answer=word"), @r#"
    how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
    with which status does an error come, and how is its code spelled? status 200, code BadUserInput
    may the key read import tasks? yes
    what does importCustomersBulk answer? the text "OK"
    does a refused customer batch name its bad rows? no; BadUserInput
    what becomes of the good rows of a refused customer batch? they are kept
    is the id that a subscription import answers its task's? yes
    what do the errors of an import task name? the subscription
    is an archived customer still listed? no
    "#);
    insta::assert_snapshot!(answers("task-read=refused,error-status=400,code-spelling=screaming,customer-answer=json"), @r#"
    how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
    with which status does an error come, and how is its code spelled? status 400, code BAD_USER_INPUT
    may the key read import tasks? no
    what does importCustomersBulk answer? the text "{\"newCustomers\":[\"ID\"]}"
    does a refused customer batch name its bad rows? yes, with FailedToImportCustomer
    what becomes of the good rows of a refused customer batch? none is kept
    is the id that a subscription import answers its task's? not seen: the key may not read tasks
    is an archived customer still listed? no
    "#);
    insta::assert_snapshot!(answers("task-id=unlisted,subscription-shape=task,schema-age=before-entitlements"), @r#"
    how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
    with which status does an error come, and how is its code spelled? status 200, code BadUserInput
    may the key read import tasks? yes
    what does importCustomersBulk answer? nothing (null)
    does a refused customer batch name its bad rows? yes, with FailedToImportCustomer
    what becomes of the good rows of a refused customer batch? none is kept
    is the id that a subscription import answers its task's? no: no task of that id is listed
    is an archived customer still listed? no
    "#);
    insta::assert_snapshot!(answers("task-error-id=opaque,concurrent-imports=refused,read-delay-ms=300"), @r#"
    how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
    with which status does an error come, and how is its code spelled? status 200, code BadUserInput
    may the key read import tasks? yes
    what does importCustomersBulk answer? nothing (null)
    does a refused customer batch name its bad rows? yes, with FailedToImportCustomer
    what becomes of the good rows of a refused customer batch? none is kept
    is the id that a subscription import answers its task's? yes
    what do the errors of an import task name? neither the subscription nor its customer
    is an archived customer still listed? no
    "#);
    insta::assert_snapshot!(answers("rate-limit-status=200,retry-header=none,bulk-entity-limit=counted,rate-limit-by=operation-name"), @r#"
    how long is the longest page of a list? less than 1000: asking for so many is refused with BadUserInput
    with which status does an error come, and how is its code spelled? status 200, code BadUserInput
    may the key read import tasks? yes
    what does importCustomersBulk answer? nothing (null)
    does a refused customer batch name its bad rows? yes, with FailedToImportCustomer
    what becomes of the good rows of a refused customer batch? none is kept
    is the id that a subscription import answers its task's? yes
    what do the errors of an import task name? the subscription
    is an archived customer still listed? no
    "#);
}

/// What a key may not do, and what looks wrong, each with what to do about it.
#[test]
fn what_a_key_may_not_do_is_told_with_its_remedy() {
    let with = |unknowns: &str| {
        Api::new(Settings { catalog: Some(catalog()), unknowns: unknowns.parse().unwrap(), ..Settings::default() })
    };
    let folder = Folder::new();
    let ran = doctor(&folder, &with("environment-read=refused,task-read=refused"), "").exits(0);
    insta::assert_snapshot!(format!("{}\n{}", told(&ran, "environment"), told(&ran, "reading")), @r#"
    note     environment  the key may not read it, so the ledger knows the target by its address alone
                          to do: use a ledger (--ledger) of its own for each environment
    note     reading      the key may not read import tasks
                          to do: nothing: imported subscriptions are read back until they are there; it takes up to two minutes longer to be sure of those that are not taken
    "#);

    // Lists that fail.
    let api = with("");
    api.sandbox.inject(Fault::once(FaultKind::ServerErrorBefore).on("subscriptions").times(3));
    let ran = doctor(&folder, &api, "").exits(5);
    assert_ran!(told(&ran, "reading"), @"
    problem  reading      subscriptions could not be read: it is not known whether the request was applied: the API failed: UnexpectedError: Internal server error (trace [UUID])
                          to do: run the same command again; if it stays, show the reason to the vendor's support
    ");

    // Keys by their looks.
    let api = Api::new(Settings { catalog: Some(catalog()), ..Settings::default() });
    for (key, exit) in [("client-abc", 7), ("abc", 0)] {
        let mut command = folder.command(&format!("doctor --target {} --rate-scale 20", api.url));
        let ran = folder.finish(command.env("STIGG_API_KEY", key)).exits(exit);
        let lines = format!("{}\n{}", told(&ran, "key"), told(&ran, "writing"));
        match key {
            "abc" => insta::assert_snapshot!(lines, @r#"
            note     key          from STIGG_API_KEY, and it begins neither with server- nor with client-
                                  to do: compare it with the one in Stigg; put the full access key of the environment (server-…) into STIGG_API_KEY
            note     writing      whether the key may write is not seen by reading
                                  to do: stigg-import doctor --probe tries it, in a non-production environment
            "#),
            _ => insta::assert_snapshot!(lines, @r#"
            problem  key          a publishable key, from STIGG_API_KEY: it can only read
                                  to do: put the full access key of the environment (server-…) into STIGG_API_KEY
            problem  writing      a publishable key can't write
                                  to do: put the full access key of the environment (server-…) into STIGG_API_KEY
            "#),
        }
    }

    // What was probed before.
    doctor(&folder, &api, "--probe").exits(0);
    assert_ran!(told(&doctor(&folder, &api, "").exits(0), "writing"), @"ok       writing      it worked when it was probed, [TIME]");
    folder.write(".stigg-import/doctor.json", "[]");
    assert_ran!(doctor(&folder, &api, ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: .stigg-import/doctor.json is not a file of answers that this version reads
    hint: remove the file, or name another ledger with --ledger
    "#);
}
