-- Format 2: how far each step that reads changes only has come.
PRAGMA user_version = 2;

CREATE TABLE mark (
  scope    INTEGER NOT NULL,
  step     TEXT    NOT NULL,
  identity TEXT    NOT NULL,     -- names the source and the mapping; under another the mark means nothing
  value    TEXT    NOT NULL,     -- of the source's `changed` column
  PRIMARY KEY (scope, step)
) STRICT, WITHOUT ROWID;
