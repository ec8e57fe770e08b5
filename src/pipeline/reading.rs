//! Reading back from the API: page by page, within the read budgets, again after faults.

use std::sync::Arc;
use std::time::Duration;

use super::retry::RetryPolicy;
use super::stop::Stop;
use super::summary::Progress;
use crate::sink::{
    Budgets, Disposition, Operation, Page, Permit, READ_IDS_MAX, ReadCustomer, ReadSubscription, ReadUsage, Sink,
    SinkError,
};

/// How long a run that was stopped waits for the permit of a read.
const LAST_PERMIT: Duration = Duration::from_secs(2);

/// What reading needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reading {
    pub sink: Arc<dyn Sink>,
    pub budgets: Arc<Budgets>,
    pub progress: Arc<Progress>,
    pub retry: RetryPolicy,
    pub stop: Arc<Stop>,
}

impl Reading {
    /// The customers among `ids` that the API has.
    pub(super) async fn customers(&self, ids: &[&str]) -> Result<Vec<ReadCustomer>, SinkError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(READ_IDS_MAX) {
            let page =
                async |after: Option<String>, permit| self.sink.read_customers(ids, after.as_deref(), permit).await;
            all.extend(self.every_page(Operation::Customers, page).await?);
        }
        Ok(all)
    }

    /// The subscriptions among `ids` that the API has, whatever their status.
    pub(super) async fn subscriptions(&self, ids: &[&str]) -> Result<Vec<ReadSubscription>, SinkError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(READ_IDS_MAX) {
            let page =
                async |after: Option<String>, permit| self.sink.read_subscriptions(ids, after.as_deref(), permit).await;
            all.extend(self.every_page(Operation::Subscriptions, page).await?);
        }
        Ok(all)
    }

    /// The subscriptions of these customers, whatever their status.
    pub(super) async fn subscriptions_of(&self, customer_ids: &[&str]) -> Result<Vec<ReadSubscription>, SinkError> {
        let mut all = Vec::new();
        for ids in customer_ids.chunks(READ_IDS_MAX) {
            let page = async |after: Option<String>, permit| {
                self.sink.read_subscriptions_of(ids, after.as_deref(), permit).await
            };
            all.extend(self.every_page(Operation::Subscriptions, page).await?);
        }
        Ok(all)
    }

    /// The entries of every page of a list.
    pub(super) async fn every_page<T>(
        &self,
        operation: Operation,
        page: impl AsyncFn(Option<String>, Permit) -> Result<Page<T>, SinkError>,
    ) -> Result<Vec<T>, SinkError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let Page { items, next } = self.again(operation, |permit| page(after.clone(), permit)).await?;
            all.extend(items);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// A page of the ids of all customers.
    pub(super) async fn customer_ids(&self, after: Option<&str>) -> Result<Page<String>, SinkError> {
        self.again(Operation::Customers, |permit| self.sink.customer_ids(after, permit)).await
    }

    /// A page of the ids of all subscriptions.
    pub(super) async fn subscription_ids(&self, after: Option<&str>) -> Result<Page<String>, SinkError> {
        self.again(Operation::Subscriptions, |permit| self.sink.subscription_ids(after, permit)).await
    }

    /// What a customer (and resource) has used.
    pub(super) async fn usage(
        &self,
        customer_id: &str,
        resource_id: Option<&str>,
    ) -> Result<Vec<ReadUsage>, SinkError> {
        self.again(Operation::EntitlementsState, |permit| self.sink.read_usage(customer_id, resource_id, permit)).await
    }

    /// Ends when a stopped run has waited long enough for its last look: a pause may last a quarter of an hour.
    async fn last_permit(&self) {
        self.stop.sending_ended().await;
        tokio::time::sleep(LAST_PERMIT).await;
    }

    /// Asks again after faults: a read changes nothing.
    pub(super) async fn again<T, F>(&self, operation: Operation, ask: impl Fn(Permit) -> F) -> Result<T, SinkError>
    where
        F: Future<Output = Result<T, SinkError>>,
    {
        let (mut faults, mut throttles) = (0, 0);
        loop {
            let permit = tokio::select! {
                biased;
                permit = self.budgets.acquire(operation) => permit,
                () = self.last_permit() => return Err(SinkError::Throttled { retry_after: None }),
            };
            self.progress.reads.add(1);
            let error = match ask(permit).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let after = match error.disposition() {
                Disposition::Resend { after } | Disposition::ReadBack { after } => after,
                Disposition::ReadBackAndSplit
                | Disposition::Split
                | Disposition::ResendOnceReady
                | Disposition::Stop(_) => return Err(error),
            };
            if matches!(error, SinkError::Throttled { .. }) {
                throttles += 1;
                self.progress.throttled.add(1);
                self.budgets.pause(operation, after.unwrap_or_else(|| self.retry.wait(throttles + 1, fastrand::f64())));
                if throttles > self.retry.throttles_max || self.stop.ends_sending() {
                    return Err(error);
                }
            } else {
                faults += 1;
                let wait = after.unwrap_or_else(|| self.retry.wait(faults, fastrand::f64()));
                if faults >= self.retry.tries_max || !self.stop.wait(wait).await {
                    return Err(error);
                }
            }
        }
    }
}
