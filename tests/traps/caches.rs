//! Redis, caches and their clients.
