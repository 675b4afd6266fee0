//! The state of a file: what the file system says about it, and what that says about its contents.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in nanoseconds since 1970.
pub(crate) type Nanos = i128;

/// A file system's clock may stand still for this long: Linux moves it on at each timer tick, 10 ms
/// apart at most.
pub(crate) const CLOCK_TICK: Duration = Duration::from_millis(20);

/// An editor may take this long from writing a file to moving it into place, or setting its mode; and
/// some file systems keep times to two seconds only.
const WRITING: Nanos = 2_000_000_000;

/// Enough to tell that a file is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no such file.
    Absent,
    /// There is one.
    File {
        /// In bytes.
        size: u64,
        /// When its contents were last written. Anybody may set it to anything.
        modified: Nanos,
        /// When its contents, its name or anything else about it last changed. Nobody can set this one,
        /// but not every system has it.
        changed: Option<Nanos>,
    },
}

impl State {
    /// The present state of the file at `path`, or that a link there leads to. Nothing comes back for
    /// what is neither a file nor absent: it would take reading a whole folder to tell that it changed.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Some(Self::File {
                size: metadata.len(),
                modified: nanos(metadata.modified().ok()?),
                changed: change_time(&metadata),
            }),
            Err(error) if is_absence(&error) => Some(Self::Absent),
            _ => None,
        }
    }

    /// The state without the time of its last change of any kind.
    pub(crate) fn by_contents(mut self) -> Self {
        if let Self::File { changed, .. } = &mut self {
            *changed = None;
        }
        self
    }

    /// Whether nothing about the file changed at that time or later, as far as can be told.
    pub(crate) fn is_from_before(self, time: Nanos) -> bool {
        match self {
            Self::Absent => true,
            Self::File { modified, changed, .. } => {
                modified < time && changed.is_none_or(|changed| changed < time)
            }
        }
    }

    /// Whether cargo, going by the modification time, may miss a change since `last` time: the contents
    /// claim to be older, or came here so much later than they were written that cargo may have built
    /// something else in between.
    pub(crate) fn may_hide_a_change(self, last: Nanos) -> bool {
        match self {
            Self::Absent => false,
            Self::File { modified, changed, .. } => {
                modified <= last || changed.is_some_and(|changed| changed - modified > WRITING)
            }
        }
    }

    /// Reads what [`State::render`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "absent" {
            return Some(Self::Absent);
        }
        let mut fields = text.splitn(3, ' ');
        Some(Self::File {
            size: fields.next()?.parse().ok()?,
            modified: fields.next()?.parse().ok()?,
            changed: match fields.next()? {
                "-" => None,
                time => Some(time.parse().ok()?),
            },
        })
    }

    /// The state as text without tabs and line breaks.
    pub(crate) fn render(self) -> String {
        match self {
            Self::Absent => "absent".into(),
            Self::File { size, modified, changed } => {
                let changed = changed.map_or("-".into(), |time| time.to_string());
                format!("{size} {modified} {changed}")
            }
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(unix)]
fn change_time(metadata: &Metadata) -> Option<Nanos> {
    use std::os::unix::fs::MetadataExt;
    Some(Nanos::from(metadata.ctime()) * 1_000_000_000 + Nanos::from(metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn change_time(_: &Metadata) -> Option<Nanos> {
    None
}

/// Gives a file the present modification time.
///
/// # Errors
///
/// When the system does not allow it.
pub(crate) fn set_present_time(path: &Path) -> io::Result<()> {
    // Windows sets times through a file open for writing only; elsewhere its owner may do without.
    let file = File::options().read(true).write(cfg!(windows)).open(path)?;
    file.set_modified(SystemTime::now())
}

/// The present time by the clock of the file system that `probe` is on, which makes the times of its
/// files: it may differ from the system's own, and is coarser. A file is made at `probe` and removed.
///
/// # Errors
///
/// When that cannot be done.
pub(crate) fn present_time(probe: &Path) -> io::Result<Nanos> {
    let time = File::create(probe).and_then(|file| file.metadata()?.modified());
    let _ = fs::remove_file(probe);
    time.map(nanos)
}

/// A time of the standard library's as a number.
pub(crate) fn nanos(time: SystemTime) -> Nanos {
    let signed = |duration: Duration| duration.as_nanos().cast_signed();
    time.duration_since(UNIX_EPOCH).map_or_else(|earlier| -signed(earlier.duration()), signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn file(modified: Nanos, changed: impl Into<Option<Nanos>>) -> State {
        State::File {
            size: 1,
            modified: modified * SECOND,
            changed: changed.into().map(|changed| changed * SECOND),
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        for state in [State::Absent, file(-7, None), file(1_763_816_000, 1_763_816_001)] {
            assert_eq!(State::parse(&state.render()), Some(state));
        }
        for text in ["", "1", "1 2", "1 2 x", "-1 2 3", "1 2 3 4"] {
            assert_eq!(State::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn either_time_may_be_too_late() {
        assert!(file(4, 4).is_from_before(5 * SECOND));
        assert!(file(4, None).is_from_before(5 * SECOND));
        assert!(!file(5, 5).is_from_before(5 * SECOND));
        assert!(!file(1, 5).is_from_before(5 * SECOND));
        assert!(!file(5, None).is_from_before(5 * SECOND));
    }

    #[test]
    fn old_contents_and_contents_moved_here_may_hide_a_change() {
        let last = 10 * SECOND;
        assert!(file(10, 10).may_hide_a_change(last));
        assert!(file(1, None).may_hide_a_change(last));
        assert!(file(11, 14).may_hide_a_change(last));
        assert!(!file(11, 12).may_hide_a_change(last));
        assert!(!file(11, None).may_hide_a_change(last));
        assert!(!State::Absent.may_hide_a_change(last));
    }

    #[test]
    fn times_before_1970_are_negative() {
        assert_eq!(nanos(UNIX_EPOCH - Duration::from_nanos(3)), -3);
        assert_eq!(nanos(UNIX_EPOCH + Duration::from_nanos(3)), 3);
    }

    #[test]
    fn a_folder_has_no_state() {
        assert_eq!(State::of(Path::new(env!("CARGO_MANIFEST_DIR"))), None);
        let manifest = Path::new(env!("CARGO_MANIFEST_PATH"));
        assert!(matches!(State::of(manifest), Some(State::File { .. })));
        assert_eq!(State::of(&manifest.join("below")), Some(State::Absent));
        assert_eq!(State::of(&manifest.with_extension("none")), Some(State::Absent));
    }
}
