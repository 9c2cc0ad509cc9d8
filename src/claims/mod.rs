//! What a document claims of a deployment, held against simulation.
//!
//! A claims file ([`Claims`]) names scenarios, each a topology with settings over it, and for each
//! claim a formula over what files say and runs measure. [`judge()`] runs what the formulas need, each
//! thing once, and gives every claim a [`Verdict`] with its interval, what decides it and why.

mod bench;
mod evaluate;
mod expression;
mod file;
mod inquiry;
mod judge;
mod load;
mod results;
mod words;

pub use bench::{Bench, Point, Ran, Sought, Trouble};
pub use evaluate::{Sample, Setting, series_of};
pub use expression::{Call, Expression, FUNCTIONS, Formula, Function, Needs, Operator, Word};
pub use file::{
    Bars, Claim, Claims, Contradiction, Counted, Direction, Doubt, Figure, Line, Meant, Paths,
    Prior, Scenario, Side, State, Surprise, Sweep, Timeline, Trace, Upgrade, Verdict,
};
pub use inquiry::{Bought, Carried, Drawn, Inquiry, Picture, Weighed, inquire};
pub use judge::{
    By, CONFIDENCE, CONFIRMED, Judged, PLAUSIBLE, Source, Tried, grade, holds, judge, points,
};
pub use load::{LoadedClaims, SLUGS, load, reference, schema};
pub use results::to_json;
pub use words::{of_capacity, of_run, order, round, show, show_claimed, show_estimate};
