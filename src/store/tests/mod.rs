//! Behaviours that every implementation of a store's trait has, and the models they are compared with.

mod counters_admit;
mod counters_cluster;
mod counters_cold;
mod counters_env;
mod counters_history;
mod counters_life;
mod counters_model;
mod counters_redis;
mod counters_repeat;
mod counters_server;
mod counters_suite;
mod counters_told;
mod counters_ways;
