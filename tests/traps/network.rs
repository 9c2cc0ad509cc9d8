//! Networks and content delivery.
