//! PostgreSQL as a server.
