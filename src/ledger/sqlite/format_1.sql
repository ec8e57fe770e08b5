-- Format 1. Instants are milliseconds since 1970 (UTC). Numbers in blobs are little-endian unless said.
PRAGMA application_id = 0x53544947;
PRAGMA user_version = 1;

CREATE TABLE run (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  identity    TEXT    NOT NULL,
  started_ms  INTEGER NOT NULL,
  arguments   TEXT    NOT NULL,
  finished_ms INTEGER,           -- null: going on, or killed
  exit        INTEGER,
  summary     TEXT
) STRICT;

CREATE TABLE scope (
  id     INTEGER PRIMARY KEY,
  target TEXT NOT NULL,
  entity TEXT NOT NULL,
  UNIQUE (target, entity)
) STRICT;

-- Written once, before the batch is sent. Blobs stand last, so that the rest is read without them.
CREATE TABLE batch (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  scope     INTEGER NOT NULL,
  run       INTEGER NOT NULL,
  step      TEXT    NOT NULL,
  opened_ms INTEGER NOT NULL,
  len       INTEGER NOT NULL,
  items     BLOB                 -- per record 12 bytes key hash (big-endian), 8 bytes fingerprint; null: merged
) STRICT;

-- A batch is open as long as it has a row here. Personal data lives here only.
CREATE TABLE open_batch (
  batch INTEGER PRIMARY KEY,
  task  TEXT,
  keys  BLOB NOT NULL            -- per open record 4 bytes position, 4 bytes length, text
) STRICT;

-- What became of it. Of an open batch: as far as it is known.
CREATE TABLE outcome (
  batch      INTEGER PRIMARY KEY,
  settled_ms INTEGER,            -- null: still open
  task       TEXT,
  attempts   INTEGER NOT NULL,
  request_id TEXT,
  refusals   TEXT,               -- JSON: [[position, code], …]
  states     BLOB                -- a byte per record: 0 open, 1 accepted, 2 failed, 3 never known; null: all accepted
) STRICT;

-- The latest accepted content of each record, of all batches before those that still have items.
CREATE TABLE segment (
  id      INTEGER PRIMARY KEY,
  scope   INTEGER NOT NULL,
  records INTEGER NOT NULL,
  items   BLOB    NOT NULL       -- per batch: 8 bytes id, 4 bytes number of records, the records as in `batch`
) STRICT;
