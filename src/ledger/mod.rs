//! What is known to have happened.
