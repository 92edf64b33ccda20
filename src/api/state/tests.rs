//! The number of streams is bounded, and a place is given back.

use std::sync::Arc;

use super::{STREAMS_MAX, stream_places};

#[test]
fn one_stream_more_than_the_most_finds_no_place_until_another_ends() {
    let streams = stream_places();
    let enter = || Arc::clone(&streams).try_acquire_owned().ok();
    let mut places: Vec<_> = (0..STREAMS_MAX).map(|_| enter().unwrap()).collect();
    for _ in 0..3 {
        assert!(enter().is_none(), "a refused one keeps no place, nor takes one");
    }
    places.pop();
    let again = enter();
    assert!(again.is_some());
    assert!(enter().is_none());
}
