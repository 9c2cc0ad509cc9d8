//! How long the kubelet waits before it starts a container again (Kubernetes 1.30,
//! pkg/kubelet/kuberuntime doBackOff, client-go util/flowcontrol Backoff): the first time not at all,
//! then 10 s, 20 s, 40 s, ... from the end of the last one, 300 s at most. Whoever has run for twice the
//! longest wait begins anew.

use crate::units::{Duration, Time};

const FIRST: Duration = Duration::secs(10);
const LONGEST: Duration = Duration::secs(300);

/// The wait of one container.
#[derive(Clone, Copy, Default, Debug)]
pub struct CrashLoop {
    wait: Duration,
    started: Option<Time>,
}

impl CrashLoop {
    /// The container has ended: after how long is it started again?
    pub fn ended(&mut self, now: Time) -> Duration {
        // Who comes back with its machine is there before its time.
        let ran = |at: Time| Duration(now.0.saturating_sub(at.0));
        let fresh = self.started.is_none_or(|at| ran(at) > LONGEST + LONGEST);
        let wait = if fresh { Duration::ZERO } else { self.wait };
        self.wait = match fresh {
            true => FIRST,
            false => Duration(2 * wait.0).min(LONGEST),
        };
        self.started = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_are_forgotten_after_ten() {
        let (mut container, mut now) = (CrashLoop::default(), Time::ZERO);
        let mut die_after = |secs: u64| {
            now = now + Duration::secs(secs);
            let wait = container.ended(now);
            now = now + wait;
            wait.seconds()
        };
        let waits = [5, 5, 5, 5, 5, 5, 5, 5].map(&mut die_after);
        assert_eq!(waits, [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]);
        assert_eq!(die_after(600), 300.0, "ten minutes are not more than ten minutes");
        assert_eq!((die_after(601), die_after(5)), (0.0, 10.0));
    }

    #[test]
    fn who_was_started_before_its_time_has_not_run_for_long() {
        let mut container = CrashLoop::default();
        let ended = [0, 1, 2, 3].map(|s| container.ended(Time::ZERO + Duration::secs(s)).seconds());
        assert_eq!(ended, [0.0, 10.0, 20.0, 40.0]);
    }
}
