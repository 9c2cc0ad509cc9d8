//! What waits in Redis for a client that does not read: `client-output-buffer-limit`.
//!
//! Redis 7 looks whenever it adds to a client's buffer (`checkClientOutputBufferLimits`): above the hard
//! limit the client is closed at once, above the soft one when it has been so without a break for
//! longer than a time.

use crate::units::{Duration, Time};

/// The limits of a class of clients.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Above this many bytes a client is closed at once.
    pub hard: u64,
    /// Above this many it is closed after a time.
    pub soft: u64,
    /// The time.
    pub soft_for: Duration,
}

/// One client's buffer.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct OutputBuffer {
    above_since: Option<Time>,
}

impl OutputBuffer {
    /// Something was added, and so many bytes are there now: is the client closed?
    pub fn added(&mut self, now: Time, bytes: u64, limits: &Limits) -> bool {
        if bytes <= limits.soft {
            self.above_since = None;
            return bytes > limits.hard;
        }
        let since = *self.above_since.get_or_insert(now);
        bytes > limits.hard || now.since(since) > limits.soft_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_at_once_and_soft_after_a_while_without_a_break() {
        let limits = Limits { hard: 32, soft: 8, soft_for: Duration::secs(60) };
        let at = |seconds| Time::ZERO + Duration::secs(seconds);
        let mut buffer = OutputBuffer::default();
        assert!(buffer.added(at(0), 33, &limits));
        let mut buffer = OutputBuffer::default();
        assert!(!buffer.added(at(0), 9, &limits) && !buffer.added(at(60), 9, &limits));
        assert!(!buffer.added(at(61), 8, &limits), "a break");
        assert!(!buffer.added(at(62), 9, &limits) && !buffer.added(at(122), 9, &limits));
        assert!(buffer.added(at(123), 9, &limits));
    }
}
