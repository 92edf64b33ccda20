//! How fast batches go in, and by which plan.
