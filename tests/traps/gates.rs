//! Limiters, guards, breakers, shedding.
