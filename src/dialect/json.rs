//! A strict pull reader over one JSON text in memory (RFC 8259): one pass, no tree, byte spans of what it passes.
//! It knows the grammar and nothing of any API. The text must be valid UTF-8, which the caller checks once.

use std::borrow::Cow;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// How deep containers may nest: what `serde_json` takes too, so that no upstream meets more than it can parse.
pub(super) const MAX_DEPTH: u32 = 128;

/// Why a text is not the JSON that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Broken grammar at this byte.
    Syntax { at: usize, why: &'static str },
    /// More than [`MAX_DEPTH`] containers inside each other.
    TooDeep,
}

/// What the next value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// The reader's place in the text.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The shape of the next value, which is not consumed.
    pub(super) fn shape(&mut self) -> Result<Shape, Fault> {
        self.blank();
        Ok(match self.peek() {
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            Some(b'"') => Shape::String,
            Some(b't') => Shape::True,
            Some(b'f') => Shape::False,
            Some(b'n') => Shape::Null,
            Some(b'-' | b'0'..=b'9') => Shape::Number,
            _ => return self.fault("a value is expected"),
        })
    }

    /// Reads an object; `member` is called for each key and must consume exactly the value. Returns the span.
    pub(super) fn object<E, F>(&mut self, mut member: F) -> Result<Range<usize>, E>
    where
        E: From<Fault>,
        F: FnMut(&str, &mut Self) -> Result<(), E>,
    {
        let start = self.open(b'{')?;
        if !self.closes(b'}') {
            loop {
                let key = self.string()?;
                self.blank();
                self.byte(b':', "a colon is expected after a key")?;
                member(&key, self)?;
                if self.next_or_close(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(start..self.at)
    }

    /// Reads an array; `element` is called before each value and must consume it.
    pub(super) fn array<E, F>(&mut self, mut element: F) -> Result<(), E>
    where
        E: From<Fault>,
        F: FnMut(&mut Self) -> Result<(), E>,
    {
        self.open(b'[')?;
        if !self.closes(b']') {
            loop {
                element(self)?;
                if self.next_or_close(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over one value, whatever it is, checking its grammar. Returns its span without blanks. It calls itself for
    /// what is inside, at most [`MAX_DEPTH`] times deep.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, Fault> {
        let shape = self.shape()?;
        let start = self.at;
        match shape {
            Shape::Object => {
                self.object(|_, value| value.skip().map(drop))?;
            }
            Shape::Array => self.array(|element| element.skip().map(drop))?,
            Shape::String | Shape::Number | Shape::True | Shape::False | Shape::Null => self.scalar(shape)?,
        }
        Ok(start..self.at)
    }

    /// Reads a string and undoes its escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let (span, escaped) = self.string_span()?;
        let quoted = &self.text[span.clone()];
        let decoded = if escaped {
            serde_json::from_slice::<String>(quoted).ok().map(Cow::Owned)
        } else {
            std::str::from_utf8(&quoted[1..quoted.len() - 1]).ok().map(Cow::Borrowed)
        };
        decoded.ok_or(Fault::Syntax { at: span.start, why: "a string cannot be read" })
    }

    /// Reads a number as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        self.blank();
        let start = self.at;
        self.scalar(Shape::Number)?;
        std::str::from_utf8(&self.text[start..self.at])
            .map_err(|_| Fault::Syntax { at: start, why: "a number cannot be read" })
    }

    /// The byte that is read next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Passes over white space.
    pub(super) fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { self.fault("nothing may follow the value") }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fault<T>(&self, why: &'static str) -> Result<T, Fault> {
        Err(Fault::Syntax { at: self.at, why })
    }

    fn byte(&mut self, wanted: u8, why: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(wanted) {
            return self.fault(why);
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<usize, Fault> {
        self.blank();
        let start = self.at;
        self.byte(bracket, if bracket == b'{' { "an object is expected" } else { "an array is expected" })?;
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        Ok(start)
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.blank();
        let closed = self.peek() == Some(bracket);
        self.at += usize::from(closed);
        closed
    }

    /// After a value: true when the container ends, false when a comma promises another value.
    fn next_or_close(&mut self, bracket: u8) -> Result<bool, Fault> {
        if self.closes(bracket) {
            return Ok(true);
        }
        self.byte(b',', "a comma or the end of the container is expected")?;
        Ok(false)
    }

    fn scalar(&mut self, shape: Shape) -> Result<(), Fault> {
        match shape {
            Shape::String => self.string_span().map(|_| ()),
            Shape::True => self.literal(b"true"),
            Shape::False => self.literal(b"false"),
            Shape::Null => self.literal(b"null"),
            Shape::Number => self.digits_and_point(),
            Shape::Object | Shape::Array => self.fault("a scalar is expected"),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word) {
            return self.fault("a value is expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits_and_point(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if start == self.at { self.fault("a digit is expected") } else { Ok(()) }
    }

    /// The span of a string with its quotes, and whether it holds escapes.
    fn string_span(&mut self) -> Result<(Range<usize>, bool), Fault> {
        self.blank();
        let start = self.at;
        self.byte(b'"', "a string is expected")?;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((start..self.at, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fault("a control character must be escaped"),
                None => return self.fault("a string does not end"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.code_unit()? {
                0xDC00..=0xDFFF => self.fault("a surrogate stands alone"),
                0xD800..=0xDBFF => {
                    let paired = self.text[self.at..].starts_with(b"\\u") && {
                        self.at += 1;
                        matches!(self.code_unit()?, 0xDC00..=0xDFFF)
                    };
                    if paired { Ok(()) } else { self.fault("a surrogate stands alone") }
                }
                _ => Ok(()),
            },
            _ => self.fault("an escape is not known"),
        }
    }

    /// Four hexadecimal digits after the `u` that is read next.
    fn code_unit(&mut self) -> Result<u32, Fault> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.fault("four hexadecimal digits are expected");
            };
            unit = (unit << 4) | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

/// How many bytes from the start are neither a quote, nor a backslash, nor a control character. Eight bytes a step:
/// prompts of many megabytes pass through here.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut run = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5C);
        // a byte below the subtracted one borrows; the lowest such byte is never a false hit
        let hits = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash))
            & HIGH;
        if hits != 0 {
            return run + hits.trailing_zeros() as usize / 8;
        }
        run += 8;
        rest = tail;
    }
    run + rest.iter().take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\').count()
}
