//! What a Rust file names, without a parser: its words, the first segments of its paths, and its paths from the crate's
//! root. Owns the reading of comments, texts and `use` groups; it must not know which rooms there are.

use std::collections::BTreeSet;

/// What one file names.
#[derive(Debug, Default)]
pub struct Scan {
    /// Every word outside comments and texts.
    pub words: BTreeSet<String>,
    /// Words that a path begins with: an outside crate, if there is one of that name.
    pub leading: BTreeSet<String>,
    /// Paths from the crate's root and all their beginnings: `store::redis::Link` gives `store`, `store::redis`, ….
    pub crate_paths: BTreeSet<String>,
    /// What each `use` brings in.
    pub uses: Vec<Use>,
    /// Paths of two segments and more outside `use`, as they are written.
    pub written: BTreeSet<Vec<String>>,
    /// Words outside `use`.
    pub spoken: BTreeSet<String>,
    /// Types that others can name, one for each that is declared.
    pub public_types: Vec<String>,
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What it goes by in this file; `*` for all of a module.
    pub name: String,
    /// Where it is, as it is written.
    pub path: Vec<String>,
    /// Others may take it from here: `pub use`.
    pub is_passed_on: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Mark(char),
}

impl Scan {
    /// Reads a file; `path` is relative to `src/` and tells where `super` leads.
    pub fn of(path: &str, text: &str) -> Self {
        let tokens = tokens(&without_comments_and_texts(text));
        let mut scan = Self::default();
        let module = module_of(path);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let Token::Word(word) = token else {
                at += 1;
                continue;
            };
            scan.words.insert(word.clone());
            scan.public_types.extend(public_type(&tokens[at..]));
            let is_use = word == "use";
            let begins = at.checked_sub(1).is_none_or(|before| tokens[before] != Token::Colons);
            if is_use {
                let mut tree = Tree { tokens: &tokens, at: at + 1, paths: Vec::new() };
                tree.read(&[]);
                let after = tree.at.max(at + 1);
                let before = at.checked_sub(1).map(|before| &tokens[before]);
                let is_passed_on = matches!(before, Some(Token::Mark(')')))
                    || before == Some(&Token::Word("pub".to_owned()));
                for (path, name) in tree.paths {
                    scan.words.extend(path.iter().cloned());
                    scan.add(&module, &path);
                    scan.uses.push(Use { name, path, is_passed_on });
                }
                at = after;
            } else if begins && tokens.get(at + 1) == Some(&Token::Colons) {
                let path = path_from(&tokens, at);
                scan.add(&module, &path);
                scan.spoken.insert(word.clone());
                scan.written.insert(path);
                at += 1;
            } else {
                // `::name::…` begins at the outside crate itself
                let rooted = at >= 1 && tokens[at - 1] == Token::Colons;
                if rooted && (at < 2 || !matches!(&tokens[at - 2], Token::Word(_) | Token::Mark('>'))) {
                    scan.leading.insert(word.clone());
                }
                scan.spoken.insert(word.clone());
                at += 1;
            }
        }
        scan
    }

    fn add(&mut self, module: &[&str], path: &[String]) {
        let Some(first) = path.first() else { return };
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let rest: Vec<&str> = match first.as_str() {
            "crate" => path[1..].iter().map(String::as_str).collect(),
            "super" => {
                let kept = module.len().saturating_sub(supers);
                module[..kept].iter().copied().chain(path[supers..].iter().map(String::as_str)).collect()
            }
            "self" | "Self" => return,
            _ => {
                self.leading.insert(first.clone());
                return;
            }
        };
        for end in 1..=rest.len() {
            self.crate_paths.insert(rest[..end].join("::"));
        }
    }
}

/// A `use` tree: `a::{b, c::{self, d}}`.
struct Tree<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Each path, and the name that it goes by here.
    paths: Vec<(Vec<String>, String)>,
}

impl Tree<'_> {
    fn read(&mut self, prefix: &[String]) {
        let (mut path, mut renamed) = (prefix.to_vec(), None);
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Word(word)) if word == "as" => {
                    if let Some(Token::Word(name)) = self.tokens.get(self.at + 1) {
                        renamed = Some(name.clone());
                    }
                    self.at += 2;
                }
                // `{self, …}` is the module itself
                Some(Token::Word(word)) if word == "self" && !path.is_empty() => self.at += 1,
                Some(Token::Word(word)) => {
                    path.push(word.clone());
                    self.at += 1;
                }
                Some(Token::Mark('*')) => {
                    renamed = Some("*".to_owned());
                    self.at += 1;
                }
                Some(Token::Colons) => self.at += 1,
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    while !matches!(self.tokens.get(self.at), Some(Token::Mark('}')) | None) {
                        self.read(&path);
                        if self.tokens.get(self.at) == Some(&Token::Mark(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                _ => {
                    let name = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
                    self.paths.push((path, name));
                    return;
                }
            }
        }
    }
}

/// The type that is declared here: `pub struct Gate`, `pub(crate) trait Counters`.
fn public_type(tokens: &[Token]) -> Option<String> {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    if word(0) != Some("pub") {
        return None;
    }
    let kind = match tokens.get(1) {
        Some(Token::Mark('(')) => 2 + tokens[1..].iter().position(|token| *token == Token::Mark(')'))?,
        _ => 1,
    };
    let is_type = ["struct", "enum", "trait", "type"].contains(&word(kind)?);
    word(kind + 1).filter(|_| is_type).map(str::to_owned)
}

fn path_from(tokens: &[Token], mut at: usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(Token::Word(word)) = tokens.get(at) {
        path.push(word.clone());
        if tokens.get(at + 1) != Some(&Token::Colons) {
            break;
        }
        at += 2;
    }
    path
}

/// `store/redis/mod.rs` is the module `store::redis`.
pub fn module_of(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').collect()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix("::") {
            tokens.push(Token::Colons);
            rest = after;
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

fn without_comments_and_texts(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = kept.chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            char_or_lifetime(rest)
        } else if !after_word && first == 'r' {
            raw_string(rest)
        } else {
            0
        };
        if skipped > 0 {
            kept.push(' ');
            rest = &rest[skipped..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`; 0 if it is none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let from = 2 + hashes;
    text[from..].find(&end).map_or(text.len(), |at| from + at + end.len())
}

/// The length of `'x'` or `'\n'`; of a lifetime only the mark.
fn char_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            text[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 3)
        }
        Some((at, c)) if text[at + c.len_utf8()..].starts_with('\'') => at + c.len_utf8() + 1,
        _ => 1,
    }
}
