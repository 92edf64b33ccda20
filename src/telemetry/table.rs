//! Declares a table of metrics and registers each under its name. It must not know which metrics there are.

/// A struct with a field for each metric: its kind, its name, and its help, which is its documentation too. Behind them
/// stand the buckets of a histogram (`in`), the labels that vary (`by`), or one label and its only value (`with`).
/// `register` makes them all.
macro_rules! metrics {
    ($(#[$about:meta])* pub struct $table:ident {
        $($vis:vis $field:ident: $kind:ident = $name:literal, $help:literal $(, $how:tt $what:tt)*;)*
    }) => {
        $(#[$about])*
        pub struct $table {
            registry: Registry,
            $(#[doc = $help] $vis $field: $kind,)*
        }

        impl $table {
            fn register() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(let $field = metrics!(@new $kind, $name, $help $(, $how $what)*)?;
                registry.register(Box::new($field.clone()))?;)*
                Ok(Self { registry, $($field),* })
            }
        }
    };
    (@new $kind:ident, $name:literal, $help:literal) => { $kind::new($name, $help) };
    (@new $kind:ident, $name:literal, $help:literal, by $labels:tt) => {
        $kind::new(Opts::new($name, $help), &$labels)
    };
    (@new $kind:ident, $name:literal, $help:literal, with ($label:literal, $value:expr)) => {
        $kind::with_opts(Opts::new($name, $help).const_label($label, $value))
    };
    (@new $kind:ident, $name:literal, $help:literal, in $buckets:ident) => {
        $kind::with_opts(HistogramOpts::new($name, $help).buckets($buckets.to_vec()))
    };
    (@new $kind:ident, $name:literal, $help:literal, in $buckets:ident, by $labels:tt) => {
        $kind::new(HistogramOpts::new($name, $help).buckets($buckets.to_vec()), &$labels)
    };
}

pub(super) use metrics;
