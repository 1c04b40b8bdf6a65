//! One line on a terminal's stderr, and only where the work takes longer than a second.

use chain::say;
use chain::size::human;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Work in progress; its line vanishes when it is dropped.
pub struct Progress {
    next: Option<Instant>,
    is_shown: bool,
    done: u64,
}

impl Progress {
    /// Nothing is shown yet, and nothing ever where stderr is no terminal.
    pub fn new() -> Progress {
        let next = std::io::stderr().is_terminal().then(|| Instant::now() + Duration::from_secs(1));
        Progress { next, is_shown: false, done: 0 }
    }

    /// So many bytes more are done.
    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            say(&format!("\rmkimg: {} copied \x1b[K", human(self.done)));
            self.is_shown = true;
            self.next = Some(now + Duration::from_millis(200));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            say("\r\x1b[K");
        }
    }
}
