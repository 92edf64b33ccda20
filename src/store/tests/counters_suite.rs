//! The list of behaviours that every counter store has, stamped for each backend. A new backend adds one line here.

use super::counters_env::Env;

/// Calls `$each! { $with; module: name, …; … }` with the whole list.
macro_rules! behaviours {
    ($each:ident, $with:tt) => {
        $each! { $with;
            counters_admit: a_first_reserve_is_admitted_with_its_numbers,
            counters_admit: the_limit_itself_is_admitted_and_one_more_refused,
            counters_admit: racers_on_the_last_units_are_admitted_exactly,
            counters_admit: a_refusal_changes_nothing,
            counters_admit: pool_member_premium_burst_and_parallel_in_one_reserve,
            counters_admit: a_limit_of_zero_blocks,
            counters_admit: a_lowered_limit_binds_at_once,
            counters_admit: an_amount_that_overfills_is_refused_and_a_smaller_one_passes,
            counters_admit: large_amounts_stay_exact,
            counters_admit: a_rate_gives_its_burst_and_refills_evenly,
            counters_admit: open_requests_are_counted_while_they_live,
            counters_admit: domains_do_not_touch_each_other,
            counters_admit: reading_takes_nothing_and_agrees_with_the_decision,
            counters_repeat: three_attempts_cost_one_and_the_fourth_is_a_new_message,
            counters_repeat: an_attempt_that_was_not_charged_makes_no_repeat,
            counters_repeat: attempts_charged_at_once_allow_two_repeats_in_all,
            counters_repeat: racing_repeats_are_free_twice,
            counters_repeat: a_repeat_comes_within_ten_minutes_of_the_admission,
            counters_repeat: bursts_open_requests_and_blocks_hold_for_repeats,
            counters_repeat: a_cold_domain_charges_again,
            counters_life: settle_turns_the_hold_into_use,
            counters_life: a_release_costs_nothing,
            counters_life: a_second_settle_does_nothing,
            counters_life: a_repeated_reserve_has_one_hold_and_the_same_answer,
            counters_life: a_reserve_that_arrives_after_its_settle_holds_nothing,
            counters_life: a_request_over_the_months_turn_settles_where_it_was_held,
            counters_life: a_reset_opens_a_fresh_count_and_leaves_requests_in_flight_in_the_old,
            counters_life: an_epoch_never_goes_back,
            counters_life: an_expired_hold_is_given_back,
            counters_life: only_expired_holds_are_given_back,
            counters_life: a_settle_after_the_lease_is_added_once_and_late,
            counters_life: a_renewed_hold_stands_and_a_lost_one_is_named,
            counters_life: a_shortened_lease_ends_when_it_says,
            counters_life: a_sweep_gives_back_what_expired,
            counters_life: a_crowd_of_whole_requests_sums_up_exactly,
            counters_cold: a_cold_domain_is_cold_to_every_call,
            counters_cold: a_loaded_domain_has_the_ledgers_numbers,
            counters_cold: the_first_of_several_loaders_wins,
            counters_cold: racing_loaders_count_once,
            counters_cold: announced_holds_count_and_settle,
            counters_cold: an_announced_hold_may_go_over_the_limit,
            counters_cold: announced_ends_are_added_once,
            counters_cold: an_end_announced_for_a_live_hold_waits_for_its_settle,
            counters_cold: a_forgotten_domain_comes_back_exact,
            counters_cold: an_announced_hold_keeps_its_epoch,
            counters_cold: repair_sets_a_quiet_bucket_in_its_epoch_only,
            counters_cold: names_come_back_as_they_were,
        }
    };
}

macro_rules! one_test_each {
    ([$start:expr]; $($module:ident: $name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let env: super::Env = $start.await;
                super::super::$module::$name(&env).await;
            }
        )*
    };
}

mod memory {
    behaviours!(one_test_each, [async { super::Env::memory() }]);
}

mod redis {
    behaviours!(one_test_each, [super::super::counters_redis::env()]);
}

/// A cluster takes seconds to form: one serves all behaviours.
macro_rules! one_test {
    ([$start:expr]; $($module:ident: $name:ident,)*) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_behaviour() {
            let env: super::Env = $start.await;
            $( super::super::$module::$name(&env).await; )*
        }
    };
}

mod redis_cluster {
    behaviours!(one_test, [super::super::counters_redis::cluster_env()]);
}
