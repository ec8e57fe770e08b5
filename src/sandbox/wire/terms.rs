//! What a subscription consists of: add-ons, charges, entitlements, and the terms of a paid one.
//!
//! These input types are also what the store keeps, so nothing of a request is lost on the way.

use async_graphql::InputObject;
use serde::{Deserialize, Serialize};

use super::enums::{
    BillingPeriod, ChargeType, CreditCadence, CreditGrantCadence, Currency, EntitlementResetPeriod, MonthlyAccordingTo,
    PaymentCollectionMethod, ScheduleStrategy, SubscriptionBillingCycleAnchor, SubscriptionProrationBehavior,
    TrialEndBehavior, WeeklyAccordingTo, YearlyAccordingTo,
};
use super::scalars::{DateTime, Json, Uuid};

/// Writes an input type of the API that the store keeps as it came: first the required fields, then the optional
/// ones, which stay absent from a snapshot when they were not sent.
macro_rules! kept_input {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* ; $($option:ident: $inner:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(InputObject, Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $(
                /// As in the API.
                pub $field: $kind,
            )*
            $(
                /// As in the API.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $option: Option<$inner>,
            )*
        }
    };
}

kept_input!(/// An add-on of a subscription.
    SubscriptionAddonInput { addon_id: String; quantity: i32 });
kept_input!(/// The quantity of a feature that is priced per unit.
    BillableFeatureInput { feature_id: String, quantity: f64; });
kept_input!(/// The quantity of a charge.
    ChargeInput { id: String, quantity: f64, r#type: ChargeType; });
kept_input!(/// When a month starts.
    MonthlyResetPeriodConfigInput { according_to: MonthlyAccordingTo; });
kept_input!(/// When a week starts.
    WeeklyResetPeriodConfigInput { according_to: WeeklyAccordingTo; });
kept_input!(/// When a year starts.
    YearlyResetPeriodConfigInput { according_to: YearlyAccordingTo; });
kept_input!(/// A feature that a custom subscription grants.
SubscriptionFeatureEntitlementInput {
    feature_id: String;
    enum_values: Vec<String>, feature_group_id: Uuid, has_soft_limit: bool, has_unlimited_usage: bool,
    monthly_reset_period_configuration: MonthlyResetPeriodConfigInput, reset_period: EntitlementResetPeriod,
    usage_limit: f64, weekly_reset_period_configuration: WeeklyResetPeriodConfigInput,
    yearly_reset_period_configuration: YearlyResetPeriodConfigInput,
});
kept_input!(/// The deprecated form of a feature entitlement.
SubscriptionEntitlementInput {
    feature_id: String;
    description: String, has_soft_limit: bool, has_unlimited_usage: bool,
    monthly_reset_period_configuration: MonthlyResetPeriodConfigInput, reset_period: EntitlementResetPeriod,
    usage_limit: f64, weekly_reset_period_configuration: WeeklyResetPeriodConfigInput,
    yearly_reset_period_configuration: YearlyResetPeriodConfigInput,
});
kept_input!(/// A credit that a custom subscription grants again and again.
SubscriptionCreditEntitlementInput {
    amount: f64, cadence: CreditCadence, custom_currency_id: String;
    has_soft_limit: bool,
});
kept_input!(/// One entitlement: exactly one of the two.
    SubscriptionEntitlementInputV2 { ; credit: SubscriptionCreditEntitlementInput, feature: SubscriptionFeatureEntitlementInput });
kept_input!(/// An amount of money, in whole units of its currency.
    MoneyInputDTO { amount: f64; currency: Currency });
kept_input!(/// A step of a tiered price.
    PriceTierInput { ; flat_price: MoneyInputDTO, unit_price: MoneyInputDTO, up_to: f64 });
kept_input!(/// What a unit costs in credits.
    CreditRateInput { amount: f64, currency_id: String; cost_formula: String, custom_currency_id: Uuid });
kept_input!(/// A negotiated price.
PriceOverrideInput {
    ;
    addon_id: String, base_charge: bool, block_size: f64, credit_grant_cadence: CreditGrantCadence,
    credit_rate: CreditRateInput, currency_id: String, feature_id: String, price: MoneyInputDTO,
    tiers: Vec<PriceTierInput>,
});
kept_input!(/// The least that is billed.
    SubscriptionMinimumSpendValueInput { ; minimum: MoneyInputDTO });
kept_input!(/// A spending limit.
    BudgetConfigurationInput { has_soft_limit: bool, limit: f64; });
kept_input!(/// A discount of one subscription.
SubscriptionCouponDiscountInput {
    ; amounts_off: Vec<MoneyInputDTO>, description: String, duration_in_months: f64, name: String, percent_off: f64,
});
kept_input!(/// When a coupon starts.
    SubscriptionCouponConfigurationInput { ; start_date: DateTime });
kept_input!(/// A coupon of a subscription.
SubscriptionCouponInput {
    ;
    billing_coupon_id: String, configuration: SubscriptionCouponConfigurationInput, coupon_id: String,
    discount: SubscriptionCouponDiscountInput, promotion_code: String,
});
kept_input!(/// A postal address.
BillingAddress {
    ; city: String, country: String, line1: String, line2: String, postal_code: String, state: String,
});
kept_input!(/// A tax number.
    TaxExempt { r#type: String, value: String; });
kept_input!(/// What the billing provider is told.
SubscriptionBillingInfo {
    ;
    billing_address: BillingAddress, charge_on_behalf_of_account: String, coupon_id: String,
    integration_id: String, invoice_days_until_due: f64, is_backdated: bool, is_invoice_paid: bool,
    metadata: Json, proration_behavior: SubscriptionProrationBehavior, tax_ids: Vec<TaxExempt>,
    tax_percentage: f64, tax_rate_ids: Vec<String>,
});
kept_input!(/// How the checkout page behaves.
CheckoutOptions {
    cancel_url: String, success_url: String;
    allow_promo_codes: bool, allow_tax_id_collection: bool, collect_billing_address: bool,
    collect_phone_number: bool, reference_id: String,
});
kept_input!(/// Whether there is a trial.
    TrialOverrideConfigurationInput { is_trial: bool; trial_end_behavior: TrialEndBehavior, trial_end_date: DateTime });
kept_input!(/// A subscription to provision.
ProvisionSubscriptionInput {
    customer_id: String, plan_id: String;
    additional_meta_data: Json, addons: Vec<SubscriptionAddonInput>, applied_coupon: SubscriptionCouponInput,
    await_payment_confirmation: bool, billable_features: Vec<BillableFeatureInput>,
    billing_country_code: String, billing_cycle_anchor: SubscriptionBillingCycleAnchor, billing_id: String,
    billing_information: SubscriptionBillingInfo, billing_period: BillingPeriod,
    budget: BudgetConfigurationInput, cancellation_date: DateTime, charges: Vec<ChargeInput>,
    checkout_options: CheckoutOptions, entitlements: Vec<SubscriptionEntitlementInputV2>,
    minimum_spend: SubscriptionMinimumSpendValueInput, paying_customer_id: String,
    payment_collection_method: PaymentCollectionMethod, price_overrides: Vec<PriceOverrideInput>,
    price_unit_amount: f64, promotion_code: String, ref_id: String, resource_id: String, salesforce_id: String,
    schedule_strategy: ScheduleStrategy, skip_trial: bool, start_date: DateTime,
    subscription_entitlements: Vec<SubscriptionEntitlementInput>, subscription_id: String,
    trial_override_configuration: TrialOverrideConfigurationInput, unit_quantity: f64,
});
