//! What a claims file says.

use super::expression::Formula;
use crate::topology::spec::spec;
use crate::topology::{Kind, Named, Node, Reader, Shape, Value, Version};

spec! {
    /// What a document claims about deployments, and how each claim is measured.
    table Claims {
        /// The version of the language that the file is written in.
        version: Version;
        /// What the claims are about, in a few words.
        title: String;
        /// The document that makes them.
        document: String;
        /// Deployments under their users, each a topology with settings over it.
        scenarios "scenario": Vec<Named<Scenario>> = "{}" from "all is arithmetic";
        /// What the document claims.
        claims "claim": Vec<Named<Claim>> = "{}" from "no claim";
        /// Where the document contradicts itself or another.
        contradictions "contradiction": Vec<Named<Contradiction>> = "{}" from "no contradiction";
        /// The states of the deployment, in order: scenarios whose capacity the document is about.
        states: Vec<State> = "[]" from "no states";
        /// What can be bought, to be ranked by what it buys.
        upgrades "upgrade": Vec<Named<Upgrade>> = "{}" from "nothing to buy";
        /// What surprises, with a figure.
        surprises "surprise": Vec<Named<Surprise>> = "{}" from "no surprise";
    }
}

spec! {
    /// A deployment under its users.
    table Scenario {
        /// The topology file, from the folder of this file.
        topology: String;
        /// Settings over it, as `--set` has them: `["users.population=5000"]`.
        set: Vec<String> = "[]" from "as the file has it";
        /// What it is, in a few words.
        what: Option<String>;
        /// It is one of so many alike, a hundredth of a deployment say: loads are told of all of them.
        stands_for: u32 = "1" from "itself", positive;
    }
}

spec! {
    /// One thing that a document claims.
    table Claim {
        /// The claim, in one's own words.
        says: String;
        /// Where the document makes it.
        section: String;
        /// What it counts as users.
        users: Meant = "\"nobody\"" from "the claim counts no users";
        /// The value that it claims, or the lower end of a range.
        claimed: Formula;
        /// The upper end of a range.
        to: Option<Formula>;
        /// What the value counts.
        unit: Counted;
        /// Whether the value is claimed as such, as a lower or as an upper bound.
        claims: Direction = "\"about\"" from "the value itself";
        /// What is held against it; left out where there is nothing to compute.
        measured: Option<Formula>;
        /// Values that formulas of the claim use by name.
        given: Vec<Named<Formula>> = "{}" from "no names";
        /// What is not known and might decide, with other values that are possible.
        assume: Vec<Doubt> = "[]" from "nothing else is possible";
        /// Why a simulation cannot judge it, where only arithmetic does or nothing can.
        because: Option<String>;
        /// What one would expect before anything is computed.
        prior: Option<Prior>;
        /// Where the result differs from what was expected: which of them is wrong, and why.
        settled: Option<String>;
    }
}

spec! {
    /// Something that is not known and might decide on a claim.
    table Doubt {
        /// What it is.
        what: String;
        /// The paths of the keys that carry it, in every scenario of the claim that has them; or
        /// `given.NAME`.
        knob: Paths;
        /// Other values that are possible: the ends of its range.
        values: Vec<String>, positive;
        /// The only scenarios in which it is set.
        within "in": Vec<String> = "[]" from "all scenarios of the claim";
    }
}

spec! {
    /// What one would expect before anything is computed.
    table Prior {
        /// The verdict.
        verdict: Verdict;
        /// Why.
        why: Option<String>;
    }
}

spec! {
    /// Two places of a document, or of two, that do not agree.
    table Contradiction {
        /// What they do not agree on.
        about: String;
        /// What is held against both; left out where there is nothing to compute.
        measured: Option<Formula>;
        /// What the value counts.
        unit: Counted = "\"count\"" from "a number";
        /// What each of them says.
        sides: Vec<Side>, positive;
        /// What to think of it where nothing is measured.
        remark: Option<String>;
    }
}

spec! {
    /// One side of a contradiction.
    table Side {
        /// What it says.
        says: String;
        /// The value that it claims, or the lower end of a range.
        claimed: Option<Formula>;
        /// The upper end of a range.
        to: Option<Formula>;
        /// Whether the value is claimed as such, as a lower or as an upper bound.
        claims: Direction = "\"about\"" from "the value itself";
    }
}

spec! {
    /// A state of a deployment that a document is about.
    table State {
        /// Its scenario.
        scenario: String;
        /// The load that the document states for it: users, or requests a second of an open stream.
        stated: Option<Formula>;
    }
}

spec! {
    /// Something that can be bought or built.
    table Upgrade {
        /// What it is.
        what: String;
        /// The scenario without it.
        before: String;
        /// The scenario with it.
        after: String;
        /// What it costs a month; if left out, what the topologies' prices differ by.
        cost: Option<Formula>;
    }
}

spec! {
    /// A result that surprises, with a figure.
    table Surprise {
        /// The claim that it is about.
        claim: String;
        /// What surprises, as a heading.
        title: String;
        /// Its rank among all surprises: 1 comes first.
        rank: u32;
        /// What is drawn.
        figure: Figure;
    }
}

spec! {
    /// What is drawn of a surprise.
    choice Figure {
        /// A formula over the values of a knob.
        Sweep(Sweep) = "sweep";
        /// Series of runs over time.
        Timeline(Timeline) = "timeline";
        /// Several values side by side.
        Bars(Bars) = "bars";
    }
}

spec! {
    /// A formula over the values of a knob.
    table Sweep {
        /// The path of the key that is turned, or `given.NAME`.
        knob: Paths;
        /// Its values.
        values: Vec<String>, positive;
        /// The only scenarios in which it is turned.
        within "in": Vec<String> = "[]" from "all scenarios of the formulas";
        /// What it is, below the axis.
        across: String;
        /// What is drawn, beside the axis.
        upwards: String;
        /// What the vertical axis counts.
        unit: Counted;
        /// The formulas, each with its name.
        lines: Vec<Line>, positive;
    }
}

spec! {
    /// A formula with its name in a figure.
    table Line {
        /// Its name.
        name: String;
        /// What is drawn.
        of: Formula;
        /// It is what the document claims.
        claimed: bool = "false" from "it is measured";
    }
}

spec! {
    /// Series of runs over time.
    table Timeline {
        /// What is drawn: `[SCENARIO, SUBJECT, SERIES]` for each line, with its name.
        lines: Vec<Trace>, positive;
        /// What is drawn, beside the axis.
        upwards: String;
        /// What the vertical axis counts.
        unit: Counted;
    }
}

spec! {
    /// A series of a run with its name in a figure.
    table Trace {
        /// Its name.
        name: String;
        /// The scenario.
        scenario: String;
        /// The component, or `all`.
        subject: String = "\"all\"" from "the whole deployment";
        /// The series.
        series: String;
    }
}

spec! {
    /// Several values side by side.
    table Bars {
        /// What is drawn, beside the axis.
        upwards: String;
        /// What the axis counts.
        unit: Counted;
        /// The values, each with its name.
        lines: Vec<Line>, positive;
    }
}

spec! {
    /// What a claim counts as users.
    choice Meant {
        /// People who think between requests: a closed population.
        Population = "population";
        /// People who come for a visit and leave.
        Visits = "visits";
        /// Requests in flight at once, or connections that are open.
        InFlight = "in-flight";
        /// Everybody who has an account, most of them away.
        Accounts = "accounts";
        /// The claim counts no users.
        Nobody = "nobody";
    }
}

spec! {
    /// What a value counts.
    choice Counted {
        /// Users.
        Users = "users";
        /// Requests, queries or jobs a second.
        PerSecond = "per-second";
        /// Seconds.
        Seconds = "seconds";
        /// A share of a whole.
        Share = "share";
        /// A multiple.
        Times = "times";
        /// A number of things.
        Count = "count";
        /// US dollars, those of prices a month.
        Dollars = "dollars";
        /// Bytes.
        Bytes = "bytes";
    }
}

spec! {
    /// How a value is claimed.
    choice Direction {
        /// The value itself, or the range.
        About = "about";
        /// At least this: more confirms it too.
        AtLeast = "at-least";
        /// At most this: less confirms it too.
        AtMost = "at-most";
    }
}

spec! {
    /// What became of a claim.
    choice Verdict {
        /// Within 10 % of what is claimed.
        Confirmed = "confirmed";
        /// Within 30 %.
        Plausible = "plausible";
        /// Farther off.
        Refuted = "refuted";
        /// What is not known decides, or nothing can be computed.
        Undetermined = "undetermined";
    }
}
impl Copy for Verdict {}
impl Eq for Verdict {}
impl Copy for Meant {}
impl Copy for Counted {}
impl Copy for Direction {}

impl Verdict {
    /// All of them, the best for the document first.
    pub const ALL: [Verdict; 4] =
        [Verdict::Confirmed, Verdict::Plausible, Verdict::Refuted, Verdict::Undetermined];
    /// As files write it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Plausible => "plausible",
            Verdict::Refuted => "refuted",
            Verdict::Undetermined => "undetermined",
        }
    }
}

impl Meant {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Meant::Population => "people who think between requests",
            Meant::Visits => "people on a visit",
            Meant::InFlight => "requests or connections at once",
            Meant::Accounts => "accounts",
            Meant::Nobody => "",
        }
    }
}

/// The paths of one or several keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths(pub Vec<String>);

impl Shape for Paths {
    fn kind() -> Kind {
        Kind::Either(Box::new(Kind::Text), Box::new(Vec::<String>::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Array(_) => Vec::<String>::read(node, reader).map(Paths),
            _ => String::read(node, reader).map(|one| Paths(vec![one])),
        }
    }
    fn is_positive(&self) -> bool {
        !self.0.is_empty()
    }
}
