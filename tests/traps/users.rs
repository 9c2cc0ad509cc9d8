//! Users, clients and their retries.
