//! Servers that were seen to run, and a look that costs next to nothing whether they still do.

use serde::{Deserialize, Serialize};

/// A process of this machine that was seen to be a server of ours. It is known again by its id, which may be
/// somebody else's by now, together with a mark that nobody else has: an argument of its command line, or the id
/// of its container, after which the container's control group is named.
/// <https://docs.kernel.org/filesystems/proc.html#process-specific-subdirectories>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    pid: u32,
    mark: String,
}

impl Sighting {
    /// The process of this id, with its mark. None where this machine does not show it so: a container may be
    /// in a virtual machine or on another one, and not every system has `/proc`.
    pub(crate) fn of(pid: u32, mark: &str) -> Option<Self> {
        let seen = Self { pid, mark: mark.to_owned() };
        seen.is_there().then_some(seen)
    }

    /// Whether it runs still.
    pub(crate) fn is_there(&self) -> bool {
        let read = |file: &str| {
            let text = std::fs::read(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        read("cmdline").split('\0').any(|argument| argument == self.mark)
            || read("cgroup").lines().any(|group| group.contains(&self.mark))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_and_its_mark_and_no_longer_when_it_has_ended() {
        let mark = "/a folder/data";
        let sleep = |seconds: &str| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &format!("sleep {seconds}; :"), mark]).spawn().unwrap()
        };
        let mut process = sleep("60");
        // The system shows a command line a moment after the process was started.
        let seen = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            Sighting::of(process.id(), mark)
        });
        let seen = seen.unwrap();
        assert!(Sighting::of(process.id(), "/a folder").is_none());
        assert!(Sighting::of(std::process::id(), mark).is_none());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(!seen.is_there());
    }
}
