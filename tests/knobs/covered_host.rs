//! What the tests of shared machines turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    ("host", "who_stands_on_one_machine_shares_its_cores", "Host.cores Service.host Database.host"),
    ("host", "a_cache_shares_the_machine_that_it_stands_on", "Cache.host"),
    ("host", "others_on_the_machine_take_their_share", "Host.others Others.rate Others.cpu"),
    ("host", "stolen_cores_stop_who_computes", "Host.stolen Stolen.share Stolen.slice"),
    (
        "host",
        "who_goes_first_is_not_in_the_others_way",
        "Others.priority Service.priority Priority:low Priority:normal Priority:high",
    ),
    ("host", "a_statement_and_a_command_have_their_priority", "Database.priority Cache.priority"),
    ("host", "who_computes_keeps_the_core_for_a_turn", "Host.turn"),
    ("host", "others_can_be_so_many_at_a_time", "Others.at_most"),
    ("host", "who_spins_goes_by_the_clock", "Step:spin"),
    ("host", "a_machine_has_its_price", "Host.price"),
];
