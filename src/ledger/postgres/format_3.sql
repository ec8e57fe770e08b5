-- Format 3: keys of open batches in less room. Those that older formats wrote stay as they are and begin otherwise.
UPDATE stigg_import.format SET version = 3;
-- open_batch.keys: none, or 4 bytes ff, and per open record a byte of how much it shares with the beginning of the key before
-- (the highest bit: a number follows of how many records were skipped), a byte of how much with its end, the number of bytes
-- between, those bytes. Numbers are LEB128. See `keys.rs`.
