//! What columns are called in German, French and Spanish, for each field, and what stands in them.
//!
//! Letters stand without their accents, as [`plain`](super::spelling::plain) writes them; an umlaut also as two letters.

use crate::entity::Schema;

/// Names of columns for a field, the likeliest first.
#[rustfmt::skip]
pub(super) fn of(schema: Schema, field: &str) -> &'static [&'static str] {
    match (schema, field) {
        (_, "email") => &[
            "mailadresse", "emailadresse", "courriel", "adresseemail", "adressemail", "correo", "correoelectronico", "emailkontakt",
        ],
        (_, "name") => &[
            "firma", "firmenname", "firmierung", "unternehmen", "kundenname", "mitgliedsname", "vollername", "societe",
            "raisonsociale", "entreprise", "nomclient", "nomcomplet", "nom", "empresa", "razonsocial", "nombrecompleto", "nombre",
        ],
        (_, "subscriptionId") => &["abo", "vertrag", "abonnement", "contrat", "contrato", "suscripcion"],
        (_, "planId") => &[
            "tarif", "tarifname", "abotyp", "abomodell", "vertragsart", "mitgliedschaft", "paket", "produkt", "produktname",
            "leistung", "formule", "forfait", "offre", "typeabonnement", "produit", "tarifa", "paquete", "producto", "modalidad",
        ],
        (_, "startDate") => &[
            "vertragsbeginn", "vertragsstart", "eintritt", "eintrittsdatum", "einzug", "einzugsdatum", "abobeginn", "abostart", "laufzeitbeginn", "startdatum", "beginn", "gultigab",
            "gueltigab", "mitgliedseit", "abgeschlossenam", "datededebut", "datedebut", "debut", "debutabonnement", "debutcontrat",
            "dateinscription", "datedinscription", "fechainicio", "fechadeinicio", "inicio", "fechaalta", "fechadealta",
        ],
        (_, "endDate" | "cancellationDate") => &[
            "vertragsende", "austritt", "austrittsdatum", "auszug", "auszugsdatum", "aboende", "laufzeitende", "enddatum", "ende", "gultigbis", "gueltigbis", "gekundigtzum",
            "gekuendigtzum", "kundigungzum", "kuendigungzum", "datedefin", "datefin", "fin", "finabonnement", "fincontrat",
            "dateresiliation", "datederesiliation", "fechafin", "fechadefin", "fechabaja", "fechadebaja",
        ],
        (_, "billingPeriod") => &[
            "zahlungsweise", "zahlweise", "zahlungsintervall", "abrechnung", "abrechnungszeitraum", "abrechnungsintervall",
            "turnus", "rechnungsturnus", "periodicite", "frequence", "cycle", "periodicidad", "frecuencia", "facturacion",
        ],
        (_, "unitQuantity") => &["anzahl", "menge", "lizenzen", "platze", "plaetze", "quantite", "licences", "cantidad"],
        (_, "featureId") => &["merkmal", "messgrosse", "zahlertyp", "fonctionnalite", "mesure", "metrica"],
        (_, "value") => &["wert", "verbrauch", "summe", "gesamt", "valeur", "consommation", "valor", "consumo"],
        (_, "updatedAt") => &["geandertam", "geaendertam", "letzteanderung", "modifiele", "actualizado"],
        (Schema::PaidSubscription, "priceUnitAmount") => &[
            "preis", "betrag", "monatspreis", "monatsbeitrag", "gebuhr", "gebuehr", "prix", "montant", "tarifmensuel", "precio",
            "importe", "cuota",
        ],
        _ => &[],
    }
}

/// The parts of a name, first and last.
pub(super) const FIRST_AND_LAST: [&[&str]; 2] =
    [&["vorname", "prenom", "nombre"], &["nachname", "familienname", "nom", "nomdefamille", "apellido", "apellidos"]];

/// What columns of ids begin with.
pub(super) const OWNERS: [(&str, &[&str]); 2] = [
    (
        "customerId",
        &[
            "kunde",
            "kunden",
            "debitor",
            "debitoren",
            "mitglied",
            "mitglieds",
            "mitglieder",
            "mieter",
            "nutzer",
            "patienten",
            "teilnehmer",
            "abonnent",
            "abonnenten",
            "adherent",
            "abonne",
            "locataire",
            "utilisateur",
            "membre",
            "compte",
            "cliente",
            "socio",
            "usuario",
            "inquilino",
            "abonado",
        ],
    ),
    (
        "subscriptionId",
        &["vertrag", "vertrags", "abo", "abonnement", "abonnements", "contrat", "contrato", "suscripcion", "poliza"],
    ),
];

/// What the name of a column of ids ends or begins with.
pub(super) const ID_WORDS: [&str; 8] =
    ["nummer", "nr", "kennung", "numero", "num", "identifiant", "referenz", "codigo"];

/// Who answers for a customer.
pub(super) const CONTACTS: [&str; 8] = [
    "ansprechpartner",
    "ansprechpartnerin",
    "kontaktperson",
    "kontakt",
    "interlocuteur",
    "responsable",
    "contacto",
    "personadecontacto",
];

/// Words of columns that are of people, places or amounts.
pub(super) const NO_IDS: [&str; 34] = [
    "nom",
    "prenom",
    "nombre",
    "apellido",
    "apellidos",
    "vorname",
    "nachname",
    "firma",
    "ort",
    "plz",
    "stadt",
    "strasse",
    "land",
    "ville",
    "rue",
    "adresse",
    "pays",
    "calle",
    "ciudad",
    "direccion",
    "telefon",
    "telefonnummer",
    "telephone",
    "tel",
    "handy",
    "betrag",
    "preis",
    "prix",
    "montant",
    "precio",
    "importe",
    "bemerkung",
    "geburtsdatum",
    "naissance",
];
