use std::time::Duration;

use super::*;
use crate::sink::conformance::{self, batch, usage};
use crate::sink::{Budgets, Disposition, Provisioner as _};

fn sink_and_fixture() -> (MemorySink, conformance::Fixture) {
    let fixture = conformance::Fixture {
        prefix: "c".to_owned(),
        plan_id: "plan-free".to_owned(),
        feature_id: "feature-calls".to_owned(),
    };
    let sink = MemorySink::default();
    let (nobody, _) = usage("c-nobody", "feature-calls", 1.0);
    sink.refuse(Entity::Usage, &nobody, ErrorCode::CustomerNotFound);
    let plan = CatalogPlan {
        plan_id: fixture.plan_id.clone(),
        status: "PUBLISHED".to_owned(),
        pricing_type: Some("FREE".to_owned()),
        product_id: None,
        multiple_subscriptions: false,
    };
    let feature = CatalogFeature {
        feature_id: fixture.feature_id.clone(),
        feature_type: "NUMBER".to_owned(),
        meter_type: Some("Fluctuating".to_owned()),
        status: "ACTIVE".to_owned(),
        has_meter: false,
    };
    sink.set_catalog(vec![plan], vec![feature]);
    (sink, fixture)
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_does_what_every_sink_does() {
    for tasks in [
        Tasks::None,
        Tasks::Listed { looks: 0 },
        Tasks::Listed { looks: 3 },
        Tasks::NotListed { looks: 3 },
        Tasks::Unreadable { looks: 3 },
    ] {
        let (sink, fixture) = sink_and_fixture();
        sink.set_tasks(tasks);
        conformance::check(&sink, &Budgets::unlimited(), &fixture).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_does_what_every_provisioner_does() {
    for looks in [0, 3] {
        let sink = MemorySink::default();
        sink.set_sync_looks(looks);
        let fixture = conformance::ProvisionFixture {
            prefix: "c".to_owned(),
            plan_id: "plan-paid".to_owned(),
            plan_of_many_id: "plan-paid-many".to_owned(),
            payer_billing_id: "cus_1".to_owned(),
        };
        conformance::check_provisioning(&sink, &Budgets::unlimited(), &fixture).await;
        assert!(sink.provisioned().values().all(|times| *times == 1), "{:?}", sink.provisioned());
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_provisioning_leaves_what_it_says() {
    let budgets = Budgets::unlimited();
    let request = conformance::provision_request("s", "ada", "plan-paid", None);
    for (fault, at_once, in_the_end, disposition) in [
        (Fault::NotSent, 0, 0, Disposition::Resend { after: None }),
        (Fault::Throttled(None), 0, 0, Disposition::Resend { after: None }),
        (Fault::LoseRequest, 0, 0, Disposition::ReadBack { after: None }),
        (Fault::LoseAnswer, 1, 1, Disposition::ReadBack { after: None }),
        (Fault::ApplyLate(Duration::from_secs(90)), 0, 1, Disposition::ReadBack { after: None }),
        (Fault::Refuse(ErrorCode::StripeError), 0, 0, Disposition::Split),
        (Fault::Refuse(ErrorCode::UnexpectedError), 0, 0, Disposition::ReadBack { after: None }),
    ] {
        let sink = MemorySink::default();
        let (key, mut ada) = conformance::customer("ada", "Ada");
        ada["billingId"] = "cus_ada".into();
        let permit = budgets.acquire(Operation::ImportCustomers).await;
        sink.submit(&batch(Entity::Customer, &[(key, ada)]), permit).await.expect("a customer");
        sink.inject(fault.clone());
        let times = || sink.provisioned().get("s").copied().unwrap_or(0);

        let error = sink.provision(&request, budgets.acquire_provision("ada", None).await).await.expect_err("a fault");

        assert_eq!(error.disposition(), disposition, "{fault:?}");
        assert_eq!(times(), at_once, "{fault:?}");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(times(), in_the_end, "{fault:?}");
        sink.provision(&request, budgets.acquire_provision("ada", None).await).await.expect("provisioned");
        assert_eq!(times(), in_the_end + 1, "an id that is known is provisioned again, and counted");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_leaves_what_it_says() {
    let budgets = Budgets::unlimited();
    let two = batch(Entity::Usage, &[usage("a", "f", 1.0), usage("b", "f", 2.0)]);
    for (fault, applied, disposition) in [
        (Fault::NotSent, 0, Disposition::Resend { after: None }),
        (Fault::Throttled(None), 0, Disposition::Resend { after: None }),
        (Fault::LoseRequest, 0, Disposition::ReadBack { after: None }),
        (Fault::LoseAnswer, 2, Disposition::ReadBack { after: None }),
        (Fault::Refuse(ErrorCode::BadUserInput), 0, Disposition::Split),
        (Fault::ApplyHalf(ErrorCode::UnexpectedError), 1, Disposition::ReadBack { after: None }),
    ] {
        let sink = MemorySink::default();
        sink.inject(fault.clone());
        let permit = budgets.acquire(Operation::ReportUsage).await;
        let error = sink.submit(&two, permit).await.expect_err("a fault");
        assert_eq!(error.disposition(), disposition, "{fault:?}");
        assert_eq!(sink.applied().len(), applied, "{fault:?}");
    }
    let sink = MemorySink::default();
    sink.inject(Fault::Hold);
    let permit = budgets.acquire(Operation::ReportUsage).await;
    let held = tokio::time::timeout(Duration::from_secs(99), sink.submit(&two, permit)).await;
    assert!(held.is_err());
    assert_eq!(sink.applied().len(), 2);
}
