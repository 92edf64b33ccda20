//! What flate2 looks for in `libz-ng-sys`: zlib's functions and types under zlib's own names.
#![no_std]

pub use libz_sys::*;
