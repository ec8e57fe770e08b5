//! Customers: bulk upsert with the `updatedAt` skip rule (contract 3.1, 5).

use async_graphql::MaybeUndefined;

use super::content::CustomerContent;
use super::{Counts, Store, Written};
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::{CustomerBatch, CustomerError};
use crate::sandbox::wire::inputs::ImportCustomerInput;

impl Store {
    /// Archives a customer: reads don't see it any more, and nothing is taken for it.
    pub fn archive_customer(&mut self, id: &str, now_ms: i64) -> Result<(), Refusal> {
        let Some(row) = self.customer(id) else {
            return Err(Refusal::new(Code::CustomerNotFound, format!("Customer {id} not found")));
        };
        let content = CustomerContent { archived: true, ..row.content().clone() };
        self.customers.write(id, content, now_ms, 0);
        Ok(())
    }

    /// Imports a batch. Good rows may be written although the answer is an error, see
    /// [`crate::sandbox::Unknowns::customer_batch`].
    pub fn import_customers(
        &mut self,
        rows: Vec<ImportCustomerInput>,
        now_ms: i64,
        counts: &mut Counts,
    ) -> Result<Vec<String>, Refusal> {
        rules::row_count(rows.len(), rules::CUSTOMERS_MAX, "customers")?;
        let ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>()?;
        rules::distinct("customerId", ids.iter().map(String::as_str))?;
        let mut failed = (Vec::new(), Vec::new());
        let mut first_refusal = None;
        let mut good = Vec::with_capacity(rows.len());
        for (id, row) in ids.into_iter().zip(rows) {
            let billing_id = row.billing_id.value().cloned();
            match checked(&id, row).and_then(|row| self.check_not_archived(&id).map(|()| row)) {
                Ok(row) => good.push((id, row)),
                Err(refusal) => {
                    counts.failed += 1;
                    failed.0.push(id);
                    failed.1.extend(billing_id);
                    first_refusal.get_or_insert(refusal);
                }
            }
        }
        let keep = first_refusal.is_none() || self.unknowns.customer_batch == CustomerBatch::GoodKept;
        let mut created = Vec::new();
        for (id, row) in good.into_iter().filter(|_| keep) {
            let stored = self.customers.get(&id);
            let newer = row.updated_at.zip(stored).is_some_and(|(at, stored)| stored.updated_ms > at.0);
            if newer {
                counts.skipped += 1;
                continue;
            }
            let content = merged(stored.map(|row| row.content()), row);
            let (_, written) = self.customers.write(&id, content, now_ms, 0);
            counts.add(written);
            if written == Written::Created {
                created.push(id);
            }
        }
        match (first_refusal, self.unknowns.customer_error) {
            (None, _) => Ok(created),
            (Some(refusal), CustomerError::Anonymous) => Err(refusal),
            (Some(refusal), CustomerError::NamesRows) => {
                let message = format!("Failed to import customers: {}", refusal.message);
                Err(Refusal { failed: Some(failed), ..Refusal::new(Code::FailedToImportCustomer, message) })
            }
        }
    }
}

impl Store {
    fn check_not_archived(&self, id: &str) -> Result<(), Refusal> {
        match self.customers.get(id) {
            Some(row) if row.content().archived => {
                Err(Refusal::new(Code::EntityIsArchivedError, format!("Customer {id} is archived")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A row's id, which comes under either of two names.
fn id_of(row: &ImportCustomerInput) -> Result<String, Refusal> {
    match (&row.customer_id, &row.ref_id) {
        (Some(id), Some(other)) if id != other => {
            Err(Refusal::new(Code::EntityIdDifferentFromRefIdError, "customerId and refId differ"))
        }
        (Some(id), _) | (None, Some(id)) => Ok(id.clone()),
        (None, None) => Err(Refusal::new(Code::MissingEntityIdError, "customerId is missing")),
    }
}

/// A row that may be stored.
fn checked(id: &str, row: ImportCustomerInput) -> Result<ImportCustomerInput, Refusal> {
    rules::customer_id(id)?;
    if let MaybeUndefined::Value(email) = &row.email {
        rules::email(email)?;
    }
    let texts = [
        ("name", &row.name),
        ("billingId", &row.billing_id),
        ("paymentMethodId", &row.payment_method_id),
        ("salesforceId", &row.salesforce_id),
    ];
    for (field, value) in texts {
        if let MaybeUndefined::Value(value) = value {
            // An empty name is a name; the ids are not allowed to be empty.
            if !(field == "name" && value.is_empty()) {
                rules::text(field, value)?;
            }
        }
    }
    if let MaybeUndefined::Value(metadata) = &row.additional_meta_data {
        rules::metadata(&metadata.0)?;
    }
    Ok(row)
}

/// What is stored after the row: fields that were left out stay, `null` clears.
fn merged(stored: Option<&CustomerContent>, row: ImportCustomerInput) -> CustomerContent {
    let mut content = stored.cloned().unwrap_or_default();
    let fields = [
        (&mut content.name, row.name),
        (&mut content.email, row.email),
        (&mut content.billing_id, row.billing_id),
        (&mut content.payment_method_id, row.payment_method_id),
        (&mut content.salesforce_id, row.salesforce_id),
    ];
    for (field, value) in fields {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => *field = None,
            MaybeUndefined::Value(value) => *field = Some(value),
        }
    }
    match row.additional_meta_data {
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Null => content.metadata.clear(),
        MaybeUndefined::Value(value) => {
            // Checked before; a value that does not fit would have refused the row.
            content.metadata = rules::metadata(&value.0).unwrap_or_default();
        }
    }
    content
}
