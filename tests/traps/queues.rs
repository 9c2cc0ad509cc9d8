//! Job queues, streams and functions.
