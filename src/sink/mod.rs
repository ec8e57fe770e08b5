//! Sends a batch once: budget, request, answer.
