//! Quantities with their units: the only way a number with a dimension enters or leaves the program.
//!
//! Simulated time is an integer number of picoseconds, so that sums do not depend on their order:
//! 2^64 ps are 213 days, and what lies beyond them is never: sums saturate. Every quantity in a file carries its unit (`"250ms"`, `"1200/s"`, `"64MiB"`,
//! `"100Mbit/s"`, `"2.5%"`, `"$20"`); a bare number is an error.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Ticks (picoseconds) in one second.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000_000;
/// Hours in the month that prices are stated for (365.25 days / 12, rounded as cloud price lists do).
pub const HOURS_PER_MONTH: f64 = 730.0;

/// A point in simulated time, in ticks since the start of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Time(pub u64);

/// A length of simulated time, in ticks. Never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Duration(pub u64);

impl Time {
    /// The start of every run.
    pub const ZERO: Time = Time(0);
    /// Later than any event: "never". Runs end before, and so what would come later comes never.
    pub const NEVER: Time = Time(u64::MAX);

    /// Seconds since the start of the run (s).
    pub fn seconds(self) -> f64 {
        self.0 as f64 / TICKS_PER_SECOND as f64
    }
    /// The length of time from `earlier` to `self`.
    ///
    /// # Panics
    /// If `earlier` is later than `self`.
    #[inline(always)]
    pub fn since(self, earlier: Time) -> Duration {
        debug_assert!(self.0 >= earlier.0, "time runs forward");
        Duration(self.0 - earlier.0)
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// Longer than any run: "for ever".
    pub const FOREVER: Duration = Duration(u64::MAX);

    /// `count` nanoseconds.
    pub const fn nanos(count: u64) -> Duration {
        Duration(count * 1_000)
    }
    /// `count` microseconds.
    pub const fn micros(count: u64) -> Duration {
        Duration(count * 1_000_000)
    }
    /// `count` milliseconds.
    pub const fn millis(count: u64) -> Duration {
        Duration(count * 1_000_000_000)
    }
    /// `count` whole seconds.
    pub const fn secs(count: u64) -> Duration {
        Duration(count * TICKS_PER_SECOND)
    }
    /// From seconds (s), rounded to the nearest tick; negative and NaN become zero, and what does not
    /// fit becomes [`Duration::FOREVER`]. The only place where a float becomes time.
    #[inline(always)]
    pub fn from_secs_f64(seconds: f64) -> Duration {
        Duration((seconds * TICKS_PER_SECOND as f64 + 0.5) as u64)
    }
    /// In seconds (s).
    #[inline(always)]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / TICKS_PER_SECOND as f64
    }
    /// True for zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
    /// This length times a non-negative factor, rounded to the nearest tick.
    pub fn scale(self, factor: f64) -> Duration {
        Duration((self.0 as f64 * factor + 0.5) as u64)
    }
    /// Half of it (one way of a round trip).
    #[inline(always)]
    pub fn half(self) -> Duration {
        Duration(self.0 / 2)
    }
}

/// The sum, or [`Time::NEVER`].
impl Add<Duration> for Time {
    type Output = Time;
    #[inline(always)]
    fn add(self, length: Duration) -> Time {
        Time(self.0.saturating_add(length.0))
    }
}
impl Sub for Time {
    type Output = Duration;
    #[inline(always)]
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}
/// The sum, or [`Duration::FOREVER`].
impl Add for Duration {
    type Output = Duration;
    #[inline(always)]
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}
impl AddAssign for Duration {
    #[inline(always)]
    fn add_assign(&mut self, other: Duration) {
        self.0 = self.0.saturating_add(other.0);
    }
}
impl Sub for Duration {
    type Output = Duration;
    #[inline(always)]
    fn sub(self, other: Duration) -> Duration {
        Duration(self.0 - other.0)
    }
}

macro_rules! quantity {
    ($(#[$meta:meta])* $Name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default)]
        pub struct $Name(pub f64);
    };
}
quantity! {
    /// Events per second (1/s).
    Rate
}
quantity! {
    /// An amount of data (bytes).
    Bytes
}
quantity! {
    /// Data per second (bit/s).
    Bandwidth
}
quantity! {
    /// A pure number: a share of a whole (`"30%"`, 0.3) or a multiple (`"120%"`, 1.2).
    Ratio
}
quantity! {
    /// Money (US dollars).
    Money
}

/// Why a text is not the quantity it should be: one sentence, and what to write instead.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// A quantity that can be read from the text in a file and written back for people.
pub trait Quantity: Sized {
    /// What it is, for messages: `a duration`.
    const WHAT: &'static str;
    /// Examples, for messages: `"250ms"`, `"30s"`.
    const EXAMPLES: &'static str;
    /// The units that a bare number may have meant, the likeliest first.
    const UNITS: &'static [&'static str];
    /// From a number and its unit; `None` when the unit is not one of this quantity's.
    fn from_parts(number: f64, unit: &str) -> Option<Self>;
    /// For people, in the unit that reads best.
    fn show(&self) -> String;

    /// What to write instead of a bare number: no guess where several units are as likely.
    fn with_units(number: &str) -> String {
        let forms: Vec<String> = Self::UNITS
            .iter()
            .map(|unit| match *unit {
                "$" => format!("`\"${number}\"`"),
                unit => format!("`\"{number}{unit}\"`"),
            })
            .collect();
        match forms.split_last() {
            Some((only, [])) => format!("did you mean {only}?"),
            Some((last, others)) => format!("say which: {} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// Reads `"250ms"`: a number directly followed by (or one space before) its unit.
    fn parse(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        let (sign, rest) = match trimmed.strip_prefix('$') {
            Some(rest) => ("$", rest),
            None => ("", trimmed),
        };
        let digits = rest
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '+' | 'e')))
            .unwrap_or(rest.len());
        let (mut number, mut unit) = rest.split_at(digits);
        if let Some(stripped) = number.strip_suffix('e') {
            (number, unit) = (stripped, &rest[stripped.len()..]);
        }
        let unit = format!("{sign}{}", unit.trim());
        let value: Option<f64> = number.replace('_', "").parse().ok();
        let Some(value) = value.filter(|v| v.is_finite()) else {
            return Err(UnitError {
                message: format!("`{text}` is not {}", Self::WHAT),
                help: format!("write {}", Self::EXAMPLES),
            });
        };
        if value < 0.0 {
            return Err(UnitError {
                message: format!("`{text}` is negative"),
                help: format!("{} is never negative; write {}", Self::WHAT, Self::EXAMPLES),
            });
        }
        Self::from_parts(value, &unit).ok_or_else(|| {
            if unit.is_empty() {
                UnitError {
                    message: format!("`{text}` has no unit"),
                    help: Self::with_units(number),
                }
            } else {
                UnitError {
                    message: format!("`{unit}` is not a unit of {}", Self::WHAT),
                    help: format!("write {}", Self::EXAMPLES),
                }
            }
        })
    }
}

fn per_time(unit: &str) -> Option<f64> {
    Some(match unit {
        "/s" => 1.0,
        "/min" => 1.0 / 60.0,
        "/h" => 1.0 / 3_600.0,
        "/day" => 1.0 / 86_400.0,
        _ => return None,
    })
}

/// A number for people: three significant digits, thousands as `1,234`.
pub fn show_number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        let whole = format!("{magnitude:.0}");
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return if value < 0.0 { format!("-{grouped}") } else { grouped };
    }
    let places = match magnitude {
        m if m == 0.0 || m.fract() == 0.0 => 0,
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        m if m >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

impl Quantity for Duration {
    const WHAT: &'static str = "a duration";
    const EXAMPLES: &'static str = "`\"250ms\"`, `\"30s\"` or `\"20min\"`";
    const UNITS: &'static [&'static str] = &["ms", "s", "min"];
    fn from_parts(number: f64, unit: &str) -> Option<Duration> {
        let seconds = match unit {
            "ps" => 1e-12,
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3_600.0,
            "day" | "days" | "d" => 86_400.0,
            _ => return None,
        };
        Some(Duration::from_secs_f64(number * seconds))
    }
    fn show(&self) -> String {
        if *self == Duration::FOREVER {
            return "for ever".into();
        }
        let s = self.seconds();
        let (value, unit) = match s {
            0.0 => (0.0, "ms"),
            s if s < 1e-6 => (s * 1e9, "ns"),
            s if s < 1e-3 => (s * 1e6, "us"),
            s if s < 1.0 => (s * 1e3, "ms"),
            s if s < 120.0 => (s, "s"),
            s if s < 7_200.0 => (s / 60.0, "min"),
            s if s < 172_800.0 => (s / 3_600.0, "h"),
            s => (s / 86_400.0, "days"),
        };
        format!("{} {unit}", show_number(value))
    }
}
impl Quantity for Rate {
    const WHAT: &'static str = "a rate";
    const EXAMPLES: &'static str = "`\"1200/s\"`, `\"100/min\"` or `\"7143/day\"`";
    const UNITS: &'static [&'static str] = &["/s", "/min"];
    fn from_parts(number: f64, unit: &str) -> Option<Rate> {
        Some(Rate(number * per_time(unit)?))
    }
    fn show(&self) -> String {
        format!("{}/s", show_number(self.0))
    }
}
impl Quantity for Bytes {
    const WHAT: &'static str = "an amount of data";
    const EXAMPLES: &'static str = "`\"10KB\"`, `\"64MiB\"` or `\"1GB\"`";
    const UNITS: &'static [&'static str] = &["B", "KB", "MB", "GB"];
    fn from_parts(number: f64, unit: &str) -> Option<Bytes> {
        Some(Bytes(
            number
                * match unit {
                    "B" => 1.0,
                    "KB" | "kB" => 1e3,
                    "MB" => 1e6,
                    "GB" => 1e9,
                    "TB" => 1e12,
                    "KiB" => 1024.0,
                    "MiB" => 1_048_576.0,
                    "GiB" => 1_073_741_824.0,
                    "TiB" => 1_099_511_627_776.0,
                    _ => return None,
                },
        ))
    }
    fn show(&self) -> String {
        let (value, unit) = match self.0 {
            b if b < 1e3 => (b, "B"),
            b if b < 1e6 => (b / 1e3, "KB"),
            b if b < 1e9 => (b / 1e6, "MB"),
            b if b < 1e12 => (b / 1e9, "GB"),
            b => (b / 1e12, "TB"),
        };
        format!("{} {unit}", show_number(value))
    }
}
impl Quantity for Bandwidth {
    const WHAT: &'static str = "a bandwidth";
    const EXAMPLES: &'static str = "`\"100Mbit/s\"` or `\"10Gbit/s\"`";
    const UNITS: &'static [&'static str] = &["Mbit/s", "Gbit/s"];
    fn from_parts(number: f64, unit: &str) -> Option<Bandwidth> {
        Some(Bandwidth(
            number
                * match unit {
                    "bit/s" => 1.0,
                    "kbit/s" | "Kbit/s" | "Kbps" | "kbps" => 1e3,
                    "Mbit/s" | "Mbps" => 1e6,
                    "Gbit/s" | "Gbps" => 1e9,
                    "MB/s" => 8e6,
                    "MiB/s" => 8.0 * 1_048_576.0,
                    _ => return None,
                },
        ))
    }
    fn show(&self) -> String {
        let (value, unit) = match self.0 {
            b if b < 1e6 => (b / 1e3, "kbit/s"),
            b if b < 1e9 => (b / 1e6, "Mbit/s"),
            b => (b / 1e9, "Gbit/s"),
        };
        format!("{} {unit}", show_number(value))
    }
}
impl Quantity for Ratio {
    const WHAT: &'static str = "a share";
    const EXAMPLES: &'static str = "`\"30%\"` or `\"2.5%\"`";
    const UNITS: &'static [&'static str] = &["%"];
    fn with_units(number: &str) -> String {
        // 0.01 is a hundredth for most who write it so.
        match number.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 1.0 => {
                format!("say which: `\"{}\"` or `\"{number}%\"`", Ratio(share).show())
            }
            _ => format!("did you mean `\"{number}%\"`?"),
        }
    }
    fn from_parts(number: f64, unit: &str) -> Option<Ratio> {
        match unit {
            "%" => Some(Ratio(number / 100.0)),
            "‰" => Some(Ratio(number / 1000.0)),
            _ => None,
        }
    }
    fn show(&self) -> String {
        format!("{} %", show_number(self.0 * 100.0))
    }
}
impl Quantity for Money {
    const WHAT: &'static str = "a price a month";
    const EXAMPLES: &'static str = "`\"$20\"` (a month)";
    const UNITS: &'static [&'static str] = &["$"];
    fn from_parts(number: f64, unit: &str) -> Option<Money> {
        match unit {
            "$" | "$/month" | "USD" | "USD/month" => Some(Money(number)),
            _ => None,
        }
    }
    fn show(&self) -> String {
        format!("${}", show_number(self.0))
    }
}

macro_rules! display {
    ($($Name:ty),+) => { $(impl fmt::Display for $Name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.show()) }
    })+ };
}
display!(Duration, Rate, Bytes, Bandwidth, Ratio, Money);
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Time::NEVER { f.write_str("never") } else { Duration(self.0).fmt(f) }
    }
}
impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ps", self.0)
    }
}
impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ps", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_to_ticks() {
        assert_eq!(Duration::parse("250ms"), Ok(Duration::millis(250)));
        assert_eq!(Duration::parse("1.5 s"), Ok(Duration::millis(1500)));
        assert_eq!(Duration::parse("7days"), Ok(Duration::secs(604_800)));
        assert_eq!(Duration::parse("1e-3s"), Ok(Duration::millis(1)));
        let help = Duration::parse("20").unwrap_err().help;
        assert_eq!(help, "say which: `\"20ms\"`, `\"20s\"` or `\"20min\"`");
        assert!(Duration::parse("20KB").unwrap_err().message.contains("not a unit"));
        assert!(Duration::parse("-1s").unwrap_err().message.contains("negative"));
        assert!(Duration::parse("soon").is_err());
    }

    #[test]
    fn other_quantities_parse() {
        assert_eq!(Rate::parse("120/min"), Ok(Rate(2.0)));
        assert_eq!(Bytes::parse("1KiB"), Ok(Bytes(1024.0)));
        assert_eq!(Bandwidth::parse("100Mbps"), Ok(Bandwidth(1e8)));
        assert_eq!(Ratio::parse("2.5%"), Ok(Ratio(0.025)));
        assert_eq!(Money::parse("$1_000"), Ok(Money(1000.0)));
    }

    #[test]
    fn people_see_the_unit_that_reads_best() {
        assert_eq!(Duration::millis(12).show(), "12 ms");
        assert_eq!(Duration::nanos(12_340_000).show(), "12.3 ms");
        assert_eq!(Bytes(10_000.0).show(), "10 KB");
        assert_eq!(show_number(1_234_567.0), "1,234,567");
        assert_eq!(show_number(0.05), "0.05");
    }

    #[test]
    fn time_never_wraps() {
        assert_eq!(Time(u64::MAX - 1) + Duration(1), Time::NEVER);
        assert_eq!(Time(u64::MAX - 1) + Duration(2), Time::NEVER);
        assert_eq!(Time(u64::MAX - 2) + Duration(1), Time(u64::MAX - 1));
        assert_eq!(Duration(u64::MAX - 1) + Duration(2), Duration::FOREVER);
        let mut sum = Duration::FOREVER;
        sum += Duration::FOREVER;
        assert_eq!(sum, Duration::FOREVER);
        assert_eq!(Duration::parse("365day"), Ok(Duration::FOREVER));
    }
}
