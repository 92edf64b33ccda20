//! What every ledger must do, one list for all backends. A backend stamps it with [`ledger_suite!`] and gives each
//! behaviour a ledger of its own; each ends with the conservation check.

mod calls;
mod concurrent;
mod fold;
mod hostile;
mod ingest;
mod material;
mod outbox;
mod reads;
mod resets;
mod rollups;

pub(crate) use calls::*;
pub(crate) use concurrent::*;
pub(crate) use fold::*;
pub(crate) use hostile::*;
pub(crate) use ingest::*;
pub(crate) use outbox::*;
pub(crate) use reads::*;
pub(crate) use resets::*;
pub(crate) use rollups::*;

use async_trait::async_trait;

use crate::store::audit::AuditRecord;
use crate::store::ledger::Ledger;
use crate::store::outbox::Outbox;

pub(crate) use material::entry;

/// A backend under test, migrated and empty.
#[async_trait]
pub(crate) trait Bench: Send + Sync {
    /// The backend.
    type Store: Ledger + Outbox + Clone + 'static;

    /// The ledger.
    fn ledger(&self) -> &Self::Store;

    /// Runs a statement that both dialects of SQL understand, behind the ledger's back.
    async fn execute(&self, sql: &str) -> Result<(), String>;

    /// The rows of a query that both dialects understand, each value as text; NULL is empty.
    async fn rows(&self, sql: &str) -> Vec<Vec<String>>;

    /// The whole audit log.
    async fn audit_log(&self) -> Vec<AuditRecord>;

    /// How many random histories the fold test plays.
    fn histories(&self) -> u32;
}

/// Every test ends here: the running totals and the roll-ups equal the fold of the rows.
pub(crate) async fn assert_conserved(bench: &impl Bench) {
    assert_eq!(bench.ledger().fold_differences().await.unwrap(), [], "user_usage differs from its fold");
    assert_rolled_up(bench).await;
}

macro_rules! ledger_suite {
    ($open:path) => {
        ledger_suite!(@stamp $open:
            // ingest
            an_empty_batch_is_nothing,
            a_repeated_batch_adds_nothing,
            an_overlapping_shuffled_batch_adds_only_what_is_new,
            an_id_twice_in_one_batch_counts_once,
            an_id_is_unique_in_its_month_only,
            a_charge_of_nothing_makes_no_total,
            a_batch_of_two_thousand_rows_goes_in,
            a_month_turn_and_a_far_month_need_no_preparation,
            // fold
            random_histories_keep_the_fold,
            a_wrong_total_is_found,
            // concurrent
            four_writers_of_the_same_rows_lose_nothing,
            an_abandoned_ingest_can_be_sent_again,
            // reads
            a_load_shows_running_periods_of_one_domain,
            a_load_names_the_ids_of_the_last_five_minutes,
            history_counts_messages_by_month,
            messages_of_a_user_are_counted_since_a_time,
            domains_of_a_user_come_newest_first,
            the_newest_row_tells_plan_and_team,
            domains_come_in_pages_by_bytes,
            totals_count_rows_and_messages,
            // resets
            resets_count_up_and_leave_a_trail,
            resets_at_once_get_an_epoch_each,
            the_audit_log_takes_no_changes,
            the_audit_log_is_read_in_pages,
            the_audit_log_of_one_subject_is_whole,
            // analytics
            random_histories_keep_the_roll_ups,
            analytics_count_what_was_charged,
            users_are_found_by_how_they_begin,
            a_row_without_a_day_counts_on_its_utc_day,
            refusals_add_up_by_gateway,
            calls_are_counted_by_outcome_and_timed,
            // outbox
            a_threshold_is_told_once,
            a_batch_that_jumps_tells_every_threshold_to_every_webhook,
            a_new_period_and_a_reset_are_told_anew,
            a_lowered_limit_is_told,
            gateways_at_once_tell_a_threshold_once,
            a_claimed_message_is_nobody_elses_until_its_lease_ends,
            dead_messages_are_retried_and_audited,
            expired_messages_are_forgotten,
            hostile_ids_are_told,
            // hostile input
            hostile_texts_go_in_and_are_found,
            numbers_at_the_limits_go_in,
        );
    };
    (@stamp $open:path: $($behaviour:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let bench = $open().await;
                $crate::store::ledger_suite::$behaviour(&bench).await;
                $crate::store::ledger_suite::assert_conserved(&bench).await;
            }
        )*
    };
}
pub(crate) use ledger_suite;
