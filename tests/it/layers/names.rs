//! Names: no two public types of the project are called alike, and no `use` renames a type to tell ours apart.
//!
//! A public type is a `struct`, `enum`, `trait` or `type` with `pub` before it, whatever stands in brackets after that.
//! Unit tests and behaviour suites are left out, and so are names that come from other crates.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::Scan;
use super::{File, file, is_test, read_tree};

#[test]
fn no_two_public_types_have_one_name() {
    let files = read_tree("src");
    let twice = twice(&files);
    assert!(twice.is_empty(), "public types of one name: {twice:#?}");
}

#[test]
fn no_use_renames_a_type_of_ours() {
    let files = read_tree("src");
    let renaming: BTreeMap<&str, String> =
        files.iter().filter_map(|file| Some((file.path.as_str(), renamed(file)?))).collect();
    assert!(renaming.is_empty(), "a type goes by another name than its own: {renaming:#?}");
}

#[test]
fn planted_names_are_found() {
    let types = [
        file("gate/a.rs", "pub struct Refusal; enum Own {} pub(crate) struct Third<T>(T);"),
        file("quota/b.rs", "pub(super) enum Refusal {} pub struct Own; // pub struct Third"),
        file("quota/tests.rs", "pub struct Third;"),
    ];
    assert_eq!(twice(&types).keys().collect::<Vec<_>>(), ["Refusal"]);
    for (text, expected) in [
        ("use crate::quota::{Plan, Meter as Counted};", true),
        ("pub use super::a::Entry as Row;", true),
        (
            "use pingora::Session as ClientSession; use crate::store::late as later; use super::Write as _;",
            false,
        ),
    ] {
        assert_eq!(renamed(&file("gate/a.rs", text)).is_some(), expected, "{text}");
    }
}

/// Names of more than one public type, and where they stand.
fn twice(files: &[File]) -> BTreeMap<String, BTreeSet<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in own(files) {
        for name in Scan::of(&file.path, &file.text).public_types {
            found.entry(name).or_default().push(&file.path);
        }
    }
    found.retain(|_, files| files.len() > 1);
    found.into_iter().map(|(name, files)| (name, files.into_iter().collect())).collect()
}

/// The first type of ours that a file renames.
fn renamed(file: &File) -> Option<String> {
    let ours = |first: &String| ["crate", "super", "self"].contains(&first.as_str());
    let uses = Scan::of(&file.path, &file.text).uses;
    let found = uses.into_iter().find(|used| {
        let own_name = used.path.last().is_some_and(|last| *last == used.name);
        used.path.first().is_some_and(ours) && !own_name && used.name.starts_with(char::is_uppercase)
    });
    found.map(|used| format!("{} as {}", used.path.join("::"), used.name))
}

fn own(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| !is_test(&file.path) && !file.path.contains("_suite"))
}
