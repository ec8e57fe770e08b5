//! Rows in: every row with its position.
