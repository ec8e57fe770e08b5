//! Many cases on all cores: counted, and watched by the time they cost, which a busy machine does not make longer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most processor time of a case; the most that was seen is 3 s, of a build without optimisation.
const CASE_CPU_MAX: Duration = Duration::from_secs(120);

/// Longest real time in which a case costs no processor time at all: it waits for what never comes.
const CASE_STILL_MAX: Duration = Duration::from_secs(600);

/// A case that is under way.
struct Going {
    thread: Option<String>,
    cpu_before: Duration,
    cpu_last: Duration,
    /// When `cpu_last` was seen first.
    since: Instant,
}

/// The cases that threads take one after the other.
pub(super) struct Cases {
    first: u64,
    count: u64,
    next: AtomicU64,
    done: AtomicU64,
    at: Mutex<BTreeMap<u64, Going>>,
}

/// The running thread, as the system calls it where it tells.
fn this_thread() -> Option<String> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    Some(format!("/proc/{}/schedstat", link.display()))
}

/// Processor time that a thread had; none where the system does not tell.
fn cpu(thread: Option<&str>) -> Duration {
    let text = thread.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

impl Cases {
    fn work(&self, case: impl Fn(u64)) {
        let thread = this_thread();
        loop {
            let seed = self.first + self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.first + self.count {
                return;
            }
            let cpu = cpu(thread.as_deref());
            let going = Going { thread: thread.clone(), cpu_before: cpu, cpu_last: cpu, since: Instant::now() };
            self.at.lock().expect("no panic holds it").insert(seed, going);
            case(seed);
            self.at.lock().expect("no panic holds it").remove(&seed);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A case that costs too much, or nothing for too long.
    fn hanging(&self) -> Option<u64> {
        let mut at = self.at.lock().expect("no panic holds it");
        at.iter_mut().find_map(|(seed, going)| {
            let now = cpu(going.thread.as_deref());
            if now > going.cpu_last {
                (going.cpu_last, going.since) = (now, Instant::now());
            }
            let is_hanging =
                now.saturating_sub(going.cpu_before) > CASE_CPU_MAX || going.since.elapsed() > CASE_STILL_MAX;
            is_hanging.then_some(*seed)
        })
    }
}

/// Runs `count` cases from seed `first` on so many threads. A failing one fails the test; `replay` is told of one that hangs.
pub(super) fn cases(
    first: u64,
    count: u64,
    threads: u64,
    case: impl Fn(u64) + Clone + Send + 'static,
    replay: impl Fn(u64) -> String,
) {
    let cases = Arc::new(Cases { first, count, next: 0.into(), done: 0.into(), at: Mutex::default() });
    let start = |_| {
        let (cases, case) = (cases.clone(), case.clone());
        std::thread::spawn(move || cases.work(case))
    };
    let mut threads: Vec<_> = (0..threads).map(start).collect();
    let (began, mut told) = (Instant::now(), 0);
    while !threads.is_empty() {
        std::thread::sleep(Duration::from_millis(20));
        if let Some(seed) = cases.hanging() {
            panic!("a case hangs{}", replay(seed));
        }
        let (over, going) = threads.into_iter().partition(|thread: &JoinHandle<()>| thread.is_finished());
        threads = going;
        for thread in over {
            assert!(thread.join().is_ok(), "a case failed, see above");
        }
        let done = cases.done.load(Ordering::Relaxed);
        // Of a long run something is seen meanwhile.
        if done / 500 > told {
            told = done / 500;
            eprintln!("{done} of {count} cases from seed {first}, {} s", began.elapsed().as_secs());
        }
    }
    assert_eq!(cases.done.load(Ordering::Relaxed), count, "every case ran");
}
