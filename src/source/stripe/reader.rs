//! Lines that a task fetches, as something that a thread reads.

use std::io::{self, Read};

use tokio::sync::mpsc;

use crate::source::error::BrokeProblem;

/// Waits for lines; its end is the channel's. To be read from a thread that may wait.
pub(super) struct LinesReader {
    received: mpsc::Receiver<Result<Vec<u8>, BrokeProblem>>,
    lines: Vec<u8>,
    at: usize,
}

impl LinesReader {
    pub fn new(received: mpsc::Receiver<Result<Vec<u8>, BrokeProblem>>) -> Self {
        Self { received, lines: Vec::new(), at: 0 }
    }
}

impl Read for LinesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.lines.len() {
            match self.received.blocking_recv() {
                Some(Ok(lines)) => (self.lines, self.at) = (lines, 0),
                Some(Err(problem)) => return Err(io::Error::other(problem)),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.lines.len() - self.at);
        buffer[..length].copy_from_slice(&self.lines[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
