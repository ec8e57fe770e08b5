//! Paid subscriptions of the ledger in memory.

use futures::future::{BoxFuture, ready};

use super::MemoryLedger;
use crate::ledger::replacement::counted;
use crate::ledger::{LedgerError, OriginalRef, Replacement, Replacements, StageCount};

impl MemoryLedger {
    fn replacements_where(&self, target: &str, wanted: impl Fn(&Replacement) -> bool) -> Vec<Replacement> {
        let held = self.held();
        let of_target = held.replacements.iter().filter(|((of, _), _)| of == target);
        of_target.map(|(_, replacement)| replacement).filter(|replacement| wanted(replacement)).cloned().collect()
    }
}

impl Replacements for MemoryLedger {
    fn replacement<'a>(
        &'a self,
        target: &'a str,
        subscription_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        let key = (target.to_owned(), subscription_id.to_owned());
        Box::pin(ready(Ok(self.held().replacements.get(&key).cloned())))
    }

    fn replacement_of<'a>(
        &'a self,
        target: &'a str,
        original: &'a OriginalRef,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(ready(Ok(self.replacements_where(target, |replacement| replacement.original == *original).pop())))
    }

    fn replacement_billed_as<'a>(
        &'a self,
        target: &'a str,
        billing_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        let found = self.replacements_where(target, |one| one.billing_id.as_deref() == Some(billing_id)).pop();
        Box::pin(ready(Ok(found)))
    }

    fn replacements_of_customer<'a>(
        &'a self,
        target: &'a str,
        customer_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        Box::pin(ready(Ok(self.replacements_where(target, |replacement| replacement.customer_id == customer_id))))
    }

    fn replacements<'a>(
        &'a self,
        target: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        let mut page = self.replacements_where(target, |replacement| {
            after.is_none_or(|after| replacement.subscription_id.as_str() > after)
        });
        page.truncate(limit as usize);
        Box::pin(ready(Ok(page)))
    }

    fn write_step<'a>(&'a self, target: &'a str, next: &'a Replacement) -> BoxFuture<'a, Result<(), LedgerError>> {
        let mut held = self.held();
        let key = (target.to_owned(), next.subscription_id.clone());
        let taken = held
            .replacements
            .iter()
            .find(|((of, id), other)| of == target && *id != next.subscription_id && other.original == next.original);
        let result = if let Some(refused) = Replacement::refuses(held.replacements.get(&key), next) {
            Err(refused)
        } else if let Some(((_, by), _)) = taken {
            Err(LedgerError::OriginalTaken { original: next.original.id.clone(), by: by.clone() })
        } else {
            held.replacements.insert(key, next.clone());
            Ok(())
        };
        Box::pin(ready(result))
    }

    fn stage_counts<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Vec<StageCount>, LedgerError>> {
        let all = self.replacements_where(target, |_| true);
        Box::pin(ready(Ok(counted(all.iter().map(|replacement| &replacement.stage)))))
    }

    fn replacement_targets(&self) -> BoxFuture<'_, Result<Vec<String>, LedgerError>> {
        let mut targets: Vec<String> = self.held().replacements.keys().map(|(target, _)| target.clone()).collect();
        targets.dedup();
        Box::pin(ready(Ok(targets)))
    }
}
