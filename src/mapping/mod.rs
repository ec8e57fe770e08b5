//! The declarative file that turns rows into records.
