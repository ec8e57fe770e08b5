-- Format 1. Instants are milliseconds since 1970 (UTC). Numbers in blobs are little-endian unless said.
CREATE TABLE stigg_import.format (
  version integer NOT NULL      -- in its one row
);
INSERT INTO stigg_import.format VALUES (1);

-- Ids are taken before their rows are written, so that a write whose answer was lost can be repeated.
CREATE SEQUENCE stigg_import.run_id;
CREATE SEQUENCE stigg_import.batch_id;

CREATE TABLE stigg_import.run (
  id          bigint PRIMARY KEY,
  identity    text    NOT NULL,
  started_ms  bigint  NOT NULL,
  arguments   text    NOT NULL,
  finished_ms bigint,            -- null: going on, or killed
  exit        integer,
  summary     text
);

CREATE TABLE stigg_import.scope (
  id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  target text NOT NULL,
  entity text NOT NULL,
  UNIQUE (target, entity)
);

-- Written once, before the batch is sent.
CREATE TABLE stigg_import.batch (
  id        bigint  PRIMARY KEY,
  scope     integer NOT NULL,
  run       bigint  NOT NULL,
  step      text    NOT NULL,
  opened_ms bigint  NOT NULL,
  len       integer NOT NULL,
  items     bytea                -- per record 12 bytes key hash (big-endian), 8 bytes fingerprint; null: merged
);
-- Hashes don't get smaller.
ALTER TABLE stigg_import.batch ALTER COLUMN items SET STORAGE EXTERNAL;
CREATE INDEX batch_unmerged ON stigg_import.batch (scope, id) WHERE items IS NOT NULL;
CREATE INDEX batch_run ON stigg_import.batch (scope, run);

-- A batch is open as long as it has a row here, which is locked by whoever settles it. Personal data lives here only.
CREATE TABLE stigg_import.open_batch (
  batch      bigint PRIMARY KEY,
  task       text,
  attempts   integer NOT NULL DEFAULT 0,
  request_id text,
  refusals   text,               -- JSON: [[position, code], …]
  states     bytea,              -- a byte per record: 0 open, 1 accepted, 2 failed, 3 never known; null: all open
  keys       bytea  NOT NULL     -- per open record 4 bytes position, 4 bytes length, text
);

-- What became of a settled batch.
CREATE TABLE stigg_import.outcome (
  batch      bigint PRIMARY KEY,
  settled_ms bigint  NOT NULL,
  task       text,
  attempts   integer NOT NULL,
  request_id text,
  refusals   text,               -- as in `open_batch`
  states     bytea               -- as in `open_batch`; null: all accepted
);

-- The latest accepted content of each record, of all batches before those that still have items.
CREATE TABLE stigg_import.segment (
  id      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope   integer NOT NULL,
  records bigint  NOT NULL,
  items   bytea   NOT NULL       -- per batch: 8 bytes id, 4 bytes number of records, the records as in `batch`
);
ALTER TABLE stigg_import.segment ALTER COLUMN items SET STORAGE EXTERNAL;
CREATE INDEX segment_scope ON stigg_import.segment (scope, id);

-- How far each step that reads changes only has come.
CREATE TABLE stigg_import.mark (
  scope    integer NOT NULL,
  step     text    NOT NULL,
  identity text    NOT NULL,     -- names the source and the mapping; under another the mark means nothing
  value    text    NOT NULL,     -- of the source's `changed` column
  PRIMARY KEY (scope, step)
);

-- How far each paid subscription is on its way from its original to its replacement.
CREATE TABLE stigg_import.replacement (
  target          text    NOT NULL,
  subscription_id text    NOT NULL, -- of the replacement, in Stigg
  customer_id     text    NOT NULL,
  payer_id        text    NOT NULL, -- the customer, unless another pays
  resource_id     text,
  plan_id         text    NOT NULL,
  provider        text    NOT NULL,
  original_id     text    NOT NULL, -- at the provider
  content         bigint  NOT NULL, -- fingerprint of the record
  stage           text    NOT NULL,
  reason          text,             -- of a parked one
  detail          text,             -- in words; of a parked one
  billing_id      text,             -- of the replacement, at the provider
  attempts        bigint  NOT NULL,
  changed_ms      bigint  NOT NULL,
  PRIMARY KEY (target, subscription_id)
);
-- No original is replaced twice.
CREATE UNIQUE INDEX replacement_original ON stigg_import.replacement (target, provider, original_id);
CREATE INDEX replacement_billing ON stigg_import.replacement (target, billing_id);
CREATE INDEX replacement_customer ON stigg_import.replacement (target, customer_id);

-- When the next request of a rate may leave that several runs share. By the server's clock.
CREATE TABLE stigg_import.pace (
  name    text        PRIMARY KEY, -- target and operation
  next_at timestamptz NOT NULL
);

-- Who may write: one run, or one for each part of the records. By the server's clock.
CREATE TABLE stigg_import.lease (
  name     text        PRIMARY KEY, -- part and number of parts: 0/1
  owner    text        NOT NULL,    -- a random id
  host     text        NOT NULL,
  pid      bigint      NOT NULL,
  since_at timestamptz NOT NULL,
  until_at timestamptz NOT NULL,
  -- Makes another owner a change of a key, for which the locks of the present owner's writes have to go.
  UNIQUE (name, owner)
);
