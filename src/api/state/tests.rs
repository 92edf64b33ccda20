//! The number of streams is bounded, and a place is given back.

use super::{OpenStreams, STREAMS_MAX};

#[test]
fn one_stream_more_than_the_most_finds_no_place_until_another_ends() {
    let streams = OpenStreams::default();
    let mut places: Vec<_> = (0..STREAMS_MAX).map(|_| streams.enter().unwrap()).collect();
    for _ in 0..3 {
        assert!(streams.enter().is_none(), "a refused one keeps no place, nor takes one");
    }
    places.pop();
    let again = streams.enter();
    assert!(again.is_some());
    assert!(streams.enter().is_none());
}
