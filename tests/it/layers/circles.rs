//! Circles of files: a file that can be read alone imports none that leads back to it.
//!
//! A file imports another when a path in it (in a `use`, or written out) names something that stands in the other. A path
//! leads from `crate`, `super`, `self`, a module below, or a name that a `use` brings in; it leads through what a module
//! takes from others with `use`: what a parent re-exports counts as the file where it stands, and not as the parent. To
//! declare a module (`mod x;`), to re-export a name that the file itself does not speak of, and to bring a module in without
//! taking anything from it are no imports, and neither are calls of methods. What stands in a file's own parent (or the
//! parent's) is no import either: a type may be declared there and its methods stand in the files below. Unit tests and
//! behaviour suites may import what they like.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Scan, module_of};
use super::{File, file, is_test, read_tree};

/// How many re-exports a name is followed through.
const RE_EXPORTS_MAX: usize = 8;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles(&read_tree("src"));
    assert!(found.is_empty(), "files import each other in a circle: {found:#?}");
}

#[test]
fn a_planted_circle_of_files_is_found() {
    let planted: &[(&str, &[(&str, &str)])] = &[
        (
            "by `use`",
            &[("gate/a.rs", "use super::b::B; struct A;"), ("gate/b.rs", "use super::a::A; struct B;")],
        ),
        (
            "by a written path",
            &[("gate/a.rs", "struct A(super::b::B);"), ("gate/b.rs", "struct B(crate::gate::a::A);")],
        ),
        (
            "through a parent's re-export",
            &[
                ("gate/mod.rs", "mod a; mod b; pub use a::A; pub(super) use b::B as C;"),
                ("gate/a.rs", "use crate::gate::C; struct A;"),
                ("gate/b.rs", "use crate::gate; struct B(gate::A);"),
            ],
        ),
        (
            "over three files",
            &[
                ("gate/a.rs", "use super::b::B; struct A;"),
                ("gate/b.rs", "use super::c; struct B(c::C);"),
                ("gate/c.rs", "use super::a::*; struct C(A);"),
            ],
        ),
    ];
    for (how, files) in planted {
        let files: Vec<File> = files.iter().map(|(path, text)| file(path, text)).collect();
        let found = circles(&files);
        assert!(found.len() == 1 && found[0].len() >= 2, "{how}: {found:?}");
    }
}

#[test]
fn what_is_no_import_makes_no_circle() {
    let innocent = [
        file("gate/mod.rs", "mod a; mod b; pub use a::A; use b::B; pub struct Gate(B);"),
        file("gate/a.rs", "use super::Gate; use super::b; pub struct A(Gate);"),
        file("gate/b.rs", "use super::A; pub struct B(A); #[cfg(test)]\nmod tests { use super::super::C; }"),
        file("gate/c.rs", "use super::B; pub struct C(B);"),
        file("gate/tests.rs", "use super::a::A;"),
    ];
    let found = circles(&innocent);
    assert!(found.is_empty(), "{found:?}");
}

/// The circles among these files of `src/`: each is a set of files of which every one leads to every other.
fn circles(files: &[File]) -> Vec<BTreeSet<String>> {
    let tree = Tree::of(files);
    let imports: BTreeMap<&str, BTreeSet<&str>> =
        tree.0.keys().map(|path| (path.as_str(), tree.imports(path))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|from| (*from, reached_from(from, &imports))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (from, to) in reached.iter().filter(|(from, to)| to.contains(*from)) {
        if found.iter().all(|circle| !circle.contains(*from)) {
            let back = to.iter().filter(|file| reached[*file].contains(from));
            found.push(back.map(|file| (*file).to_owned()).collect());
        }
    }
    found
}

fn reached_from<'a>(from: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        next.extend(imports[file].iter().filter(|to| reached.insert(**to)));
    }
    reached
}

/// What the files name, by path; without tests.
struct Tree(BTreeMap<String, Scan>);

impl Tree {
    fn of(files: &[File]) -> Self {
        let own = files.iter().filter(|file| !is_test(&file.path) && !file.path.contains("_suite"));
        let scan = |file: &File| {
            let end = file.text.find("#[cfg(test)]\nmod tests {").unwrap_or(file.text.len());
            (file.path.clone(), Scan::of(&file.path, &file.text[..end]))
        };
        Self(own.map(scan).collect())
    }

    /// The file of a module.
    fn file_of(&self, module: &[String]) -> Option<&str> {
        let path = module.join("/");
        let found = [format!("{path}.rs"), format!("{path}/mod.rs")];
        found.iter().find_map(|path| self.0.get_key_value(path)).map(|(path, _)| path.as_str())
    }

    fn imports(&self, path: &str) -> BTreeSet<&str> {
        let scan = &self.0[path];
        let used = scan.uses.iter().filter(|used| !used.is_passed_on || scan.spoken.contains(&used.name));
        let written = scan.written.iter().chain(used.map(|used| &used.path));
        let mut imports = BTreeSet::new();
        for written in written {
            imports.extend(self.leads_to(path, written, RE_EXPORTS_MAX));
        }
        for used in scan.uses.iter().filter(|used| used.name == "*") {
            imports.extend(self.absolute(path, &used.path).and_then(|module| self.file_of(&module)));
        }
        let module = module_of(path);
        imports.retain(|to| *to != path && !module.starts_with(&module_of(to)));
        imports
    }

    /// The file in which what a path names stands; `None`: outside the crate, or only a module.
    fn leads_to(&self, from: &str, written: &[String], re_exports: usize) -> Option<&str> {
        let absolute = self.absolute(from, written)?;
        let split = (1..=absolute.len()).rev().find(|end| self.file_of(&absolute[..*end]).is_some())?;
        let file = self.file_of(&absolute[..split])?;
        let name = absolute.get(split)?;
        let passed_on = self.0[file].uses.iter().find(|used| used.name == *name);
        let further = passed_on.filter(|_| re_exports > 0).map(|used| {
            let rest = used.path.iter().chain(&absolute[split + 1..]).cloned().collect::<Vec<_>>();
            self.leads_to(file, &rest, re_exports - 1)
        });
        further.unwrap_or(Some(file))
    }

    /// A path as it is written in a file, from the crate's root.
    fn absolute(&self, from: &str, written: &[String]) -> Option<Vec<String>> {
        let mut module: Vec<String> = module_of(from).into_iter().map(str::to_owned).collect();
        if ["lib", "main"].contains(&module.concat().as_str()) {
            module.clear();
        }
        let first = written.first()?;
        match first.as_str() {
            "crate" => Some(written[1..].to_vec()),
            "self" => Some([&module[..], &written[1..]].concat()),
            "super" => {
                let supers = written.iter().take_while(|segment| *segment == "super").count();
                let kept = module.len().checked_sub(supers)?;
                Some([&module[..kept], &written[supers..]].concat())
            }
            _ => {
                let below = [&module[..], &written[..1]].concat();
                if self.file_of(&below).is_some() {
                    return Some([&module[..], written].concat());
                }
                let brought = self.0[from]
                    .uses
                    .iter()
                    .find(|used| used.name == *first && used.path.first() != Some(first))?;
                let path = [&brought.path[..], &written[1..]].concat();
                self.absolute(from, &path)
            }
        }
    }
}
