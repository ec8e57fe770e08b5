//! The packed key texts of an open batch's records.
//!
//! They are written with each batch and deleted when it is settled, so their bytes are what they cost. Neighbours of a sorted
//! export share most of theirs (`cus_0001234` and `cus_0001235`, each with the same feature behind it): a key is written as how
//! much it shares with the beginning and the end of the key before, and the bytes between.

use std::ops::Range;

/// Stands before the keys, and is no key's position in the older form. No keys are no bytes, in both.
const MARK: [u8; 4] = [0xff; 4];

/// Set beside the length of the shared beginning where records between this one and the one before are not open.
const SKIPS: u8 = 0x80;

/// Most bytes that are shared with the beginning of the key before: so many as fit beside [`SKIPS`]. With [`SUFFIX_MAX`] it bounds
/// what damaged bytes can swell to.
const PREFIX_MAX: usize = 0x7f;

/// Most bytes that are shared with its end.
const SUFFIX_MAX: usize = 0xff;

/// Appends the key texts of open records, whose positions rise.
///
/// For each: a byte of [`SKIPS`] and the length of the shared beginning; where it skips, how many; a byte of the length of the shared
/// end; how many bytes are between; those bytes. Numbers are LEB128.
pub(super) fn pack_keys<'a>(packed: &mut Vec<u8>, keys: impl Iterator<Item = (u32, &'a str)>) {
    let begin = packed.len();
    let (mut before, mut next): (&[u8], u32) = (&[], 0);
    for (position, key) in keys {
        if packed.len() == begin {
            packed.extend_from_slice(&MARK);
        }
        let key = key.as_bytes();
        let shared_max = before.len().min(key.len());
        let prefix = shared_prefix(&before[..shared_max.min(PREFIX_MAX)], key);
        let suffix = shared_suffix(&before[before.len() - (shared_max - prefix).min(SUFFIX_MAX)..], key);
        let middle = &key[prefix..key.len() - suffix];
        let skipped = position.checked_sub(next).expect("positions rise");
        if skipped == 0 {
            packed.extend_from_slice(&[prefix as u8, suffix as u8]);
        } else {
            packed.push(SKIPS | prefix as u8);
            push_number(packed, skipped);
            packed.push(suffix as u8);
        }
        push_number(packed, u32::try_from(middle.len()).expect("a key fits its batch"));
        packed.extend_from_slice(middle);
        (before, next) = (key, position.saturating_add(1));
    }
}

/// How many bytes two texts share at their beginnings.
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (at, (a, b)) in a_words.iter().zip(b_words).enumerate() {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return 8 * at + different.trailing_zeros() as usize / 8;
        }
    }
    let at = 8 * a_words.len().min(b_words.len());
    let rest = a[at..].iter().zip(&b[at..]);
    at + rest.take_while(|(a, b)| a == b).count()
}

/// How many bytes they share at their ends.
fn shared_suffix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_rchunks::<8>().1, b.as_rchunks::<8>().1);
    for (at, (a, b)) in a_words.iter().rev().zip(b_words.iter().rev()).enumerate() {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return 8 * at + different.leading_zeros() as usize / 8;
        }
    }
    let at = 8 * a_words.len().min(b_words.len());
    let rest = a[..a.len() - at].iter().rev().zip(b[..b.len() - at].iter().rev());
    at + rest.take_while(|(a, b)| a == b).count()
}

fn push_number(packed: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

/// The inverse of [`push_number`], and what stands behind the number.
fn take_number(packed: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0u64;
    for (at, byte) in packed.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(number).ok()?, &packed[at + 1..]));
        }
    }
    None
}

/// The key texts of a batch's open records, with their positions, which rise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keys {
    text: String,
    places: Vec<(u32, Range<usize>)>,
}

impl Keys {
    /// The inverse of [`pack_keys`] for a batch of `len` records, also of what programs before it wrote; none where the bytes
    /// are damaged.
    pub(super) fn unpack(packed: &[u8], len: u32) -> Option<Self> {
        let mut unpacked = Unpacked { len, ..Unpacked::default() };
        match packed.strip_prefix(&MARK) {
            Some(packed) => unpacked.take(packed)?,
            None => unpacked.take_older(packed)?,
        }
        let Unpacked { bytes, places, .. } = unpacked;
        let text = String::from_utf8(bytes).ok()?;
        places.iter().all(|(_, place)| text.is_char_boundary(place.start)).then_some(Self { text, places })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.places.iter().map(|(position, place)| (*position, &self.text[place.clone()]))
    }
}

#[derive(Default)]
struct Unpacked {
    len: u32,
    bytes: Vec<u8>,
    places: Vec<(u32, Range<usize>)>,
}

impl Unpacked {
    fn take(&mut self, mut packed: &[u8]) -> Option<()> {
        let (mut before, mut position) = (0..0, 0u32);
        while let Some((first, rest)) = packed.split_first() {
            let (skipped, rest) = if first & SKIPS == 0 { (0, rest) } else { take_number(rest)? };
            let (suffix, rest) = rest.split_first()?;
            let (middle, rest) = take_number(rest)?;
            let (middle, rest) = rest.split_at_checked(middle as usize)?;
            let (prefix, suffix) = (usize::from(first & !SKIPS), usize::from(*suffix));
            if prefix + suffix > before.len() {
                return None;
            }
            position = position.checked_add(skipped)?;
            let start = self.bytes.len();
            self.bytes.extend_from_within(before.start..before.start + prefix);
            self.bytes.extend_from_slice(middle);
            self.bytes.extend_from_within(before.end - suffix..before.end);
            before = start..self.bytes.len();
            self.end_key(position, start)?;
            position += 1;
            packed = rest;
        }
        Some(())
    }

    /// What was written before format 6 of a file and format 3 in Postgres: each key's position and length, in 4 bytes each, and
    /// its text.
    fn take_older(&mut self, mut packed: &[u8]) -> Option<()> {
        while !packed.is_empty() {
            let (position, rest) = packed.split_first_chunk::<4>()?;
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            let start = self.bytes.len();
            self.bytes.extend_from_slice(key);
            self.end_key(u32::from_le_bytes(*position), start)?;
            packed = rest;
        }
        Some(())
    }

    /// Ends the key at `position` whose text stands from `start` on; none where the batch can't have it there.
    fn end_key(&mut self, position: u32, start: usize) -> Option<()> {
        let rises = self.places.last().is_none_or(|(before, _)| *before < position);
        (rises && position < self.len).then(|| self.places.push((position, start..self.bytes.len())))
    }
}

/// Packs keys as programs before format 6 of a file did.
#[cfg(test)]
pub(super) fn pack_keys_older<'a>(keys: impl Iterator<Item = (u32, &'a str)>) -> Vec<u8> {
    let mut packed = Vec::new();
    for (position, key) in keys {
        packed.extend_from_slice(&position.to_le_bytes());
        packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
        packed.extend_from_slice(key.as_bytes());
    }
    packed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(keys: &[(u32, &str)]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack_keys(&mut packed, keys.iter().copied());
        packed
    }

    fn unpacked(packed: &[u8], len: u32) -> Option<Vec<(u32, String)>> {
        let keys = Keys::unpack(packed, len)?;
        Some(keys.iter().map(|(position, key)| (position, key.to_owned())).collect())
    }

    /// A batch of a hundred, as usage of a sorted export is.
    fn batch_of(key: impl Fn(u32) -> String) -> (usize, usize) {
        let keys: Vec<String> = (0..100).map(key).collect();
        let keys: Vec<(u32, &str)> = (0..).zip(keys.iter().map(String::as_str)).collect();
        let packed = packed(&keys);
        assert!(Keys::unpack(&packed, 100).unwrap().iter().eq(keys.iter().copied()));
        (pack_keys_older(keys.into_iter()).len(), packed.len())
    }

    #[test]
    fn a_key_is_what_it_does_not_share_with_the_one_before() {
        let keys = [(0, "cus_19\u{1f}api"), (1, "cus_20\u{1f}api"), (4, "cus_20\u{1f}seats"), (5, "cus_20\u{1f}seats")];
        let expected = [
            MARK.as_slice(),
            &[0, 0, 10],
            b"cus_19\x1fapi",
            &[4, 4, 2],
            b"20",
            &[SKIPS | 7, 2, 0, 5],
            b"seats",
            &[12, 0, 0],
        ];
        assert_eq!(packed(&keys), expected.concat());
        assert!(packed(&[]).is_empty());
    }

    #[test]
    fn keys_of_sorted_exports_take_a_fraction_of_the_room_and_others_never_more_than_before() {
        let spread = |number: u32| number.wrapping_mul(0x9e37_79b1);
        assert_eq!(batch_of(|n| format!("cus_{:07}\u{1f}api-calls\u{1f}ws-0", 1200 + n)), (3400, 438));
        assert_eq!(batch_of(|n| format!("cus_{:07}\u{1f}feature-{}\u{1f}", 1200 + n / 4, n % 4)), (3000, 667));
        assert_eq!(batch_of(|n| format!("cus_{:08x}\u{1f}api-calls\u{1f}", spread(n))), (3100, 1119));
        assert_eq!(batch_of(|n| format!("{:08x}", spread(n))), (1600, 1104));
    }

    #[test]
    fn what_was_written_before_is_read() {
        let older = b"\x00\x00\x00\x00\x03\x00\x00\x00ada\xff\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(unpacked(older, 256), Some(vec![(0, "ada".to_owned()), (255, String::new())]));
        assert_eq!(unpacked(older, 255), None, "the batch has no such record");
        assert_eq!(unpacked(&older[..18], 256), None);
        assert_eq!(unpacked(&[], 0), Some(Vec::new()));
    }

    #[test]
    fn damaged_keys_are_none() {
        let sound = packed(&[(0, "ab"), (1, "éb"), (2, "éc")]);
        assert!(Keys::unpack(&sound, 3).is_some());
        let damaged = |bytes: &[u8]| assert_eq!(Keys::unpack(&[&MARK, bytes].concat(), 3), None, "{bytes:?}");
        damaged(&[0]);
        damaged(&[0, 0]);
        damaged(&[0, 0, 2, b'a']);
        damaged(&[1, 0, 0]); // more than the key before has
        damaged(&[0, 0, 2, b'a', b'b', 2, 1, 0]); // twice the same byte of it
        damaged(&[0, 0, 2, 0xc3, 0xa9, 1, 0, 0]); // half a character
        damaged(&[0, 0, 1, 0xc3, 0, 0, 1, 0xa9]); // a character over two keys
        damaged(&[0x80, 3, 0, 0]); // a record that the batch has not
        damaged(&[0x80, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
        damaged(&[0x80, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0]); // no number of 32 bits
        damaged(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 0]); // a number without an end
        damaged(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // a record too many
    }

    /// Parts as ids have them, so that much is shared, and long ones.
    fn key() -> impl Strategy<Value = String> {
        let part = prop_oneof![4 => "[ab]{0,3}", 1 => "[aé日]{0,3}", 1 => "a{120,260}", 1 => "cus_000[0-9]{1,2}"];
        prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("\u{1f}"))
    }

    /// Keys and how many records are skipped before each.
    fn keys(most: usize) -> impl Strategy<Value = Vec<(u32, String)>> {
        let skipped = prop_oneof![4 => Just(0u32), 1 => 0u32..300];
        prop::collection::vec((skipped, key()), 0..most).prop_map(|keys| {
            let mut next = 0;
            let placed = keys.into_iter().map(|(skipped, key)| {
                let position = next + skipped;
                next = position + 1;
                (position, key)
            });
            placed.collect()
        })
    }

    fn borrowed(keys: &[(u32, String)]) -> Vec<(u32, &str)> {
        keys.iter().map(|(position, key)| (*position, key.as_str())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn keys_come_back_as_they_were(keys in keys(40)) {
            let len = keys.last().map_or(0, |(last, _)| last + 1);
            let packed = packed(&borrowed(&keys));
            let older = pack_keys_older(borrowed(&keys).into_iter());
            prop_assert!(packed.len() <= older.len() + MARK.len());
            prop_assert_eq!(unpacked(&packed, len), Some(keys.clone()));
            prop_assert_eq!(unpacked(&older, len), Some(keys));
            if len > 0 {
                prop_assert_eq!(unpacked(&packed, len - 1), None);
                prop_assert_eq!(unpacked(&older, len - 1), None);
            }
        }

        /// Each end and each flipped bit gives none or keys that the batch can have, of a size that the bytes bound.
        #[test]
        fn damage_is_none_or_keys_of_the_batch(keys in keys(7), older in any::<bool>()) {
            let len = keys.last().map_or(0, |(last, _)| last + 1);
            let sound = if older { pack_keys_older(borrowed(&keys).into_iter()) } else { packed(&borrowed(&keys)) };
            for end in 0..sound.len() {
                may_be(&sound[..end], len)?;
            }
            for bit in 0..8 * sound.len() {
                let mut flipped = sound.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                may_be(&flipped, len)?;
            }
        }

        #[test]
        fn made_up_bytes_are_none_or_keys_of_the_batch(marked in any::<bool>(), bytes in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..60)) {
            let bytes = if marked { [MARK.as_slice(), &bytes].concat() } else { bytes };
            may_be(&bytes, 40)?;
        }

        #[test]
        fn shared_bytes_are_counted_from_both_ends(a in "[ab]{0,30}", b in "[ab]{0,30}", shared in "[ab]{0,30}") {
            for (a, b) in [(format!("{shared}{a}"), format!("{shared}{b}")), (format!("{a}{shared}"), format!("{b}{shared}"))] {
                let (a, b) = (a.as_bytes(), b.as_bytes());
                prop_assert_eq!(shared_prefix(a, b), a.iter().zip(b).take_while(|(a, b)| a == b).count());
                prop_assert_eq!(shared_suffix(a, b), a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count());
            }
        }
    }

    fn may_be(bytes: &[u8], len: u32) -> Result<(), TestCaseError> {
        let Some(keys) = Keys::unpack(bytes, len) else { return Ok(()) };
        prop_assert!(keys.iter().all(|(position, _)| position < len));
        prop_assert!(keys.iter().zip(keys.iter().skip(1)).all(|((before, _), (position, _))| before < position));
        prop_assert!(keys.text.len() <= bytes.len() + keys.places.len() * (PREFIX_MAX + SUFFIX_MAX));
        Ok(())
    }
}
