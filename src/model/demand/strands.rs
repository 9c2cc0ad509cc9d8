//! What happens side by side: strands of time that part and meet again.

use super::Walk;
use super::statements::Held;
use crate::model::ids::ServiceId;
use crate::model::tape::Pc;

/// A strand parts into several, and goes on when the last of these has ended.
pub(super) struct Parting {
    /// The strand that parts.
    from: usize,
    /// Those that begin.
    into: std::ops::Range<usize>,
    /// Branches that each of these strands stands for.
    alike: f64,
}

impl Walk<'_> {
    /// Time in the request's own strand, and in the longest strand of every parting, of times in each strand.
    pub(super) fn longest_s(&self, mut strands_s: Vec<f64>) -> f64 {
        strands_s.resize(self.strands_s.len(), 0.0);
        // A strand parts after it has come from its own parting: inner ones are settled first.
        for parting in self.partings.iter().rev() {
            let longest = strands_s[parting.into.clone()].iter().copied().fold(0.0, f64::max);
            strands_s[parting.from] += longest / parting.alike;
        }
        strands_s[0]
    }

    /// Goes on in strands of their own, each of which stands for `alike` branches.
    pub(super) fn part(
        &mut self,
        entries: &[Pc],
        alike: f64,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let (from, first) = (self.strand, self.strands_s.len());
        self.strands_s.resize(first + entries.len(), 0.0);
        for (strand, entry) in (first..).zip(entries) {
            self.strand = strand;
            self.go(*entry, weight * alike, service, held);
        }
        self.strand = from;
        self.partings.push(Parting { from, into: first..first + entries.len(), alike });
    }
}
