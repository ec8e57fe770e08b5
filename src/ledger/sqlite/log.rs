//! Whether bits of the log beside the file (`ledger.db-wal`) have changed.
//!
//! SQLite reads a log up to the first frame whose sums do not fit, and takes the rest for what was never written. That is
//! right where a crash interrupted a write. Where a bit flipped in between, everything behind it would be lost without a
//! word: batches that were open, too. The two can be told apart, because a frame's sums go on from those of the frame before:
//! a changed frame has one behind it that fits its sums, and one in which a single bit has flipped fits with that bit put back.
//!
//! The form of a log: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Bytes of a log's header, and how many of them its sums are of.
const HEADER_BYTES: usize = 32;
const HEADER_SUMMED: usize = 24;

/// Bytes of a frame's header, and how many of them its sums are of, before the page.
const FRAME_HEADER_BYTES: usize = 24;
const FRAME_SUMMED: usize = 8;

/// Size of a page of the file: SQLite's usual one.
const PAGE_BYTES: usize = 4096;

/// Both sums.
type Sums = (u32, u32);

/// How words are read: the machine that made the log decides.
type Word = fn([u8; 4]) -> u32;

/// Frames that SQLite would not read, though they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// The numbers of their pages.
    pages: Vec<u32>,
    /// Whether one of these is not sure.
    is_one_unknown: bool,
}

impl Lost {
    /// Whether a page may be among them.
    pub(super) fn may_have(&self, page: i64) -> bool {
        self.is_one_unknown || self.pages.iter().any(|lost| i64::from(*lost) == page)
    }
}

/// The one bit that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flipped {
    /// In a word of what is summed, from 0.
    Summed { word: usize, bit: u32 },
    /// In the sums, as they are stored.
    Sums,
}

/// What would be lost of a ledger's log because of changed bits; none where it is sound, or was only cut off in a write.
pub(super) fn lost(ledger: &Path) -> Option<Lost> {
    let mut log = ledger.as_os_str().to_owned();
    log.push("-wal");
    // A run may write it meanwhile: what was half written then is not so any more.
    let look = || lost_of(Path::new(&log)).ok().flatten();
    look().and_then(|_| look())
}

fn lost_of(log: &Path) -> io::Result<Option<Lost>> {
    let mut log = BufReader::with_capacity(1 << 18, File::open(log)?);
    let (mut header, mut frame) = ([0; HEADER_BYTES], Frame::new());
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let word: Word = if header[3] & 1 == 0 { u32::from_le_bytes } else { u32::from_be_bytes };
    let (summed, stored) = (&header[..HEADER_SUMMED], sums_at(&header, HEADER_SUMMED));
    let mut sums = take_in((0, 0), summed, word);
    if sums != stored {
        // Which machine made it is part of what may have changed.
        let explains = |frame: &Frame, word: Word| {
            flipped_bit(take_in((0, 0), summed, word), stored, &[summed], word).is_some()
                || frame.sums(stored, word) == frame.stored()
        };
        let is_changed =
            frame.read(&mut log)? && (explains(&frame, u32::from_le_bytes) || explains(&frame, u32::from_be_bytes));
        return if is_changed { frame.pages_from_here(log).map(Some) } else { Ok(None) };
    }
    let (salts, mut end) = (&header[16..24], HEADER_BYTES);
    while frame.read(&mut log)? {
        end += frame.bytes.len();
        let (found, stored) = (frame.sums(sums, word), frame.stored());
        if frame.salts() == salts && found == stored {
            sums = stored;
            continue;
        }
        let salts_flipped: u32 = frame.salts().iter().zip(salts).map(|(one, other)| (one ^ other).count_ones()).sum();
        let flipped =
            flipped_bit(found, stored, &[&frame.bytes[..FRAME_SUMMED], &frame.bytes[FRAME_HEADER_BYTES..]], word);
        let is_one_bit = match salts_flipped {
            0 => flipped.is_some(),
            1 => found == stored,
            _ => false,
        };
        let mut next = Frame::new();
        // A power failure may keep a single block from the disk: where one ends with the frame, the next is whole then, too.
        let is_followed = next.read(&mut log)?
            && !end.is_multiple_of(PAGE_BYTES)
            && next.salts() == salts
            && [stored, found].iter().any(|sums| next.sums(*sums, word) == next.stored());
        if !(is_one_bit || is_followed) {
            return Ok(None);
        }
        let mut lost = next.pages_from_here(log)?;
        lost.pages.push(frame.page());
        if let Some(Flipped::Summed { word: 0, bit }) = flipped {
            // Its own number may have changed. A bit of it as words are read, and as page numbers are.
            let is_same = word([0, 0, 0, 1]) == 1;
            lost.pages.push(frame.page() ^ if is_same { 1 << bit } else { (1u32 << bit).swap_bytes() });
        }
        lost.is_one_unknown = salts_flipped > 1;
        return Ok(Some(lost));
    }
    Ok(None)
}

struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn new() -> Self {
        Self { bytes: vec![0; FRAME_HEADER_BYTES + PAGE_BYTES] }
    }

    /// Whether there was a whole one.
    fn read(&mut self, log: &mut impl Read) -> io::Result<bool> {
        fill(log, &mut self.bytes)
    }

    fn page(&self) -> u32 {
        u32::from_be_bytes(self.bytes[..4].try_into().expect("four bytes"))
    }

    fn salts(&self) -> &[u8] {
        &self.bytes[8..16]
    }

    fn stored(&self) -> Sums {
        sums_at(&self.bytes, 16)
    }

    /// Its sums, behind a frame with these.
    fn sums(&self, before: Sums, word: Word) -> Sums {
        let sums = take_in(before, &self.bytes[..FRAME_SUMMED], word);
        take_in(sums, &self.bytes[FRAME_HEADER_BYTES..], word)
    }

    /// The pages of this frame and of all behind it.
    fn pages_from_here(mut self, mut log: impl Read) -> io::Result<Lost> {
        let mut pages = vec![self.page()];
        while self.read(&mut log)? {
            pages.push(self.page());
        }
        Ok(Lost { pages, is_one_unknown: false })
    }
}

/// Whether there were so many bytes.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}

fn sums_at(bytes: &[u8], at: usize) -> Sums {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (word(at), word(at + 4))
}

fn words(bytes: &[u8], word: Word) -> impl DoubleEndedIterator<Item = (u32, u32)> + '_ {
    bytes.chunks_exact(8).map(move |pair| {
        let [a, b, c, d, e, f, g, h] = pair.try_into().expect("eight bytes");
        (word([a, b, c, d]), word([e, f, g, h]))
    })
}

fn take_in(sums: Sums, bytes: &[u8], word: Word) -> Sums {
    words(bytes, word).fold(sums, |(one, two), (first, second)| {
        let one = one.wrapping_add(first).wrapping_add(two);
        (one, two.wrapping_add(second).wrapping_add(one))
    })
}

/// A bit which, put back, makes sums that were found those that are stored; none where it is more than one. There may be several,
/// since the upper bits of words far apart count the same; this is one in the first of their words.
fn flipped_bit(found: Sums, stored: Sums, summed: &[&[u8]], word: Word) -> Option<Flipped> {
    let is_in_sums = (found.0 ^ stored.0).count_ones() + (found.1 ^ stored.1).count_ones() == 1;
    let mut first_found = is_in_sums.then_some(Flipped::Sums);
    let missing = (stored.0.wrapping_sub(found.0), stored.1.wrapping_sub(found.1));
    // What a one in a word adds to both sums: seen from the last word, more with each pair before it.
    let (mut of_first, mut of_second) = ((1u32, 1u32), (0u32, 1u32));
    let before = |(one, two): Sums| (one.wrapping_add(two), one.wrapping_add(two.wrapping_mul(2)));
    let pairs = summed.iter().map(|bytes| bytes.len() / 8).sum::<usize>();
    let last_first = summed.iter().rev().flat_map(|bytes| words(bytes, word).rev());
    for (pair, (first, second)) in (0..pairs).rev().zip(last_first) {
        for (word, value, adds) in [(2 * pair, first, of_first), (2 * pair + 1, second, of_second)] {
            let explains = |bit: &u32| {
                let change = (adds.0 << bit, adds.1 << bit);
                let is_set = value >> bit & 1 == 1;
                missing == if is_set { (change.0.wrapping_neg(), change.1.wrapping_neg()) } else { change }
            };
            if let Some(bit) = (0..32).find(explains) {
                first_found = Some(Flipped::Summed { word, bit });
            }
        }
        (of_first, of_second) = (before(of_first), before(of_second));
    }
    first_found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::batch::Outcome;
    use crate::clock::SystemClock;
    use crate::ledger::conformance::{batch, scope, start};
    use crate::ledger::{Access, Durability, Ledger as _, SqliteLedger};

    /// A ledger as a kill leaves it: the file, and a log of some batches.
    async fn killed(folder: &Path) -> PathBuf {
        let (path, copy) = (folder.join("ledger.db"), folder.join("killed.db"));
        let ledger = SqliteLedger::open(&path, Access::Write, Durability::ProcessEnd, Arc::new(SystemClock));
        let ledger = ledger.await.unwrap();
        let run = ledger.begin_run(start()).await.unwrap();
        for number in 0..4 {
            let key = format!("customer-{number}");
            let id = ledger.open(run, "s", &scope(), &[&batch(&[(&key, number)])]).await.unwrap()[0];
            if number % 2 == 0 {
                ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
            }
        }
        for end in ["", "-wal"] {
            std::fs::copy(folder.join(format!("ledger.db{end}")), folder.join(format!("killed.db{end}"))).unwrap();
        }
        copy
    }

    fn with_log(ledger: &Path, log: &[u8]) -> Option<Lost> {
        std::fs::write(format!("{}-wal", ledger.display()), log).unwrap();
        lost(ledger)
    }

    #[tokio::test]
    async fn each_bit_that_flips_in_a_log_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = killed(folder.path()).await;
        let log = std::fs::read(format!("{}-wal", ledger.display())).unwrap();
        assert_eq!(with_log(&ledger, &log), None, "it is sound");
        let frame = FRAME_HEADER_BYTES + PAGE_BYTES;
        let frames = (log.len() - HEADER_BYTES) / frame;
        assert!(frames > 8 && log.len() == HEADER_BYTES + frames * frame, "{} bytes", log.len());
        // All bits of the headers, and some of each page, of the first frame, one in the middle, and the last.
        let heads = (0..HEADER_BYTES * 8).chain([0, frames / 2, frames - 1].into_iter().flat_map(|number| {
            let at = HEADER_BYTES + number * frame;
            (at * 8..(at + FRAME_HEADER_BYTES) * 8)
                .chain(((at + FRAME_HEADER_BYTES) * 8..(at + frame) * 8).step_by(1999))
        }));
        for bit in heads {
            let mut changed = log.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let lost = with_log(&ledger, &changed).unwrap_or_else(|| panic!("bit {bit} of {frames} frames"));
            // All pages from the changed frame on, as they were.
            let first = (bit / 8).saturating_sub(HEADER_BYTES) / frame;
            let page =
                |number: usize| u32::from_be_bytes(log[HEADER_BYTES + number * frame..][..4].try_into().unwrap());
            let is_lost = |number: usize| lost.may_have(page(number).into());
            assert!((first..frames).all(is_lost) && !lost.may_have(99), "bit {bit} of {frames} frames: {lost:?}");
        }
        // More than a bit, where there are frames behind it.
        let mut changed = log.clone();
        changed[HEADER_BYTES + frame + 200..][..512].fill(0x5a);
        assert!(with_log(&ledger, &changed).is_some());
    }

    #[tokio::test]
    async fn a_log_that_ends_in_the_middle_of_a_write_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = killed(folder.path()).await;
        let log = std::fs::read(format!("{}-wal", ledger.display())).unwrap();
        let frame = FRAME_HEADER_BYTES + PAGE_BYTES;
        for end in (0..log.len()).step_by(97) {
            assert_eq!(with_log(&ledger, &log[..end]), None, "cut off at {end}");
        }
        // Over frames of an earlier log, which a log that begins again leaves behind it.
        let mut earlier = log.clone();
        for at in (HEADER_BYTES..log.len()).step_by(frame) {
            earlier[at + 8] ^= 0x55;
        }
        for end in (HEADER_BYTES..log.len()).step_by(97) {
            let over = [&log[..end], &earlier[end..]].concat();
            assert_eq!(with_log(&ledger, &over), None, "written up to {end}");
        }
        // A page that a power failure kept from the disk.
        let last = log.len() - frame;
        let mut holed = log.clone();
        holed[last + 600..last + 1200].fill(0);
        assert_eq!(with_log(&ledger, &holed), None);
    }
}
