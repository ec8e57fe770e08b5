//! A request's body in parts: what is there already goes out from where it is.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The most parts: what stands before the payload, the payload, and what stands after it.
const PARTS: usize = 3;

/// A body whose parts are sent one after the other, with their whole length said before. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct RequestBody([Bytes; PARTS]);

impl RequestBody {
    /// A body of these parts; any may be empty.
    pub fn of(parts: [Bytes; PARTS]) -> Self {
        Self(parts)
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// All of it in one piece. Copies it, unless one part is the whole of it.
    pub fn into_bytes(self) -> Bytes {
        let mut parts = self.0.iter().filter(|part| !part.is_empty());
        match (parts.next(), parts.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(_), Some(_)) => self.0.concat().into(),
        }
    }
}

impl From<Vec<u8>> for RequestBody {
    fn from(whole: Vec<u8>) -> Self {
        Self([whole.into(), Bytes::new(), Bytes::new()])
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Taken out, so that a part that has gone out is held by nobody here.
        let next = self.get_mut().0.iter_mut().find(|part| !part.is_empty()).map(mem::take);
        Poll::Ready(next.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    /// Exact: without it the body would go out in chunks, whose length no server knows before.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parts: [&'static str; PARTS]) -> RequestBody {
        RequestBody::of(parts.map(|part| Bytes::from_static(part.as_bytes())))
    }

    /// What is left before each frame, and the frame.
    fn frames(mut body: RequestBody) -> Vec<(Option<u64>, Bytes)> {
        let mut frames = Vec::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        loop {
            let left = body.size_hint().exact();
            let is_end = body.is_end_stream();
            let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(&mut context) else {
                panic!("it waits for nothing")
            };
            assert_eq!(frame.is_none(), is_end);
            let Some(Ok(frame)) = frame else { return frames };
            frames.push((left, frame.into_data().expect("data")));
        }
    }

    #[test]
    fn parts_come_in_order_from_where_they_are_and_the_length_is_known() {
        let records = Bytes::from(vec![b'r'; 5]);
        let body = RequestBody::of([Bytes::from_static(b"he"), records.clone(), Bytes::from_static(b"t")]);
        assert_eq!(body.len(), 8);
        let frames = frames(body);
        assert_eq!(frames, [(Some(8), "he".into()), (Some(6), "rrrrr".into()), (Some(1), "t".into())]);
        assert_eq!(frames[1].1.as_ptr(), records.as_ptr());
        drop(frames);
        assert!(records.is_unique(), "nobody has it any more");
    }

    #[test]
    fn an_empty_part_is_no_frame() {
        assert_eq!(frames(body(["", "a", ""])), [(Some(1), "a".into())]);
        assert_eq!(frames(body(["a", "", "b"])), [(Some(2), "a".into()), (Some(1), "b".into())]);
        assert!(frames(body(["", "", ""])).is_empty() && body(["", "", ""]).is_empty());
    }

    #[test]
    fn the_whole_is_its_parts_and_one_part_alone_is_not_copied() {
        assert_eq!(body(["a", "", "bc"]).into_bytes(), "abc");
        assert_eq!(RequestBody::default().into_bytes(), "");
        let only = vec![b'x'; 3];
        let at = only.as_ptr();
        assert_eq!(RequestBody::from(only).into_bytes().as_ptr(), at);
    }
}
