//! The body of an answer while it comes.

use bytes::Bytes;

/// What has come of a body. One chunk that is all of it is kept as it came; more are copied together.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    first: Bytes,
    /// All chunks, from the second on.
    joined: Vec<u8>,
}

/// A body that is too large.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is larger than {bytes_max} bytes")]
pub(super) struct AnswerTooLarge {
    pub(super) bytes_max: usize,
}

impl AnswerBody {
    /// Adds what came next. `bytes_said` is what the server said the whole has; it need not have said it.
    ///
    /// # Errors
    ///
    /// [`AnswerTooLarge`], where it would have more than `bytes_max`.
    pub(super) fn add(&mut self, chunk: Bytes, bytes_said: usize, bytes_max: usize) -> Result<(), AnswerTooLarge> {
        let bytes = self.first.len() + self.joined.len() + chunk.len();
        if bytes > bytes_max {
            return Err(AnswerTooLarge { bytes_max });
        }
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = chunk;
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined.reserve_exact(bytes_said.min(bytes_max).max(bytes));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&chunk);
        Ok(())
    }

    /// The whole.
    pub(super) fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(chunks: &[&'static str], bytes_max: usize) -> Result<Bytes, AnswerTooLarge> {
        let mut body = AnswerBody::default();
        for chunk in chunks {
            body.add(Bytes::from_static(chunk.as_bytes()), 0, bytes_max)?;
        }
        Ok(body.finish())
    }

    #[test]
    fn a_body_of_one_chunk_is_kept_as_it_came() {
        let chunk = Bytes::from(vec![b'x'; 100]);
        let mut body = AnswerBody::default();
        body.add(chunk.clone(), 100, 1_000).unwrap();
        assert_eq!(body.finish().as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn a_body_of_more_is_all_of_them_in_order() {
        assert_eq!(joined(&[], 9).unwrap(), "");
        assert_eq!(joined(&["ab", "c"], 9).unwrap(), "abc");
        assert_eq!(joined(&["", "a", "", "b", "cd"], 9).unwrap(), "abcd");
    }

    #[test]
    fn a_body_is_cut_off_at_its_limit_whichever_chunk_passes_it() {
        let too_large = Err(AnswerTooLarge { bytes_max: 4 });
        assert_eq!(joined(&["abcd"], 4).unwrap(), "abcd");
        assert_eq!(joined(&["ab", "c", "d"], 4).unwrap(), "abcd");
        assert_eq!(joined(&["abcde"], 4), too_large);
        assert_eq!(joined(&["abcd", "e"], 4), too_large);
        assert_eq!(joined(&["ab", "cd", "e"], 4), too_large);
    }
}
