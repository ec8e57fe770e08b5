//! What is thought of what reads said of a target, and what to do about it.

use std::fmt::Write as _;
use std::time::Duration;

use super::findings::{FULL_KEY, Finding, named};
use crate::cli::exit::Exit;
use crate::cli::report::{counted, duration, grouped};
use crate::doctor::{Examination, Seen};
use crate::entity::{Entity, Schema};
use crate::pipeline::Catalog;
use crate::sink::{Budgets, ConcurrencyBounds, Operation};

/// Everything that was read.
pub(super) fn of(examination: &Examination, steps: &[Schema], budgets: &Budgets) -> Vec<Finding> {
    let mut findings = vec![environment(examination), reading(examination)];
    findings.extend(catalog(&examination.catalog, steps));
    findings.push(clock(examination));
    findings.extend(examination.latency.map(|latency| speed(latency, examination.reads, budgets)));
    findings
}

fn environment(examination: &Examination) -> Finding {
    match (&examination.environment_id, &examination.environment) {
        (_, Some(environment)) if environment.kind == "PRODUCTION" => Finding::note(
            "environment",
            named(environment),
            "rehearse in a non-production environment first: an import can't be taken back",
        ),
        (_, Some(environment)) => Finding::ok("environment", named(environment)),
        (Some(id), None) => Finding::note(
            "environment",
            format!("{id}; the key may not read its name and type"),
            "look in Stigg which environment the key belongs to",
        ),
        (None, None) => Finding::note(
            "environment",
            "the key may not read it, so the ledger knows the target by its address alone",
            "use a ledger (--ledger) of its own for each environment",
        ),
    }
}

fn reading(examination: &Examination) -> Finding {
    let lists = [
        ("customers", &examination.customers),
        ("subscriptions", &examination.subscriptions),
        ("import tasks", &examination.tasks),
    ];
    let which = |of: fn(&Seen<()>) -> bool| -> Vec<&str> {
        lists.iter().filter(|(_, seen)| of(seen)).map(|(name, _)| *name).collect()
    };
    for (name, seen) in lists {
        if let Seen::Failed(reason) = seen {
            return Finding::problem(
                Exit::Config,
                "reading",
                format!("{name} could not be read: {reason}"),
                "run the same command again; if it stays, show the reason to the vendor's support",
            );
        }
    }
    let forbidden = which(|seen| *seen == Seen::Forbidden);
    match forbidden[..] {
        [] => Finding::ok("reading", "customers, subscriptions and import tasks can be read"),
        ["import tasks"] => Finding::note(
            "reading",
            "the key may not read import tasks",
            "nothing: imported subscriptions are read back until they are there; it takes up to two minutes longer to be sure \
             of those that are not taken",
        ),
        _ => Finding::problem(
            Exit::Credentials,
            "reading",
            format!("the key may not read {}", forbidden.join(", ")),
            format!("what has no answer is settled by reading it back: {FULL_KEY}"),
        ),
    }
}

fn catalog(catalog: &Seen<Catalog>, steps: &[Schema]) -> Vec<Finding> {
    let catalog = match catalog {
        Seen::Is(catalog) => catalog,
        Seen::Forbidden => return vec![unread_catalog("the key may not read it", FULL_KEY)],
        Seen::Failed(reason) => {
            return vec![unread_catalog(&format!("it could not be read: {reason}"), "run the same command again")];
        }
    };
    let needs = |wanted: Schema| steps.contains(&wanted);
    let mut says = Vec::new();
    let mut forbidden = Vec::new();
    let mut findings = Vec::new();
    match &catalog.plans {
        None => forbidden.push("plans"),
        Some(plans) => {
            let published = plans.values().filter(|plan| plan.status == "PUBLISHED");
            let (mut free, mut custom, mut paid) = (0, 0, 0);
            for plan in published {
                match plan.pricing_type.as_deref() {
                    Some("FREE") => free += 1,
                    Some("CUSTOM") => custom += 1,
                    Some("PAID") => paid += 1,
                    Some(_) | None => {}
                }
            }
            says.push(format!("plans: {free} free, {custom} custom, {paid} paid"));
            findings.extend(missing(
                free + custom == 0,
                "no free or custom plan is published: no subscription can be imported",
                needs(Schema::Import(Entity::Subscription)),
            ));
            findings.extend(missing(
                paid == 0 && needs(Schema::PaidSubscription),
                "no paid plan is published: no subscription can be moved",
                true,
            ));
        }
    }
    match &catalog.features {
        None => forbidden.push("features"),
        Some(features) => {
            let is_metered = |meter: Option<&str>| matches!(meter, Some("Fluctuating" | "Incremental"));
            let metered = features.values().filter(|one| is_metered(one.meter_type.as_deref()));
            let (by_events, reported): (Vec<_>, Vec<_>) = metered.partition(|feature| feature.has_meter);
            let mut text = counted(features.len() as u64, "feature");
            let _ = write!(text, ", {} take usage, {} are fed by events", reported.len(), by_events.len());
            says.push(text);
            findings.extend(missing(
                reported.is_empty(),
                "no feature takes reported usage",
                needs(Schema::Import(Entity::Usage)),
            ));
        }
    }
    match &catalog.addons {
        None => forbidden.push("add-ons"),
        Some(addons) => says.push(counted(addons.len() as u64, "add-on")),
    }
    match &catalog.currencies {
        None => forbidden.push("credit currencies"),
        Some(all) if all.len() == 1 => says.push("1 credit currency".to_owned()),
        Some(all) => says.push(format!("{} credit currencies", grouped(all.len() as u64))),
    }
    if !forbidden.is_empty() {
        findings.push(unread_catalog(&format!("the key may not read {}", forbidden.join(", ")), FULL_KEY));
    }
    if !says.is_empty() {
        findings.insert(0, Finding::ok("catalog", says.join("; ")));
    }
    findings
}

fn unread_catalog(reason: &str, remedy: &str) -> Finding {
    Finding::note("catalog", reason, format!("without it `plan` can't tell what the API would refuse; {remedy}"))
}

/// What is not for sale: in the way of a pipeline that needs it.
fn missing(is_missing: bool, says: &str, is_needed: bool) -> Option<Finding> {
    let remedy = "publish it in Stigg before the import: what refers to it is refused";
    is_missing.then(|| match is_needed {
        true => Finding::problem(Exit::Config, "catalog", says, remedy),
        false => Finding::note("catalog", says, remedy),
    })
}

/// Off by more than this, a clock is worth a note.
const CLOCK_NOTE_S: f64 = 30.0;
/// Off by more than this, it is wrong.
const CLOCK_WRONG_S: f64 = 300.0;

fn clock(examination: &Examination) -> Finding {
    let Some(off) = examination.clock else {
        return Finding::note(
            "clock",
            "the server says no time to compare this machine's with",
            "see that this machine's clock is set from the network (timedatectl)",
        );
    };
    let where_to = if off.seconds > 0.0 { "ahead of" } else { "behind" };
    let says = format!("this machine's clock is {} {where_to} the server's", duration(off.seconds.abs()));
    let remedy = "set it from the network (timedatectl set-ntp true): the time of a sync, of `now` in a mapping, and until \
                  when an event may be sent again come from it";
    if off.seconds.abs() <= CLOCK_NOTE_S {
        Finding::ok("clock", "this machine's clock agrees with the server's")
    } else if off.seconds.abs() <= CLOCK_WRONG_S {
        Finding::note("clock", says, remedy)
    } else {
        Finding::problem(Exit::Config, "clock", says, remedy)
    }
}

/// What a latency means at the rate limit.
fn speed(latency: Duration, reads: usize, budgets: &Budgets) -> Finding {
    const MILLION: f64 = 1e6;
    const RECORDS: f64 = 1000.0;
    let operation = Operation::ImportCustomers;
    let seen = format!("a read takes {} ms (median of {reads})", latency.as_millis());
    let Some(per_minute) = budgets.per_minute(operation) else {
        return Finding::ok("speed", format!("{seen}; {operation} has no limit"));
    };
    // A cast of a float keeps within the integer's bounds.
    let at_once = ((per_minute / 60.0 * latency.as_secs_f64()).ceil() as usize).max(1);
    let most = ConcurrencyBounds::for_rate(Some(per_minute)).max;
    let minutes = MILLION / RECORDS / per_minute;
    if at_once <= most {
        return Finding::ok(
            "speed",
            format!(
                "{seen}: with {} at once the limit of {operation} is used in full, {per_minute:.0} a minute, at which a million \
                 customers take {}",
                counted(at_once as u64, "request"),
                duration(minutes * 60.0),
            ),
        );
    }
    let slowed = MILLION / RECORDS / most as f64 * latency.as_secs_f64();
    Finding::note(
        "speed",
        format!(
            "{seen}: at most {most} requests are under way at once, so that a million customers take {} instead of the {} \
             that the limit allows",
            duration(slowed),
            duration(minutes * 60.0),
        ),
        "run it nearer to the API, or at another time",
    )
}

#[cfg(test)]
mod tests {
    use super::super::findings::State;
    use super::*;
    use crate::doctor::ClockOff;
    use crate::sink::{BudgetSettings, CatalogCurrency, CatalogPlan, Rate};

    fn examination() -> Examination {
        Examination {
            target: "https://api.stigg.io/graphql e".to_owned(),
            environment_id: Some("e".to_owned()),
            environment: None,
            catalog: Seen::Is(Catalog::default()),
            customers: Seen::Is(()),
            subscriptions: Seen::Is(()),
            tasks: Seen::Is(()),
            clock: None,
            latency: None,
            reads: 0,
            answers: Vec::new(),
        }
    }

    #[test]
    fn a_clock_is_fine_worth_a_note_or_wrong() {
        let state = |seconds| clock(&Examination { clock: Some(ClockOff { seconds }), ..examination() }).state;
        assert_eq!(state(0.0), State::Ok);
        assert_eq!(state(-29.0), State::Ok);
        assert_eq!(state(31.0), State::Note);
        assert_eq!(state(-301.0), State::Problem(Exit::Config));
        assert_eq!(clock(&examination()).state, State::Note, "not known");
    }

    #[test]
    fn what_is_worth_knowing_is_told_with_what_to_do() {
        let off = |seconds| clock(&Examination { clock: Some(ClockOff { seconds }), ..examination() });
        let plans = |plans| Catalog { plans, ..Catalog::default() };
        let budgets = Budgets::new(&BudgetSettings::default());
        let mut findings = vec![
            environment(&examination()),
            environment(&Examination { environment_id: None, ..examination() }),
            clock(&examination()),
            off(1.0),
            off(-31.0),
            off(301.0),
            speed(Duration::from_secs(20), 9, &budgets),
        ];
        findings.extend(catalog(&Seen::Is(plans(Some(Default::default()))), &[Schema::PaidSubscription]));
        let told: Vec<String> = findings
            .into_iter()
            .map(|Finding { check, says, remedy, .. }| match remedy {
                Some(remedy) => format!("{check}: {says}\n  to do: {remedy}"),
                None => format!("{check}: {says}"),
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        environment: e; the key may not read its name and type
          to do: look in Stigg which environment the key belongs to
        environment: the key may not read it, so the ledger knows the target by its address alone
          to do: use a ledger (--ledger) of its own for each environment
        clock: the server says no time to compare this machine's with
          to do: see that this machine's clock is set from the network (timedatectl)
        clock: this machine's clock agrees with the server's
        clock: this machine's clock is 31 s behind the server's
          to do: set it from the network (timedatectl set-ntp true): the time of a sync, of `now` in a mapping, and until when an event may be sent again come from it
        clock: this machine's clock is 5 min 1 s ahead of the server's
          to do: set it from the network (timedatectl set-ntp true): the time of a sync, of `now` in a mapping, and until when an event may be sent again come from it
        speed: a read takes 20000 ms (median of 9): at most 64 requests are under way at once, so that a million customers take 5 min 13 s instead of the 4 min 0 s that the limit allows
          to do: run it nearer to the API, or at another time
        catalog: plans: 0 free, 0 custom, 0 paid
        catalog: no free or custom plan is published: no subscription can be imported
          to do: publish it in Stigg before the import: what refers to it is refused
        catalog: no paid plan is published: no subscription can be moved
          to do: publish it in Stigg before the import: what refers to it is refused
        catalog: the key may not read features, add-ons, credit currencies
          to do: without it `plan` can't tell what the API would refuse; put the full access key of the environment (server-…) into STIGG_API_KEY
        ");
    }

    #[test]
    fn one_currency_is_singular_and_a_rate_without_a_limit_is_told_to_have_none() {
        let currencies = |ids: &[&str]| {
            let currency =
                |id: &&str| ((*id).to_owned(), CatalogCurrency { currency_id: (*id).to_owned(), archived: false });
            let currencies = Some(ids.iter().map(currency).collect());
            catalog(&Seen::Is(Catalog { currencies, ..Catalog::default() }), &[])[0].says.clone()
        };
        let told = [currencies(&[]), currencies(&["credits"]), currencies(&["credits", "tokens"])];
        assert_eq!(told, ["0 credit currencies", "1 credit currency", "2 credit currencies"]);
        let unlimited = Budgets::new(&BudgetSettings::default().rate(Operation::ImportCustomers, Rate::Unlimited));
        let Finding { check, state, says, remedy } = speed(Duration::from_millis(120), 9, &unlimited);
        assert_eq!((check, state, remedy), ("speed", State::Ok, None));
        assert_eq!(says, "a read takes 120 ms (median of 9); importCustomersBulk has no limit");
    }

    #[test]
    fn the_limit_sets_the_pace_until_an_answer_takes_too_long() {
        let budgets = Budgets::new(&BudgetSettings::default());
        let near = speed(Duration::from_millis(120), 9, &budgets);
        assert_eq!(near.state, State::Ok);
        assert!(near.says.contains("1 request at once"), "{near:?}");
        let far = speed(Duration::from_secs(20), 9, &budgets);
        assert_eq!(far.state, State::Note);
        assert!(far.says.contains("at most 64 requests"), "{far:?}");
    }

    #[test]
    fn a_catalog_without_plans_is_in_the_way_of_who_needs_them() {
        let state = |steps: &[Schema]| {
            let empty = Catalog { plans: Some(Default::default()), ..Catalog::default() };
            catalog(&Seen::Is(empty), steps).into_iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        // The last is of the lists that could not be read.
        assert_eq!(state(&[Schema::Import(Entity::Customer)]), [State::Ok, State::Note, State::Note]);
        assert_eq!(state(&[Schema::Import(Entity::Subscription)])[1], State::Problem(Exit::Config));
        assert_eq!(state(&[Schema::PaidSubscription])[2], State::Problem(Exit::Config));
    }

    #[test]
    fn drafts_are_not_for_sale() {
        let plan = |status: &str| CatalogPlan {
            plan_id: "p".to_owned(),
            status: status.to_owned(),
            pricing_type: Some("FREE".to_owned()),
            product_id: None,
            multiple_subscriptions: false,
        };
        let says = |status| {
            let plans = Some([("p".to_owned(), plan(status))].into());
            catalog(&Seen::Is(Catalog { plans, ..Catalog::default() }), &[])[0].says.clone()
        };
        assert_eq!(says("PUBLISHED"), "plans: 1 free, 0 custom, 0 paid");
        assert_eq!(says("DRAFT"), "plans: 0 free, 0 custom, 0 paid");
    }

    #[test]
    fn rights_that_settle_what_has_no_answer_are_needed() {
        let state = |examination: Examination| reading(&examination).state;
        assert_eq!(state(examination()), State::Ok);
        assert_eq!(state(Examination { tasks: Seen::Forbidden, ..examination() }), State::Note);
        let customers = Examination { customers: Seen::Forbidden, ..examination() };
        assert_eq!(state(customers), State::Problem(Exit::Credentials));
        let said = |examination: Examination| {
            let catalog = catalog(&examination.catalog, &[]).remove(0);
            [reading(&examination), catalog]
                .map(|finding| {
                    format!("{}: {}\n  to do: {}", finding.check, finding.says, finding.remedy.unwrap_or_default())
                })
                .join("\n")
        };
        insta::assert_snapshot!(said(Examination {
            customers: Seen::Forbidden,
            subscriptions: Seen::Forbidden,
            catalog: Seen::Forbidden,
            ..examination()
        }), @"
        reading: the key may not read customers, subscriptions
          to do: what has no answer is settled by reading it back: put the full access key of the environment (server-…) into STIGG_API_KEY
        catalog: the key may not read it
          to do: without it `plan` can't tell what the API would refuse; put the full access key of the environment (server-…) into STIGG_API_KEY
        ");
        insta::assert_snapshot!(said(Examination {
            customers: Seen::Failed("the API's server failed: 500".to_owned()),
            catalog: Seen::Failed("the API's server failed: 500".to_owned()),
            ..examination()
        }), @"
        reading: customers could not be read: the API's server failed: 500
          to do: run the same command again; if it stays, show the reason to the vendor's support
        catalog: it could not be read: the API's server failed: 500
          to do: without it `plan` can't tell what the API would refuse; run the same command again
        ");
        let failed = Examination { subscriptions: Seen::Failed("x".to_owned()), ..examination() };
        assert_eq!(state(failed), State::Problem(Exit::Config));
    }
}
