//! The rooms of `ARCHITECTURE.md`, held by a test: who may import whom, which outside crate is named where, how long a
//! file may be. The rules stand here as tables; [`scan`] reads what a file imports, [`circles`] finds files that import
//! each other, and [`names`] finds types that are called alike.

mod circles;
mod names;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scan::Scan;

/// A room and the rooms that it may import, lowest first. A room may only name rooms that stand before it.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    // in debug builds only
    ("failpoint", &[]),
    ("quota", &["clock"]),
    ("dialect", &[]),
    ("upstream", &["quota"]),
    ("telemetry", &[]),
    ("auth", &["clock"]),
    ("store", &["clock", "failpoint", "quota"]),
    ("notify", &["clock", "store", "telemetry"]),
    // settings structs only
    ("config", &["quota", "auth", "upstream", "notify"]),
    ("gate", &["clock", "quota", "auth", "store"]),
    // the configuration in force, for whoever serves requests
    ("snapshot", &["clock", "quota", "auth", "upstream", "config", "gate"]),
    ("api", &["clock", "quota", "auth", "store", "gate", "snapshot", "notify", "telemetry"]),
    (
        "proxy",
        &[
            "clock",
            "failpoint",
            "quota",
            "dialect",
            "upstream",
            "auth",
            "store",
            "gate",
            "snapshot",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "clock",
            "quota",
            "dialect",
            "upstream",
            "telemetry",
            "auth",
            "store",
            "config",
            "gate",
            "snapshot",
            "notify",
            "api",
            "proxy",
        ],
    ),
    (
        "cli",
        &[
            "clock",
            "quota",
            "dialect",
            "upstream",
            "telemetry",
            "auth",
            "store",
            "config",
            "gate",
            "snapshot",
            "notify",
            "api",
            "proxy",
            "app",
        ],
    ),
];

/// An outside crate and the only places that may name it: beginnings of paths under `src/`.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("pingora", &["proxy/"]),
    ("fred", &["store/redis/"]),
    ("tokio_postgres", &["store/postgres/"]),
    ("deadpool_postgres", &["store/postgres/"]),
    ("tokio_postgres_rustls", &["store/postgres/"]),
    ("rusqlite", &["store/sqlite/"]),
    ("refinery", &["store/sqlite/", "store/postgres/"]),
    ("jsonwebtoken", &["auth/"]),
    // the router is called in-process by `proxy`, and served to operators by `app`
    ("axum", &["api/", "cli/stub/", "cli/stub.rs", "proxy/local.rs", "proxy/mod.rs", "app/mod.rs"]),
    ("prometheus", &["telemetry/"]),
    ("clap", &["cli/"]),
    ("toml_edit", &["config/"]),
];

/// Rooms without I/O, and the words that betray it.
const PURE: &[&str] = &["quota/", "dialect/", "upstream/"];
const IMPURE_WORDS: &[&str] = &["async", "await", "tokio", "reqwest", "TcpStream", "UdpSocket"];

/// Stores in the concrete: only who builds them names them, and tests that need one.
const CONCRETE_STORES: &[&str] = &["memory", "redis", "sqlite", "postgres"];
const STORE_BUILDERS: &[&str] = &["store", "app", "cli"];

/// Longest file, in lines.
const LINES_MAX: usize = 400;

/// A source file: its path under `src/` (or `tests/`), and its text.
struct File {
    path: String,
    text: String,
}

#[test]
fn the_source_keeps_the_rules() {
    let files = read_tree("src");
    assert!(files.len() > 100, "the source was not found");
    let complaints = complaints(&files);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn no_file_of_the_tests_is_too_long() {
    let complaints: Vec<String> = read_tree("tests").iter().filter_map(size_and_header).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_scan_sees_what_the_source_imports() {
    let graph = graph(&read_tree("src"));
    for (from, to) in
        [("gate", "store"), ("proxy", "gate"), ("app", "proxy"), ("cli", "app"), ("store", "quota")]
    {
        assert!(graph.get(from).is_some_and(|to_rooms| to_rooms.contains(to)), "{from} imports {to}");
    }
}

#[test]
fn the_rooms_point_down_only() {
    for (index, (room, imports)) in ROOMS.iter().enumerate() {
        for import in *imports {
            assert!(ROOMS[..index].iter().any(|(below, _)| below == import), "{room} imports {import}");
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("quota/x.rs", "use crate::store::Entry;", "`quota` must not import `store`"),
        ("auth/x.rs", "use crate::quota::Plan;", "`auth` must not import `quota`"),
        ("gate/x.rs", "fn f() { crate::proxy::go(); }", "`gate` must not import `proxy`"),
        ("gate/x/y.rs", "use crate::{clock::Clock, api::{self, State}};", "`gate` must not import `api`"),
        ("store/x/y.rs", "use super::super::super::gate::Gate;", "`store` must not import `gate`"),
        ("gate/x.rs", "use crate::store::redis::Link;", "`gate` names the concrete store `redis`"),
        ("gate/x.rs", "use crate::{store::{Entry, sqlite::SqliteLedger}};", "the concrete store `sqlite`"),
        ("gate/x.rs", "use pingora::Result;", "`pingora` is named outside its room"),
        ("store/x.rs", "fn f(p: ::fred::Pool) {}", "`fred` is named outside its room"),
        ("store/x.rs", "use {std::fmt, axum::Router};", "`axum` is named outside its room"),
        ("api/x.rs", "use prometheus as p;", "`prometheus` is named outside its room"),
        ("quota/x.rs", "pub async fn f() {}", "`async` in a pure room"),
        ("dialect/x.rs", "fn f() { tokio::spawn(g()); }", "`tokio` in a pure room"),
        ("unknown/x.rs", "", "`unknown` is no room"),
    ];
    for (path, text, wanted) in planted {
        let found = complaints(&[file(path, text)]);
        assert!(found.len() == 1 && found[0].contains(wanted), "{path}: {text}: {found:?}");
    }
    let long = "//! Long.\n".to_owned() + &"\n".repeat(LINES_MAX);
    let found = complaints(&[File { path: "quota/x.rs".to_owned(), text: long }]);
    assert!(found.len() == 1 && found[0].contains("401 lines"), "{found:?}");
    let found = complaints(&[File { path: "quota/x.rs".to_owned(), text: "fn f() {}".to_owned() }]);
    assert!(found.len() == 1 && found[0].contains("`//!`"), "{found:?}");
}

#[test]
fn a_circle_between_rooms_is_found() {
    let files = [
        file("quota/x.rs", "use crate::clock::Clock;"),
        file("clock.rs", "use crate::dialect::Ask;"),
        file("dialect/x.rs", "use crate::quota::Plan;"),
    ];
    let found = circle(&graph(&files)).unwrap();
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 3, "{found:?}");
    assert!(circle(&graph(&files[..2])).is_none());
}

#[test]
fn comments_texts_and_names_are_no_imports() {
    let innocent = r##"
        // use crate::proxy::Gateway;
        /* nested /* crate::proxy */ pingora:: */
        /// As [`crate::proxy::Gateway`] does.
        const A: &str = "use crate::proxy; \" pingora::x";
        const B: &str = r#"crate::api " async"#;
        const C: char = '"'; const D: &[u8] = b"crate::cli"; fn e<'a>(x: &'a str) -> &'a str { x }
        fn f() { my::pingora::x(); let fred = 1; self.clap(); }
        use crate::quota::Plan;
        use self::axum_like::Thing;
    "##;
    let found = complaints(&[file("quota/x.rs", innocent)]);
    assert!(found.is_empty(), "{found:?}");
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: format!("//! Planted.\n{text}") }
}

/// Everything that is wrong with these files of `src/`.
fn complaints(files: &[File]) -> Vec<String> {
    let mut found: Vec<String> = files.iter().flat_map(complaints_of).collect();
    if let Some(circle) = circle(&graph(files)) {
        found.push(format!("rooms import each other in a circle: {}", circle.join(" → ")));
    }
    found
}

fn complaints_of(file: &File) -> Vec<String> {
    let mut found: Vec<String> = size_and_header(file).into_iter().collect();
    let path = &file.path;
    let scan = Scan::of(path, &file.text);
    for (name, places) in OUTSIDE {
        if scan.leading.contains(*name) && !places.iter().any(|place| path.starts_with(place)) {
            found.push(format!("src/{path}: `{name}` is named outside its room ({})", places.join(", ")));
        }
    }
    let Some(room) = room_of(path) else { return found };
    let Some((_, allowed)) = ROOMS.iter().find(|(known, _)| *known == room) else {
        found.push(format!("src/{path}: `{room}` is no room of `ARCHITECTURE.md`"));
        return found;
    };
    for import in imported_rooms(&scan).filter(|import| *import != room && !allowed.contains(import)) {
        found.push(format!("src/{path}: `{room}` must not import `{import}`"));
    }
    for store in CONCRETE_STORES {
        if !is_test(path)
            && !STORE_BUILDERS.contains(&room)
            && scan.crate_paths.contains(&format!("store::{store}"))
        {
            found.push(format!("src/{path}: `{room}` names the concrete store `{store}`"));
        }
    }
    if PURE.iter().any(|pure| path.starts_with(pure)) {
        let betrayed = IMPURE_WORDS.iter().filter(|word| scan.words.contains(**word));
        found.extend(betrayed.map(|word| format!("src/{path}: `{word}` in a pure room")));
    }
    found
}

fn size_and_header(file: &File) -> Option<String> {
    let (path, lines) = (&file.path, file.text.lines().count());
    if lines > LINES_MAX {
        return Some(format!("{path}: {lines} lines, at most {LINES_MAX}"));
    }
    (!file.text.starts_with("//!")).then(|| format!("{path}: does not open with `//!`: what it owns"))
}

/// The first folder or file under `src/`; `None` for the crate's roots.
fn room_of(path: &str) -> Option<&str> {
    let first = path.split('/').next()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&room)).then_some(room)
}

/// A unit test's file: it stands beside what it tests.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

fn imported_rooms(scan: &Scan) -> impl Iterator<Item = &'static str> {
    let imports = |room: &str| scan.crate_paths.contains(room);
    ROOMS.iter().map(|(room, _)| *room).filter(move |room| imports(room))
}

fn graph(files: &[File]) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut graph: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for file in files {
        let Some(room) = room_of(&file.path) else { continue };
        let scan = Scan::of(&file.path, &file.text);
        graph.entry(room.to_owned()).or_default().extend(imported_rooms(&scan).filter(|to| *to != room));
    }
    graph
}

/// A way from a room back to itself.
fn circle(graph: &BTreeMap<String, BTreeSet<&'static str>>) -> Option<Vec<String>> {
    fn walk(graph: &BTreeMap<String, BTreeSet<&'static str>>, way: &mut Vec<String>) -> bool {
        let Some(next) = way.last().and_then(|room| graph.get(room)) else { return false };
        for room in next {
            let known = way.iter().position(|seen| seen == room);
            way.push((*room).to_owned());
            if let Some(from) = known {
                way.drain(..from);
                return true;
            }
            if walk(graph, way) {
                return true;
            }
            way.pop();
        }
        false
    }
    graph.keys().find_map(|room| {
        let mut way = vec![room.clone()];
        walk(graph, &mut way).then_some(way)
    })
}

fn read_tree(folder: &str) -> Vec<File> {
    fn read(root: &Path, folder: &Path, files: &mut Vec<File>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(root, &path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push(File { path, text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    read(&root, &root, &mut files);
    files
}
