//! Tests that mostly wait. They run in the background while the others run, so that together they take little longer
//! than the longest of them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

/// The tests, by name.
pub(crate) struct Waits {
    tests: &'static [(&'static str, fn())],
    /// The running tests whose results have not been taken; `None` before the first call.
    begun: Mutex<Option<HashMap<&'static str, JoinHandle<()>>>>,
}

impl Waits {
    pub(crate) const fn new(tests: &'static [(&'static str, fn())]) -> Self {
        Self { tests, begun: Mutex::new(None) }
    }

    /// Starts all of them at the first call, if this program runs all its tests.
    pub(crate) fn begin(&self) {
        let begin = || {
            let is_whole = std::env::args().skip(1).all(|argument| argument.starts_with("--test-threads"));
            let tests = self.tests.iter().filter(|_| is_whole);
            tests.map(|(name, test)| (*name, std::thread::spawn(test))).collect()
        };
        self.begun.lock().unwrap().get_or_insert_with(begin);
    }

    /// Waits for a running test, or runs it.
    pub(crate) fn wait(&self, name: &str) {
        self.begin();
        let begun = self.begun.lock().unwrap().as_mut().and_then(|begun| begun.remove(name));
        let run = || self.tests.iter().find(|(test, _)| *test == name).unwrap().1();
        let Some(begun) = begun else { return run() };
        if let Err(panic) = begun.join() {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            panic!("{}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default());
        }
    }
}
