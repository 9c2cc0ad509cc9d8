//! Event loops, thread pools, processes.
