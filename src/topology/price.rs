//! What things cost.

use super::spec::spec;
use crate::units::Money;

spec! {
    /// A fixed price.
    table Price (short "monthly") {
        /// Price of one unit a month.
        monthly: Money;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// A price by the month, by data and by requests; what is not said is free.
    table UsagePrice (short "monthly") {
        /// Price of it a month, whatever its use.
        monthly: Option<Money>;
        /// Price of a gigabyte that it carries.
        per_gb: Option<Money>;
        /// Price of a million requests that it serves.
        per_million: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// A further cost, for what is not simulated.
    table Expense {
        /// Price a month.
        monthly: Money;
        /// What it is for.
        what: String;
    }
}
