//! Rows of a figure's data.

use serde_json::{Map, Value, json};

/// The rows of a figure's data: JSON objects of the same fields.
#[derive(Clone, Debug, Default)]
pub struct Rows(Vec<Value>);

impl Rows {
    /// One more row.
    ///
    /// # Panics
    /// If it is no object: a bug of the figure.
    pub fn add(&mut self, row: Value) {
        assert!(row.is_object(), "a row has named fields");
        self.0.push(row);
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// As JSON.
    pub fn into_values(self) -> Vec<Value> {
        self.0
    }
}

/// A number with as many digits as a picture can show: files stay small.
pub fn shown(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return if value.is_finite() { json!(0) } else { Value::Null };
    }
    let magnitude = libm::floor(libm::log10(value.abs())) as i32;
    // Six significant digits, through text: a product of powers would add digits of its own.
    let places = (5 - magnitude).max(0) as usize;
    let text = format!("{value:.places$}");
    text.parse::<f64>().map_or(Value::Null, |number| {
        if number == libm::trunc(number) && number.abs() < 1e15 {
            json!(number as i64)
        } else {
            json!(number)
        }
    })
}

/// A row with these fields and, where there is more than one design, whose it is.
pub fn row(model: Option<&str>, fields: &[(&str, Value)]) -> Value {
    let mut object = Map::new();
    if let Some(model) = model {
        object.insert("design".into(), json!(model));
    }
    object.extend(fields.iter().map(|(name, value)| (name.to_string(), value.clone())));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_kept() {
        assert_eq!(shown(0.123_456_789), json!(0.123_457));
        assert_eq!(shown(1_234_567.8), json!(1_234_568));
        assert_eq!(shown(0.0), json!(0));
        assert_eq!(shown(f64::INFINITY), Value::Null);
        assert_eq!(shown(1.234_567e-9), json!(1.234_57e-9));
    }
}
