-- Format 3: how far each paid subscription is on its way from its original to its replacement.
PRAGMA user_version = 3;

CREATE TABLE replacement (
  target          TEXT    NOT NULL,
  subscription_id TEXT    NOT NULL, -- of the replacement, in Stigg
  customer_id     TEXT    NOT NULL,
  payer_id        TEXT    NOT NULL, -- the customer, unless another pays
  resource_id     TEXT,
  plan_id         TEXT    NOT NULL,
  provider        TEXT    NOT NULL,
  original_id     TEXT    NOT NULL, -- at the provider
  content         INTEGER NOT NULL, -- fingerprint of the record
  stage           TEXT    NOT NULL,
  reason          TEXT,             -- of a parked one
  detail          TEXT,             -- in words; of a parked one
  billing_id      TEXT,             -- of the replacement, at the provider
  attempts        INTEGER NOT NULL,
  changed_ms      INTEGER NOT NULL,
  PRIMARY KEY (target, subscription_id)
) STRICT, WITHOUT ROWID;

-- No original is replaced twice.
CREATE UNIQUE INDEX replacement_original ON replacement (target, provider, original_id);
CREATE INDEX replacement_billing ON replacement (target, billing_id);
CREATE INDEX replacement_customer ON replacement (target, customer_id);
