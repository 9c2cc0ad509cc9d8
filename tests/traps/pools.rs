//! Connection pools and poolers.
