-- Format 2: what each field of a record was when it was sent, so that a plan can name those that have changed since.
UPDATE stigg_import.format SET version = 2;

-- Of batches whose records have sketches. A batch without one, or from before this format: nothing is known.
CREATE TABLE stigg_import.sketch (
  batch  bigint PRIMARY KEY,
  fields bytea NOT NULL         -- 2 bytes number of names, 4 bytes hash of each; per record 4 bytes of the key's hash,
                                -- 2 bytes number of fields, each 2 bytes position of its name, 2 bytes hash of its value
);
