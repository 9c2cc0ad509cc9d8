//! Packets that do not arrive: when Linux sends them again, and when it gives up.
//!
//! | rule | value | source |
//! |---|---|---|
//! | first repetition of data | 200 ms | `TCP_RTO_MIN` (the estimate of a short round trip is below) |
//! | each further one | twice as long, at most 120 s | `TCP_RTO_MAX` |
//! | repetitions of data | 15, so 924.6 s in all | ip-sysctl, `tcp_retries2` |
//! | first repetition of a SYN | 1 s | RFC 6298 2.1; `TCP_TIMEOUT_INIT` |
//! | repetitions of a SYN | 6, so 127 s in all | ip-sysctl, `tcp_syn_retries` |

use crate::units::{Duration, Time};

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet {
    /// On an open connection.
    Data,
    /// To open one.
    Syn,
}

/// What becomes of a packet that is sent into a network that is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// A repetition gets through after this time.
    After(Duration),
    /// The sender gives up after this time: ETIMEDOUT.
    Never(Duration),
}

const LONGEST_PAUSE: Duration = Duration::secs(120);

impl Packet {
    fn first_pause(self) -> Duration {
        match self {
            Packet::Data => Duration::millis(200),
            Packet::Syn => Duration::secs(1),
        }
    }
    fn repetitions(self) -> u32 {
        match self {
            Packet::Data => 15,
            Packet::Syn => 6,
        }
    }

    /// What becomes of it when it is sent now and everything is lost before `healed`.
    pub fn sent_into_cut(self, now: Time, healed: Time) -> Delivery {
        let mut pause = self.first_pause();
        let mut after = Duration::ZERO;
        for _ in 0..self.repetitions() {
            after += pause;
            if now + after >= healed {
                return Delivery::After(after);
            }
            pause = (pause + pause).min(LONGEST_PAUSE);
        }
        Delivery::Never(after + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_come_at_doubling_pauses() {
        let after =
            |packet: Packet, cut: Duration| packet.sent_into_cut(Time::ZERO, Time::ZERO + cut);
        let ms = Duration::millis;
        assert_eq!(after(Packet::Data, ms(1)), Delivery::After(ms(200)));
        assert_eq!(after(Packet::Data, ms(200)), Delivery::After(ms(200)));
        assert_eq!(after(Packet::Data, ms(201)), Delivery::After(ms(600)));
        assert_eq!(after(Packet::Data, ms(30_000)), Delivery::After(ms(51_000)));
        assert_eq!(after(Packet::Syn, ms(30_000)), Delivery::After(ms(31_000)));
    }

    #[test]
    fn senders_give_up_when_the_kernel_says_so() {
        // ip-sysctl: "the default value of 15 yields a hypothetical timeout of 924.6 seconds", and
        // six SYN retries end "after 127 seconds".
        let never = |packet: Packet| packet.sent_into_cut(Time::ZERO, Time::NEVER);
        assert_eq!(never(Packet::Data), Delivery::Never(Duration::millis(924_600)));
        assert_eq!(never(Packet::Syn), Delivery::Never(Duration::secs(127)));
    }
}
