//! The line and event rules of server-sent events (WHATWG HTML §9.2.6), pushed byte by byte: LF, CR and CRLF, comments,
//! several `data` lines, a byte order mark, any split. It hands on the data's bytes as they come and keeps only the
//! first bytes of a line. It knows nothing of what the data means.

/// The longest field name that matters, after a byte order mark.
const NAME_BYTES: usize = 7;
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// What the reader hands on.
pub(super) enum Piece<'a> {
    /// Bytes of the event's data; lines after the first are preceded by a line feed.
    Data(&'a [u8]),
    /// The event is complete.
    End,
}

#[derive(Debug, Default)]
pub(super) struct Sse {
    place: Place,
    /// The beginning of the line, while its field is not known.
    name: Vec<u8>,
    /// A carriage return was the last byte: a line feed now belongs to it.
    after_cr: bool,
    event: Stage,
    first_line_done: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line or in its field name.
    #[default]
    Name,
    /// Right after `data:`, where one blank is dropped.
    DataStart,
    Data,
    /// In a line that carries no data.
    Skip,
}

/// How much of an event has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// Bytes that no blank line has ended yet.
    Begun,
    /// Data among them.
    Data,
}

impl Sse {
    pub(super) fn feed(&mut self, chunk: &[u8], mut out: impl FnMut(Piece<'_>)) {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.after_cr = byte == b'\r';
                self.end_line(&mut out);
                rest = &rest[1..];
                continue;
            }
            if self.event == Stage::Nothing {
                self.event = Stage::Begun;
            }
            match self.place {
                Place::Name => {
                    self.name_byte(byte, &mut out);
                    rest = &rest[1..];
                }
                Place::DataStart => {
                    self.place = Place::Data;
                    rest = if byte == b' ' { &rest[1..] } else { rest };
                }
                Place::Data | Place::Skip => {
                    let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
                    if self.place == Place::Data {
                        out(Piece::Data(&rest[..end]));
                    }
                    rest = &rest[end..];
                }
            }
        }
    }

    pub(super) fn between_events(&self) -> bool {
        self.event == Stage::Nothing
    }

    fn name_byte(&mut self, byte: u8, out: &mut impl FnMut(Piece<'_>)) {
        if byte == b':' {
            let data = self.field() == b"data";
            self.place = if data { Place::DataStart } else { Place::Skip };
            if data {
                self.begin_data(out);
            }
        } else if self.name.len() == NAME_BYTES {
            self.place = Place::Skip;
        } else {
            self.name.push(byte);
        }
    }

    fn field(&self) -> &[u8] {
        match self.name.strip_prefix(BOM) {
            Some(field) if !self.first_line_done => field,
            _ => &self.name,
        }
    }

    fn begin_data(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        if self.event == Stage::Data {
            out(Piece::Data(b"\n"));
        }
        self.event = Stage::Data;
    }

    fn end_line(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        let blank = self.place == Place::Name && self.field().is_empty();
        if self.place == Place::Name && self.field() == b"data" {
            // a field without a colon has an empty value
            self.begin_data(out);
        }
        if blank && std::mem::take(&mut self.event) == Stage::Data {
            out(Piece::End);
        }
        self.place = Place::Name;
        self.name.clear();
        self.first_line_done = true;
    }
}
