//! Long-lived connections.
