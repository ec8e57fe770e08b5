//! Settings as written on a command line.

use crate::sandbox::{FaultKind, Faults, LimiterKind, Settings, Unknowns, UsageBatch};

#[test]
fn every_switch_is_set_by_its_name() {
    let mut unknowns = Unknowns::default();

    unknowns.set("usage-batch=good-kept").unwrap();
    unknowns.set(" read-delay-ms = 250 ").unwrap();

    assert_eq!(unknowns.usage_batch, UsageBatch::GoodKept);
    assert_eq!(unknowns.read_delay.as_millis(), 250);
    assert_eq!("usage-batch=good-kept, read-delay-ms=250".parse(), Ok(unknowns));
}

#[test]
fn every_listed_name_is_understood() {
    for name in Unknowns::NAMES {
        let error = Unknowns::default().set(&format!("{name}=?")).unwrap_err().to_string();
        assert!(!error.contains("no setting"), "{name}: {error}");
    }
    for kind in FaultKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    for name in FaultKind::NAMES {
        let error = Faults::default().set(&format!("{name}=?")).unwrap_err().to_string();
        assert!(!error.contains("no setting"), "{name}: {error}");
    }
}

#[test]
fn mistakes_are_told_with_what_there_is() {
    let error = |setting: &str| Unknowns::default().set(setting).unwrap_err().to_string();
    assert_eq!(error("task-read"), "\"task-read\" is not of the form NAME=CHOICE");
    assert_eq!(error("task-read=maybe"), "\"maybe\" is not a choice here; the choices are: readable, refused");
    assert!(error("task=refused").contains("customer-batch, customer-error"));
    assert!(error("read-delay-ms=-1").contains("whole number of milliseconds"));

    let error = |setting: &str| Faults::default().set(setting).unwrap_err().to_string();
    assert!(error("lost-answer=1.5").contains("a probability from 0 to 1"));
    assert!(error("lost-answer=NaN").contains("a probability from 0 to 1"));
    assert!(error("lost=0.5").contains("rate-limited, server-error-before"));
}

#[test]
fn faults_and_limiters_are_read() {
    let faults: Faults = "lost-answer=0.1,slow=0.5,slow-ms=20,unauthenticated-after=7".parse().unwrap();

    assert_eq!(faults.probability(FaultKind::LostAnswer), 0.1);
    assert_eq!((faults.slow_delay.as_millis(), faults.unauthenticated_after), (20, Some(7)));
    assert_eq!("token-bucket:5".parse(), Ok(LimiterKind::TokenBucket { capacity: 5 }));
    assert_eq!("sliding-log".parse(), Ok(LimiterKind::SlidingLog));
    assert!("token-bucket:0".parse::<LimiterKind>().is_err());
}

#[test]
fn settings_do_not_print_keys() {
    let settings = Settings { keys: vec![String::from("server-secret")], ..Settings::default() };

    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn the_page_names_every_switch_fault_and_operation() {
    let page = include_str!("../../../docs/sandbox.md");
    let operations = crate::sandbox::limits::OPERATIONS.iter().map(|operation| operation.root_field);

    for name in Unknowns::NAMES.iter().chain(FaultKind::NAMES).copied().chain(operations) {
        assert!(page.contains(&format!("`{name}")), "{name}");
    }
}
