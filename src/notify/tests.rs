//! Delivery, against receivers of its own.
