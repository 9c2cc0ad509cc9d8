//! What a product's own metrics show.
