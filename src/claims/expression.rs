//! Arithmetic over what files say and runs measure: `capacity(today) / 10_000`.
//!
//! Numbers may carry units (`20 * 20ms`, `85%`, `$50`, `7days`); names may contain `-` and `.`, so
//! a minus stands between spaces.

use crate::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::topology::{Kind, Node, Reader, Shape};
use crate::units::{Bandwidth, Bytes, Duration, Money, Quantity, Rate, Ratio};

/// A formula of a file: what it computes, as it is written, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// What is computed.
    pub expression: Expression,
    /// As the file says it.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// What a formula computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number, in SI units.
    Number(f64),
    /// A value that the claim gives a name.
    Name(Word),
    /// A function of its arguments.
    Call(Call),
    /// The other sign.
    Negative(Box<Expression>),
    /// Two values put together.
    Both(Box<Expression>, Operator, Box<Expression>),
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which one.
    pub function: &'static Function,
    /// What it is given.
    pub arguments: Vec<Expression>,
    /// Where it stands.
    pub place: Place,
}

/// How two values are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `^`
    Power,
}

impl Operator {
    /// As files write it.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Power => "^",
        }
    }
    /// How tightly it binds.
    pub fn rank(self) -> u8 {
        match self {
            Operator::Add | Operator::Subtract => 1,
            Operator::Multiply | Operator::Divide => 2,
            Operator::Power => 3,
        }
    }
}

/// What a function needs before it can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Its arguments only.
    Nothing,
    /// A scenario's file, compiled; nothing is run.
    Model,
    /// A run of a scenario.
    Run,
    /// The search for the largest load that a scenario carries.
    Capacity,
}

/// A function that formulas may use.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub form: &'static str,
    /// What it gives.
    pub meaning: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// How many of its first arguments are words, and how many arguments there may be in all.
    pub words: usize,
    /// The fewest and the most arguments.
    pub arguments: (usize, usize),
}

macro_rules! functions {
    ($($name:literal, $form:literal, $needs:ident, $words:literal, $least:literal..$most:literal,
       $meaning:literal;)+) => {
        /// All functions, those about runs first.
        pub static FUNCTIONS: &[Function] = &[$(Function {
            name: $name,
            form: $form,
            meaning: $meaning,
            needs: Needs::$needs,
            words: $words,
            arguments: ($least, $most),
        }),+];
    };
}
functions! {
    "of", "of(SCENARIO, METRIC) or of(SCENARIO, SUBJECT, METRIC)", Run, 3, 2..3,
        "a metric of a run by its name in the glossary, of the whole, an operation or a component";
    "capacity", "capacity(SCENARIO)", Capacity, 1, 1..1,
        "the largest load that meets the objectives: users, or requests a second of an open stream";
    "full", "full(SCENARIO, COMPONENT, SHARE)", Run, 2, 2..3,
        "the load at which a component is full to this share (all of it if unsaid)";
    "place", "place(SCENARIO, COMPONENT)", Run, 2, 2..2,
        "how many components reach their limits before or with this one as load grows: 1 is first";
    "after-first", "after-first(SCENARIO, COMPONENT)", Run, 2, 2..2,
        "the load at which a component is full over the load at which the first one is: 1 is first";
    "reaches", "reaches(SCENARIO, SUBJECT, SERIES, VALUE)", Run, 3, 4..4,
        "the time from the start of measuring until a step of the timeline first reaches a value (s)";
    "leaves", "leaves(SCENARIO, SUBJECT, SERIES, VALUE)", Run, 3, 4..4,
        "the time from the start of measuring until no step of the timeline reaches a value any more (s)";
    "during", "during(SCENARIO, SUBJECT, SERIES, FROM, TO)", Run, 3, 5..5,
        "the mean of the timeline between two times after the start of measuring";
    "highest", "highest(SCENARIO, SUBJECT, SERIES)", Run, 3, 3..3,
        "the highest step of the timeline";
    "demand", "demand(SCENARIO, COMPONENT)", Model, 2, 2..2,
        "time for which a request of the mix occupies servers of a component (s); nothing is run";
    "asked", "asked(SCENARIO, COMPONENT)", Model, 2, 2..2,
        "servers of a component that the file's load would occupy if nobody waited (erlangs)";
    "servers", "servers(SCENARIO, COMPONENT)", Model, 2, 2..2,
        "servers that a component has: connections, cores, loops";
    "visits", "visits(SCENARIO, COMPONENT)", Model, 2, 2..2,
        "how often a request of the mix comes to a component";
    "rate", "rate(SCENARIO)", Model, 1, 1..1,
        "requests a second that the file's load would make if nobody waited";
    "users", "users(SCENARIO)", Model, 1, 1..1,
        "the population of the file";
    "response", "response(SCENARIO)", Model, 1, 1..1,
        "mean time of a request that never waits (s)";
    "knee", "knee(SCENARIO)", Model, 1, 1..1,
        "users from which on queueing cannot be avoided: the bottleneck's bound meets the light-load bound";
    "knob", "knob(SCENARIO, PATH)", Model, 2, 2..2,
        "a value as the scenario's file has it, in SI units";
    "erlang-b", "erlang-b(SERVERS, LOAD)", Nothing, 0, 2..2,
        "the share of arrivals that finds all servers busy where nobody waits";
    "erlang-c", "erlang-c(SERVERS, LOAD)", Nothing, 0, 2..2,
        "the share of arrivals that has to wait where everybody does";
    "wait-mmc", "wait-mmc(SERVERS, LOAD, SERVICE)", Nothing, 0, 3..3,
        "the mean wait in M/M/c with a load in erlangs and a mean service time (s)";
    "ttl-hits", "ttl-hits(REQUESTS)", Nothing, 0, 1..1,
        "the hit ratio of a key that is asked for so often within its time to live";
    "harmonic", "harmonic(COUNT, EXPONENT)", Nothing, 0, 2..2,
        "the sum of 1/k^exponent for k up to a count: what Zipf's law divides by";
    "moved", "moved(BEFORE, AFTER)", Nothing, 0, 2..2,
        "the share of keys that change their shard when a modulo changes";
    "min", "min(A, B, ...)", Nothing, 0, 1..9, "the smallest";
    "max", "max(A, B, ...)", Nothing, 0, 1..9, "the greatest";
    "sqrt", "sqrt(A)", Nothing, 0, 1..1, "the square root";
    "ln", "ln(A)", Nothing, 0, 1..1, "the natural logarithm";
    "exp", "exp(A)", Nothing, 0, 1..1, "e to this power";
    "ceil", "ceil(A)", Nothing, 0, 1..1, "the next whole number";
}

impl Formula {
    /// A formula that stands for a number.
    pub fn number(value: f64) -> Formula {
        let place = Place::default();
        Formula { expression: Expression::Number(value), text: value.to_string(), place }
    }
    /// The calls of a formula, the inner ones included.
    pub fn calls(&self) -> Vec<&Call> {
        let mut found = Vec::new();
        collect(&self.expression, &mut |it| {
            if let Expression::Call(call) = it {
                found.push(call);
            }
        });
        found
    }
    /// The names that a formula uses, those of functions' words left out.
    pub fn names(&self) -> Vec<&Word> {
        let mut found = Vec::new();
        names(&self.expression, &mut found);
        found
    }
}

fn collect<'a>(expression: &'a Expression, see: &mut impl FnMut(&'a Expression)) {
    see(expression);
    match expression {
        Expression::Number(_) | Expression::Name(_) => {}
        Expression::Negative(inner) => collect(inner, see),
        Expression::Both(left, _, right) => {
            collect(left, see);
            collect(right, see);
        }
        Expression::Call(call) => call.arguments.iter().for_each(|it| collect(it, see)),
    }
}

fn names<'a>(expression: &'a Expression, found: &mut Vec<&'a Word>) {
    match expression {
        Expression::Number(_) => {}
        Expression::Name(word) => found.push(word),
        Expression::Negative(inner) => names(inner, found),
        Expression::Both(left, _, right) => {
            names(left, found);
            names(right, found);
        }
        Expression::Call(call) => {
            let values = call.arguments.iter().skip(call.function.words);
            values.for_each(|it| names(it, found));
        }
    }
}

impl Call {
    /// The words among its arguments, in order.
    pub fn words(&self) -> Vec<&str> {
        let words = self.arguments.iter().take(self.function.words);
        let words = words.filter_map(|it| match it {
            Expression::Name(word) => Some(word.text.as_str()),
            _ => None,
        });
        words.collect()
    }
    /// The scenario that it is about.
    pub fn scenario(&self) -> Option<&Word> {
        match (self.function.needs, self.arguments.first()) {
            (Needs::Nothing, _) => None,
            (_, Some(Expression::Name(word))) => Some(word),
            _ => None,
        }
    }
}

impl Shape for Formula {
    fn kind() -> Kind {
        Kind::Form { what: "a formula", example: "\"capacity(today)\"" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        use crate::topology::Value;
        let text = match &node.value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return reader.wrong_type(node, &Self::kind()),
        };
        // A text stands within quotes; its places are one further.
        let offset = usize::from(node.text().is_some());
        let mut parser = Parser { text: &text, at: 0, node, offset };
        match parser.whole() {
            Ok(expression) => Some(Formula { expression, text, place: node.place.clone() }),
            Err(found) => reader.wrong(*found),
        }
    }
}
impl crate::topology::shape::Item for Formula {}

type Parsed = Result<Expression, Box<Diagnostic>>;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    node: &'a Node,
    offset: usize,
}

impl Parser<'_> {
    fn place(&self, from: usize) -> Place {
        let start = self.node.place.span.start + self.offset;
        let end = start + self.at.max(from + 1).min(self.text.len().max(from + 1));
        Place { source: self.node.place.source, span: start + from..end }
    }
    fn wrong(&self, from: usize, message: String, help: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error("bad-formula", self.place(from), message).help(help))
    }
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
    fn skip(&mut self) {
        let spaces = self.rest().len() - self.rest().trim_start().len();
        self.at += spaces;
    }
    fn take(&mut self, token: char) -> bool {
        self.skip();
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len_utf8();
        }
        there
    }

    fn whole(&mut self) -> Parsed {
        let expression = self.sum(0)?;
        self.skip();
        if self.rest().is_empty() {
            return Ok(expression);
        }
        let message = format!("`{}` does not belong here", self.rest());
        Err(self.wrong(self.at, message, "between two values stands one of `+ - * / ^`"))
    }

    fn operator(&mut self) -> Option<Operator> {
        self.skip();
        Some(match self.rest().chars().next()? {
            '+' => Operator::Add,
            '-' => Operator::Subtract,
            '*' => Operator::Multiply,
            '/' => Operator::Divide,
            '^' => Operator::Power,
            _ => return None,
        })
    }

    /// What binds more tightly than `rank`.
    fn sum(&mut self, rank: u8) -> Parsed {
        let mut left = self.value()?;
        while let Some(operator) = self.operator().filter(|it| it.rank() > rank) {
            self.at += 1;
            let right = self.sum(operator.rank())?;
            left = Expression::Both(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    fn value(&mut self) -> Parsed {
        self.skip();
        let from = self.at;
        let next = self.rest().chars().next();
        match next {
            Some('-') => {
                self.at += 1;
                Ok(Expression::Negative(Box::new(self.value()?)))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.sum(0)?;
                match self.take(')') {
                    true => Ok(inner),
                    false => {
                        Err(self.wrong(from, "this `(` is never closed".into(), "write a `)`"))
                    }
                }
            }
            Some('$') => self.number(),
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.word(),
            _ => Err(self.wrong(
                from,
                "a value is missing here".into(),
                "write a number, a name or a function such as `capacity(SCENARIO)`",
            )),
        }
    }

    fn number(&mut self) -> Parsed {
        let from = self.at;
        if self.rest().starts_with('$') {
            self.at += 1;
        }
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_');
        self.at += self.rest().find(|c: char| !digits(c)).unwrap_or(self.rest().len());
        let letters = |c: char| c.is_ascii_alphabetic() || matches!(c, '%' | 'µ');
        self.at += self.rest().find(|c: char| !letters(c)).unwrap_or(self.rest().len());
        for tail in ["/s", "/min", "/h", "/day"] {
            let ends = |rest: &str| {
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '('))
            };
            if self.rest().strip_prefix(tail).is_some_and(ends) {
                self.at += tail.len();
                break;
            }
        }
        let text = &self.text[from..self.at];
        match si(text) {
            Some(number) => Ok(Expression::Number(number)),
            None => {
                let message = format!("`{text}` is no number with a unit");
                Err(self.wrong(
                    from,
                    message,
                    "write `10_000`, `85%`, `20ms`, `10/s`, `5KB` or `$50`",
                ))
            }
        }
    }

    fn word(&mut self) -> Parsed {
        let from = self.at;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        self.at += self.rest().find(|c: char| !letters(c)).unwrap_or(self.rest().len());
        let text = self.text[from..self.at].to_string();
        let place = self.place(from);
        if !self.rest().starts_with('(') {
            return Ok(Expression::Name(Word { text, place }));
        }
        let Some(function) = FUNCTIONS.iter().find(|it| it.name == text) else {
            let help = did_you_mean(&text, FUNCTIONS.iter().map(|it| it.name))
                .unwrap_or_else(|| "`loadbearing claims --functions` lists them all".into());
            return Err(self.wrong(from, format!("there is no function `{text}`"), &help));
        };
        self.at += 1;
        let mut arguments = Vec::new();
        while !self.take(')') {
            arguments.push(self.sum(0)?);
            if !self.take(',')
                && !{
                    self.skip();
                    self.rest().starts_with(')')
                }
            {
                return Err(self.wrong(from, format!("`{text}(` is never closed"), "write a `)`"));
            }
        }
        let place = self.place(from);
        let call = Call { function, arguments, place };
        match fault(&call) {
            None => Ok(Expression::Call(call)),
            Some(message) => Err(self.wrong(from, message, &format!("write `{}`", function.form))),
        }
    }
}

/// What is wrong with the arguments of a call.
fn fault(call: &Call) -> Option<String> {
    let Function { name, arguments: (least, most), words, .. } = call.function;
    let count = call.arguments.len();
    if !(*least..=*most).contains(&count) {
        return Some(format!("`{name}` does not take {count} values"));
    }
    let wordless = |it: &Expression| !matches!(it, Expression::Name(_));
    let index = call.arguments.iter().take(*words).position(wordless)?;
    Some(format!("the value number {} of `{name}` must be a name", index + 1))
}

/// A number with any unit, in SI units.
pub fn si(text: &str) -> Option<f64> {
    if let Ok(number) = text.replace('_', "").parse::<f64>() {
        return Some(number);
    }
    let found = [
        Duration::parse(text).map(Duration::seconds),
        Ratio::parse(text).map(|it| it.0),
        Rate::parse(text).map(|it| it.0),
        Bytes::parse(text).map(|it| it.0),
        Bandwidth::parse(text).map(|it| it.0),
        Money::parse(text).map(|it| it.0),
    ];
    found.into_iter().find_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Value;

    fn parse(text: &str) -> Result<Formula, String> {
        let node = Node { value: Value::String(text.into()), place: Place::default() };
        let mut reader = Reader::default();
        Formula::read(&node, &mut reader).ok_or_else(|| reader.diagnostics[0].message.clone())
    }

    #[test]
    fn units_and_names_with_a_minus_are_understood() {
        let near = |text: &str, expected: f64| {
            let Expression::Number(found) = parse(text).unwrap().expression else { panic!() };
            assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{text}: {found}");
        };
        near("10_000", 1e4);
        near("85%", 0.85);
        near("20ms", 0.02);
        near("7days", 604_800.0);
        near("$50", 50.0);
        near("100Mbit/s", 1e8);
        near("60/min", 1.0);
        let formula = parse("of(phase-1, pool.pg, busy) - 2 / rate(phase-1)").unwrap();
        let scenarios: Vec<&str> = formula
            .calls()
            .iter()
            .filter_map(|it| it.scenario())
            .map(|it| it.text.as_str())
            .collect();
        assert_eq!(scenarios, ["phase-1", "phase-1"]);
        assert!(matches!(formula.expression, Expression::Both(_, Operator::Subtract, _)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("2 +", "a value is missing here"),
            ("(2", "this `(` is never closed"),
            ("2 3", "`3` does not belong here"),
            ("capacty(a)", "there is no function `capacty`"),
            ("capacity(a, b)", "`capacity` does not take 2 values"),
            ("capacity(2)", "the value number 1 of `capacity` must be a name"),
            ("5parsec", "`5parsec` is no number with a unit"),
        ] {
            assert_eq!(parse(text).unwrap_err(), message, "{text}");
        }
    }
}
