//! What the target is like, told before anything is written to it.

use stigg_import::sandbox::{EnvironmentType, Settings};

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
