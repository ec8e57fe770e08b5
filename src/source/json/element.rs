//! The wanted values of one record.

use super::cursor::{Cursor, DEPTH_MAX, Fault, Flaw, Quoted, Skip};
use super::text::{self, Compact};
use super::wanted::Wanted;

/// Where the text of a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// There is no value, or it is null.
    Null,
    /// In the record's own bytes.
    Own,
    /// In [`Element::made`].
    Made,
    /// There, and it is an object or array.
    Json,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    held: Held,
    start: usize,
    end: usize,
    /// Whether a key of the column's whole name was there; then its path counts no more.
    exact: bool,
}

impl Cell {
    const NULL: Self = Self { held: Held::Null, start: 0, end: 0, exact: false };
}

/// Reads records, one at a time, into cells.
pub(super) struct Element {
    wanted: Wanted,
    cells: Vec<Cell>,
    /// Text that is not in the record as such.
    made: Vec<u8>,
    /// The record in which each edge was last met.
    met: Vec<u64>,
    record: u64,
    key: Vec<u8>,
}

impl Element {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            cells: vec![Cell::NULL; wanted.columns],
            met: vec![0; wanted.edges()],
            wanted,
            made: Vec::new(),
            record: 0,
            key: Vec::new(),
        }
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Reads the record that `bytes` start with: how many bytes it has, and what is wrong with it.
    /// `last`: nothing can follow `bytes`.
    pub(super) fn read(&mut self, bytes: &[u8], last: bool) -> Result<(usize, Option<Flaw>), Fault> {
        self.cells.fill(Cell::NULL);
        self.made.clear();
        self.record += 1;
        let mut cursor = Cursor::new(bytes, last);
        let kind = match cursor.peek()? {
            b'{' => {
                self.object(&mut cursor, Wanted::ROOT, DEPTH_MAX)?;
                if !self.wanted.whole.is_empty() {
                    self.whole(&mut cursor)?;
                }
                return Ok((cursor.at, cursor.flaw));
            }
            b'[' => "an array",
            b'"' => "a text",
            b't' | b'f' => "true or false",
            b'n' => "null",
            _ => "a number",
        };
        cursor.walk(DEPTH_MAX, &mut Skip)?;
        Ok((cursor.at, Some(Flaw::NotAnObject(kind))))
    }

    /// The text of each column's cell in the record that was just read from `bytes`.
    pub(super) fn cells<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.cells.iter().map(move |cell| match cell.held {
            Held::Null => None,
            Held::Own => Some(&bytes[cell.start..cell.end]),
            Held::Made | Held::Json => Some(&self.made[cell.start..cell.end]),
        })
    }

    /// The same, where `text` is the record's bytes. `None`: what was made is not valid UTF-8; that
    /// can't be where the record is.
    pub(super) fn texts<'a>(&'a self, text: &'a str) -> Option<impl Iterator<Item = Option<&'a str>>> {
        let made = std::str::from_utf8(&self.made).ok()?;
        Some(self.cells.iter().map(move |cell| match cell.held {
            Held::Null => None,
            Held::Own => Some(&text[cell.start..cell.end]),
            Held::Made | Held::Json => Some(&made[cell.start..cell.end]),
        }))
    }

    /// The object or array in a column; `Err` if it is something else. `None`: there is none.
    pub(super) fn json(&self, column: usize) -> Result<Option<&[u8]>, ()> {
        let cell = &self.cells[column];
        match cell.held {
            Held::Null => Ok(None),
            Held::Json => Ok(Some(&self.made[cell.start..cell.end])),
            Held::Own | Held::Made => Err(()),
        }
    }

    /// The first column whose cell has more than `bytes_max` bytes, and how many it has.
    pub(super) fn too_long(&self, bytes_max: usize) -> Option<(usize, usize)> {
        self.cells
            .iter()
            .enumerate()
            .map(|(column, cell)| (column, cell.end - cell.start))
            .find(|(_, bytes)| *bytes > bytes_max)
    }

    /// Bytes of all cells.
    pub(super) fn cells_bytes(&self) -> usize {
        self.cells.iter().map(|cell| cell.end - cell.start).sum()
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, node: usize, depth_left: u32) -> Result<(), Fault> {
        cursor.at += 1;
        cursor.blanks();
        if cursor.peek()? == b'}' {
            cursor.at += 1;
            return Ok(());
        }
        loop {
            let key = cursor.key()?;
            match self.edge(cursor, node, key) {
                Some(edge) => {
                    if self.met[edge] == self.record {
                        let name = self.name(cursor, key);
                        cursor.flawed(Flaw::Twice(name));
                    }
                    self.met[edge] = self.record;
                    self.value(cursor, edge, depth_left - 1)?;
                }
                None => cursor.walk(depth_left - 1, &mut Skip)?,
            }
            cursor.blanks();
            match cursor.peek()? {
                b',' => cursor.at += 1,
                b'}' => {
                    cursor.at += 1;
                    return Ok(());
                }
                _ => return Err(cursor.syntax("`,` or `}`")),
            }
            cursor.blanks();
        }
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, node: usize, depth_left: u32) -> Result<(), Fault> {
        cursor.at += 1;
        cursor.blanks();
        if cursor.peek()? == b']' {
            cursor.at += 1;
            return Ok(());
        }
        for position in 0_usize.. {
            match self.wanted.at_item(node, position) {
                Some(edge) => self.value(cursor, edge, depth_left - 1)?,
                None => cursor.walk(depth_left - 1, &mut Skip)?,
            }
            cursor.blanks();
            match cursor.peek()? {
                b',' => cursor.at += 1,
                b']' => break,
                _ => return Err(cursor.syntax("`,` or `]`")),
            }
            cursor.blanks();
        }
        cursor.at += 1;
        Ok(())
    }

    /// The edge of a key, also where it is written with escapes.
    #[inline]
    fn edge(&mut self, cursor: &Cursor<'_>, node: usize, key: Quoted) -> Option<usize> {
        let raw = &cursor.bytes[key.start..key.end];
        if !key.escaped {
            return self.wanted.at_key(node, raw);
        }
        self.key.clear();
        text::unescape(raw, &mut self.key).ok()?;
        self.wanted.at_key(node, &self.key)
    }

    #[cold]
    fn name(&self, cursor: &Cursor<'_>, key: Quoted) -> String {
        let raw = if key.escaped { &*self.key } else { &cursor.bytes[key.start..key.end] };
        String::from_utf8_lossy(raw).into_owned()
    }

    /// Reads the value of an edge, whose own levels may be `depth_left`. This and [`Self::object`]
    /// call each other only as deep as the wanted paths go.
    #[inline]
    fn value(&mut self, cursor: &mut Cursor<'_>, edge: usize, depth_left: u32) -> Result<(), Fault> {
        let start = cursor.at;
        match cursor.peek()? {
            b'"' => {
                let quoted = cursor.text()?;
                if !quoted.escaped {
                    self.keep(edge, Held::Own, quoted.start, quoted.end);
                } else if self.is_kept(edge) {
                    let from = self.made.len();
                    if let Err(flaw) = text::unescape(&cursor.bytes[quoted.start..quoted.end], &mut self.made) {
                        cursor.flawed(flaw);
                    }
                    self.keep(edge, Held::Made, from, self.made.len());
                }
            }
            b'-' | b'0'..=b'9' => {
                let number = cursor.number()?;
                let from = self.made.len();
                if number.iter().any(|byte| matches!(byte, b'e' | b'E')) && text::plain(number, &mut self.made) {
                    self.keep(edge, Held::Made, from, self.made.len());
                } else {
                    self.keep(edge, Held::Own, start, cursor.at);
                }
            }
            bracket @ (b'{' | b'[') => {
                if depth_left == 0 {
                    return Err(Fault::TooDeep);
                }
                let is_kept = self.is_kept(edge);
                if is_kept {
                    let from = self.compact(cursor, depth_left)?;
                    self.keep(edge, Held::Json, from, self.made.len());
                }
                match (self.wanted.edge(edge).below, bracket) {
                    (None, _) if is_kept => {}
                    (None, _) => cursor.walk(depth_left, &mut Skip)?,
                    (Some(node), bracket) => {
                        cursor.at = start;
                        match bracket {
                            b'{' => self.object(cursor, node, depth_left)?,
                            _ => self.array(cursor, node, depth_left)?,
                        }
                    }
                }
            }
            _ => {
                let held = if cursor.word()? == b"null" { Held::Null } else { Held::Own };
                let end = if held == Held::Null { start } else { cursor.at };
                self.keep(edge, held, start, end);
            }
        }
        Ok(())
    }

    /// Appends the value at the cursor, without blanks, to what was made; gives where it starts.
    fn compact(&mut self, cursor: &mut Cursor<'_>, depth_left: u32) -> Result<usize, Fault> {
        let from = self.made.len();
        let mut compact = Compact::new(&mut self.made);
        cursor.walk(depth_left, &mut compact)?;
        if let Some(flaw) = compact.flaw {
            cursor.flawed(flaw);
        }
        Ok(from)
    }

    /// Gives the whole record to the columns that want it.
    fn whole(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        cursor.at = 0;
        let from = self.compact(cursor, DEPTH_MAX)?;
        for column in &self.wanted.whole {
            let cell = &mut self.cells[*column];
            if !cell.exact {
                *cell = Cell { held: Held::Json, start: from, end: self.made.len(), exact: false };
            }
        }
        Ok(())
    }

    fn is_kept(&self, edge: usize) -> bool {
        let edge = self.wanted.edge(edge);
        !edge.exact.is_empty() || !edge.path.is_empty()
    }

    #[inline]
    fn keep(&mut self, edge: usize, held: Held, start: usize, end: usize) {
        let edge = self.wanted.edge(edge);
        for column in &edge.exact {
            self.cells[*column] = Cell { held, start, end, exact: true };
        }
        for column in &edge.path {
            let cell = &mut self.cells[*column];
            if !cell.exact {
                *cell = Cell { held, start, end, exact: false };
            }
        }
    }
}
