//! A thread with a runtime of its own, for a stage of the pipeline.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread on which rows are read and mapped ([`super::Job::map_on`]), or compared and batched ([`super::Job::prepare_on`]), while
/// another sends.
///
/// On one runtime of several threads the stages' tasks wander between them, and threads are woken for each answer and each
/// line of the ledger. So each has its thread, and only whole batches cross.
#[derive(Debug)]
pub struct StageThread {
    handle: Handle,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

impl StageThread {
    /// Starts it under a name, as debuggers show it. It ends when this is dropped, with whatever still runs on it.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or the runtime no timer.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(ended))?;
        Ok(Self { handle, _end: end })
    }

    /// Where to spawn.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_tasks_until_it_is_dropped() {
        let here = Builder::new_current_thread().build().unwrap();
        let thread = StageThread::start("prepare").unwrap();
        let name = thread.handle().spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(here.block_on(name).unwrap().as_deref(), Some("prepare"));
        let endless = thread.handle().spawn(std::future::pending::<()>());
        drop(thread);
        assert!(here.block_on(endless).unwrap_err().is_cancelled());
    }
}
