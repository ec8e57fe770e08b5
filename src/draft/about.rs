//! What a column's name says by one of its words, where it is no name that is known: a start, an end, a plan, a person, or that
//! it is none of them.

use super::abroad;
use super::names::is_owner;
use super::sample::ColumnSample;
use super::spelling::{plain, words};

/// Whether a column's name says that its values are of people, places or amounts, which tell records apart only by chance.
pub(super) fn is_no_id(column: &ColumnSample) -> bool {
    const WORDS: [&str; 18] = [
        "phone", "mobile", "fax", "zip", "postal", "postcode", "city", "country", "state", "street", "address", "name",
        "title", "amount", "price", "fee", "birth", "note",
    ];
    let name = plain(&column.name);
    WORDS.iter().any(|word| name.contains(word)) || has(column, &abroad::NO_IDS) || has(column, &["dob"])
}

/// Whether one of the words of a column's name is one of these.
fn has(column: &ColumnSample, of: &[&str]) -> bool {
    words(&column.name).iter().any(|word| of.contains(&word.as_str()))
}

/// Whether a column's name says that its values are words about a record that are no plan.
pub(super) fn is_no_plan(column: &ColumnSample) -> bool {
    const WORDS: [&str; 15] = [
        "status", "state", "country", "city", "currency", "gender", "language", "locale", "method", "source",
        "channel", "region", "branch", "reason", "by",
    ];
    let name = plain(&column.name);
    WORDS.iter().any(|word| name.ends_with(word)) || is_no_id(column)
}

/// Whether a column's name says that its values are states of a record: `Status`, `Vertragsstatus`.
pub(super) fn is_state(column: &ColumnSample) -> bool {
    let words = words(&column.name);
    words.last().is_some_and(|word| {
        word.ends_with("status") || ["state", "zustand", "estado", "etat", "statut"].contains(&word.as_str())
    })
}

/// Whether a column's name says that it is of a time that is no beginning of anything.
pub(super) fn is_no_start(column: &ColumnSample) -> bool {
    const WORDS: [&str; 39] = [
        "birth",
        "birthday",
        "birthdate",
        "born",
        "dob",
        "geburt",
        "geburtstag",
        "geburtsdatum",
        "geboren",
        "naissance",
        "nacimiento",
        "updated",
        "modified",
        "changed",
        "geandert",
        "geaendert",
        "seen",
        "login",
        "visit",
        "next",
        "last",
        "letzte",
        "letzter",
        "dernier",
        "derniere",
        "renewal",
        "renews",
        "due",
        "recall",
        "review",
        "invoice",
        "invoiced",
        "billing",
        "payment",
        "paid",
        "trial",
        "exported",
        "deleted",
        "churned",
    ];
    has(column, &WORDS)
}

/// Whether a column's name says in one of its words that it is a start, an end, or a plan (`Runs from`, `valid_until`, `Care
/// Plan`), or in all of them who a customer is (`Patient Name`, `Contact Person`).
pub(super) fn is_about(column: &ColumnSample, field: &str) -> bool {
    const STARTS: &[&str] = &[
        "start",
        "starts",
        "started",
        "begin",
        "begins",
        "from",
        "since",
        "effective",
        "commences",
        "enrolled",
        "enrolment",
        "enrollment",
        "registered",
        "onboarded",
        "beginn",
        "ab",
        "seit",
        "debut",
        "depuis",
        "inicio",
        "desde",
        "alta",
    ];
    const ENDS: &[&str] = &[
        "end",
        "ends",
        "ended",
        "until",
        "till",
        "to",
        "expiry",
        "expires",
        "expired",
        "expiration",
        "cancelled",
        "canceled",
        "left",
        "ende",
        "bis",
        "gekundigt",
        "gekuendigt",
        "fin",
        "hasta",
        "baja",
    ];
    const PLANS: &[&str] = &[
        "plan",
        "tariff",
        "tier",
        "package",
        "membership",
        "edition",
        "deal",
        "bundle",
        "course",
        "programme",
        "tarif",
        "abo",
        "paket",
        "formule",
        "forfait",
        "tarifa",
        "paquete",
    ];
    // Of a plan.
    const OF_PLANS: &[&str] = &[
        "date", "start", "begin", "end", "since", "from", "until", "price", "fee", "amount", "value", "size", "status",
        "state", "stage", "id", "no", "nr", "nummer", "numero", "preis", "prix", "precio",
    ];
    // Of a part of it, or of another thing.
    const OTHERS: &[&str] = &["trial", "period", "current", "next", "last", "invoice", "billing", "payment", "notice"];
    let wanted = match field {
        "startDate" => STARTS,
        "endDate" | "cancellationDate" => ENDS,
        "planId" => PLANS,
        "name" => return is_about_a_person(column),
        _ => return false,
    };
    has(column, wanted) && !has(column, OTHERS) && (field != "planId" || !has(column, OF_PLANS))
}

fn is_about_a_person(column: &ColumnSample) -> bool {
    const CONTACTS: [&str; 9] = [
        "contact",
        "contactname",
        "contactperson",
        "person",
        "maincontact",
        "primarycontact",
        "ownername",
        "accountholder",
        "holder",
    ];
    let name = plain(&column.name);
    let is_owners =
        ["name", "nom"].iter().any(|end| name.strip_suffix(end).is_some_and(|owner| is_owner(owner, "customerId")));
    is_owners
        || is_owner(&name, "customerId")
        || CONTACTS.contains(&name.as_str())
        || abroad::CONTACTS.contains(&name.as_str())
}
