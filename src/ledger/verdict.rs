//! What a settlement says of a batch's records.

use super::keys::{Keys, pack_keys};
use super::segment::{State, take_outcomes};
use crate::batch::Outcome;

/// Most characters of a refusal's code that are kept.
const CODE_CHARS_MAX: usize = 64;

/// What became of a batch's records.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// All of so many were accepted.
    AllAccepted(usize),
    /// One outcome for each.
    Outcomes(Vec<Outcome>),
    /// The open ones at these positions, or all that are open, will never be known.
    NeverKnown(Option<Vec<u32>>),
}

impl Verdict {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        if outcomes.iter().all(|outcome| *outcome == Outcome::Accepted) {
            Self::AllAccepted(outcomes.len())
        } else {
            Self::Outcomes(outcomes.to_vec())
        }
    }

    /// How many records it is about, of a batch of `len`.
    pub(super) fn len(&self, len: u32) -> usize {
        match self {
            Self::AllAccepted(found) => *found,
            Self::Outcomes(outcomes) => outcomes.len(),
            Self::NeverKnown(_) => len as usize,
        }
    }

    /// Takes what is new of it into the states and the refusals; returns whether anything was.
    pub(super) fn apply(&self, states: &mut [State], refusals: &mut Vec<(u32, String)>) -> bool {
        let before = states.to_vec();
        match self {
            Self::AllAccepted(_) => {
                states.iter_mut().filter(|state| **state == State::Open).for_each(|state| *state = State::Accepted);
            }
            Self::Outcomes(outcomes) => {
                let cut = |code: &str| code.chars().take(CODE_CHARS_MAX).collect();
                let new = take_outcomes(states, outcomes);
                refusals.extend(new.into_iter().map(|(position, code)| (position, cut(code))));
            }
            Self::NeverKnown(positions) => {
                for (position, state) in (0u32..).zip(states.iter_mut()) {
                    let meant = positions.as_ref().is_none_or(|positions| positions.contains(&position));
                    if *state == State::Open && meant {
                        *state = State::NeverKnown;
                    }
                }
            }
        }
        states != before
    }
}

/// The packed keys without those of settled records; none where the bytes are damaged.
pub(super) fn keys_left(keys: &[u8], states: &[State]) -> Option<Vec<u8>> {
    let texts = Keys::unpack(keys, u32::try_from(states.len()).ok()?)?;
    let mut left = Vec::new();
    pack_keys(&mut left, texts.iter().filter(|(position, _)| states[*position as usize] == State::Open));
    Some(left)
}
