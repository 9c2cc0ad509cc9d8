//! Numbers for people: three digits that mean something, in the unit that reads best.

use crate::result::{Estimate, Unit};

/// Nothing was measured, or there is nothing to say.
pub const NOTHING: &str = "-";

/// A value with its unit: `12.3 ms`, `981/s`, `4.5 %`, `$20`.
pub fn value(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return NOTHING.into();
    }
    let scale = Scale::of(value, unit);
    scale.write(&digits(value / scale.factor, 3))
}

/// A value with its unit, or a dash.
pub fn optional(value_or_none: Option<f64>, unit: Unit) -> String {
    value_or_none.map_or(NOTHING.into(), |it| value(it, unit))
}

/// An estimate with half the width of its interval: `12.3 ±0.4 ms`.
pub fn estimate(estimate: &Estimate, unit: Unit) -> String {
    let Some(centre) = estimate.estimate else { return NOTHING.into() };
    let Some(half) = estimate.half_width().filter(|half| *half > 0.0) else {
        return value(centre, unit);
    };
    // The larger of both decides: `-0.2 ±1 ms`, and not `-222 ±1,035 us`.
    let scale = Scale::of(centre.abs().max(half), unit);
    let centre_text = digits(centre / scale.factor, 3);
    let half_text = digits(half / scale.factor, 2);
    scale.write(&format!("{centre_text} ±{half_text}"))
}

/// The interval of an estimate: `11.9 … 12.7 ms`.
pub fn interval(estimate: &Estimate, unit: Unit) -> String {
    let (Some(low), Some(high)) = (estimate.low, estimate.high) else { return NOTHING.into() };
    let scale = Scale::of(high, unit);
    scale.write(&format!("{} … {}", digits(low / scale.factor, 3), digits(high / scale.factor, 3)))
}

/// A difference, always with its sign: `+3.1 ±0.2 ms`.
pub fn difference(found: &Estimate, unit: Unit) -> String {
    let text = estimate(found, unit);
    // Shares differ by percentage points.
    let text = if unit == Unit::Ratio { text.replace(" %", " pp") } else { text };
    let positive = found.estimate.is_some_and(|value| value > 0.0);
    if positive { format!("+{text}") } else { text }
}

/// A multiple of the present load: `1.9x`.
pub fn factor(factor: f64) -> String {
    if factor >= 1_000.0 { "> 1,000x".into() } else { format!("{}x", digits(factor, 2)) }
}

/// A number of users, rounded to three digits: more would pretend to know.
pub fn users(count: f64) -> String {
    value(rounded(count, 3), Unit::Count)
}

fn rounded(number: f64, significant: i32) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let magnitude = libm::floor(libm::log10(number.abs())) as i32;
    let step = libm::pow(10.0, f64::from(magnitude - significant + 1));
    libm::round(number / step) * step
}

/// A unit and its multiple.
struct Scale {
    factor: f64,
    before: &'static str,
    after: &'static str,
}

impl Scale {
    fn of(value: f64, unit: Unit) -> Scale {
        let magnitude = value.abs();
        let (factor, before, after) = match unit {
            Unit::Seconds => match magnitude {
                0.0 => (1e-3, "", " ms"),
                m if m < 0.999_5e-6 => (1e-9, "", " ns"),
                m if m < 0.999_5e-3 => (1e-6, "", " us"),
                m if m < 0.999_5 => (1e-3, "", " ms"),
                m if m < 119.5 => (1.0, "", " s"),
                m if m < 7_170.0 => (60.0, "", " min"),
                _ => (3_600.0, "", " h"),
            },
            Unit::PerSecond => (1.0, "", "/s"),
            Unit::Ratio => (0.01, "", " %"),
            Unit::Count => (1.0, "", ""),
            Unit::Dollars => (1.0, "$", ""),
        };
        Scale { factor, before, after }
    }
    fn write(&self, number: &str) -> String {
        match number.strip_prefix('-') {
            Some(rest) => format!("-{}{rest}{}", self.before, self.after),
            None => format!("{}{number}{}", self.before, self.after),
        }
    }
}

/// So many significant digits, the whole part always in full: `1,234`, `12.3`, `0.0123`.
pub fn digits(number: f64, significant: i32) -> String {
    let magnitude = number.abs();
    if magnitude < 1e-12 {
        return "0".into();
    }
    let whole_digits = libm::floor(libm::log10(magnitude)) as i32 + 1;
    let places = (significant - whole_digits).clamp(0, 6) as usize;
    let text = format!("{magnitude:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    if number < 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        out.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_in_the_unit_that_reads_best() {
        for (number, unit, text) in [
            (0.012_34, Unit::Seconds, "12.3 ms"),
            (0.999_96, Unit::Seconds, "1 s"),
            (150.0, Unit::Seconds, "2.5 min"),
            (0.0, Unit::Seconds, "0 ms"),
            (12_345.6, Unit::PerSecond, "12,346/s"),
            (0.000_123, Unit::Ratio, "0.0123 %"),
            (-20.0, Unit::Dollars, "-$20"),
            (f64::INFINITY, Unit::Count, "-"),
        ] {
            assert_eq!(value(number, unit), text);
        }
    }

    #[test]
    fn an_estimate_shares_its_unit_with_its_interval() {
        let found = Estimate { estimate: Some(0.0123), low: Some(0.0119), high: Some(0.0127) };
        assert_eq!(estimate(&found, Unit::Seconds), "12.3 ±0.4 ms");
        assert_eq!(interval(&found, Unit::Seconds), "11.9 … 12.7 ms");
        assert_eq!(difference(&found, Unit::Seconds), "+12.3 ±0.4 ms");
        assert_eq!(estimate(&Estimate::exact(0.5), Unit::Ratio), "50 %");
        let wide = Estimate { estimate: Some(-222e-6), low: Some(-1.3e-3), high: Some(0.8e-3) };
        assert_eq!(estimate(&wide, Unit::Seconds), "-0.222 ±1 ms");
    }
}
