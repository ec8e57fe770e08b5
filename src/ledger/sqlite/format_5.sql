-- Format 5: each row has a sum of what it says, so that bits of it that change are noticed when it is read. See `sum.rs`.
PRAGMA user_version = 5;

-- Null: written by an older version; its bits are not known.
ALTER TABLE run         ADD COLUMN sum INTEGER;
ALTER TABLE scope       ADD COLUMN sum INTEGER;
ALTER TABLE batch       ADD COLUMN sum INTEGER;
ALTER TABLE open_batch  ADD COLUMN sum INTEGER;
ALTER TABLE outcome     ADD COLUMN sum INTEGER;
ALTER TABLE segment     ADD COLUMN sum INTEGER;
ALTER TABLE mark        ADD COLUMN sum INTEGER;
ALTER TABLE replacement ADD COLUMN sum INTEGER;
ALTER TABLE sketch      ADD COLUMN sum INTEGER;
