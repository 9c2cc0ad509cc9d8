//! Balancers and health checks.
