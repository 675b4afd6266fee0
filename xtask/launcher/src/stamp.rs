//! What the program was built from, remembered in a file beside it.
//!
//! A stamp has the size and the times of each input, of the program and of what starts it. They are
//! compared for equality, not for their order, so that a file which was moved here with an old time is
//! seen as well.
//!
//! # What cargo would not see
//!
//! Cargo takes a source for unchanged unless its modification time is later than cargo's own last build
//! of it began
//! (<https://doc.rust-lang.org/nightly/nightly-rustc/cargo/core/compiler/fingerprint/index.html#mtime-comparison>).
//! So a source that has changed, but whose times might hide that, is given the present time before cargo
//! is asked ([`Input::show_to_cargo`]). Manifests and configuration need no such help: cargo reads them
//! each time, and goes by what is in them.
//!
//! That a source has changed means: since cargo last looked. This is why a stamp is written before each
//! build too, with the state of the sources alone, whether or not the build then succeeds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use crate::inputs;
use crate::place::Place;
use crate::state::{self, Nanos, State};

/// The first line begins with this. A stamp in another form is none.
const FORM: &str = "xtask-launcher 2";

/// The last line, without which a stamp is not whole.
const END: &str = "end";

/// What was found at the last build, or attempt at one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    workspace: PathBuf,
    inputs: Vec<Input>,
    /// When the stamp was written.
    written: Nanos,
}

impl Stamp {
    /// Reads a stamp. One that is missing or damaged is none: then there is nothing to go by, and cargo
    /// is asked.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let written = fs::metadata(path).ok()?.modified().ok()?;
        Self::parse(&text, state::nanos(written))
    }

    /// Whether the program is what a build would make it now.
    ///
    /// Takes as long as asking the file system about each input: none is read, no process started.
    pub(crate) fn holds(&self, place: &Place) -> bool {
        self.workspace == place.workspace
            && self.paths(Role::Program).eq([&place.program])
            && self.paths(Role::Starter).eq([&place.starter])
            && self.paths(Role::Setting).eq(&inputs::settings(&place.current))
            && self.inputs.iter().all(Input::is_unchanged)
    }

    fn paths(&self, role: Role) -> impl Iterator<Item = &PathBuf> {
        let inputs = self.inputs.iter().filter(move |input| input.role == role);
        inputs.map(|input| &input.path)
    }

    /// The stamp for `workspace`. If it was another checkout's, then its inputs as this one has them,
    /// all in an unknown state: in a target directory that both share, or that was moved along with a
    /// checkout, cargo tells the two apart by nothing but the files' times.
    fn in_workspace(mut self, workspace: &Path) -> Self {
        if self.workspace != workspace {
            self.inputs.retain_mut(|input| {
                let Ok(inner) = input.path.strip_prefix(&self.workspace) else {
                    return false;
                };
                input.path = workspace.join(inner);
                input.state = None;
                true
            });
            self.workspace = workspace.to_path_buf();
        }
        self
    }

    fn parse(text: &str, written: Nanos) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let first = lines.next()?;
        if lines.next_back()? != END {
            return None;
        }
        Some(Self {
            workspace: first.strip_prefix(FORM)?.strip_prefix('\t')?.into(),
            inputs: lines.map(Input::parse).collect::<Option<_>>()?,
            written,
        })
    }

    /// The stamp as text, a line for each input.
    ///
    /// # Errors
    ///
    /// When a path does not fit a line.
    fn render(&self) -> io::Result<String> {
        let mut text = format!("{FORM}\t{}\n", line(&self.workspace)?);
        for input in &self.inputs {
            text += &input.render()?;
        }
        Ok(text + END + "\n")
    }

    /// Writes the stamp, all of it or nothing: launches side by side may read and write at once.
    fn write(&self, path: &Path) -> io::Result<()> {
        let new = private_file(path);
        let written = fs::write(&new, self.render()?).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
}

/// A build on its way: what has to be known from before it.
#[derive(Debug)]
pub(crate) struct Build {
    /// The time, by the clock of the file system that it writes to.
    began: Nanos,
    /// What is to start the program.
    starter: Input,
    /// The configuration it is made with.
    settings: Vec<PathBuf>,
}

impl Build {
    /// Makes sure that cargo will see every change since the `last` stamp, and writes down what it sees.
    ///
    /// # Errors
    ///
    /// When the stamp cannot be written, or the time of a source that needs it cannot be set.
    pub(crate) fn begin(place: &Place, last: Option<Stamp>) -> io::Result<Self> {
        let starter = Input::now(Role::Starter, &place.starter);
        let settings = inputs::settings(&place.current);
        let shown = last.map(|last| show_to_cargo(last, place)).transpose()?;
        // Whatever was written until now shall be from before the build, not from the same moment:
        // cargo may have written the lock file just before it started the launcher.
        thread::sleep(state::CLOCK_TICK);
        let build = Self { began: state::present_time(&private_file(&place.stamp))?, starter, settings };
        if let Some(mut stamp) = shown {
            let sources = stamp.inputs.into_iter();
            stamp.inputs = sources.map(|input| build.vouched(input)).collect();
            stamp.write(&place.stamp)?;
        }
        Ok(build)
    }

    /// Writes down what the program, now built, was built from. Where cargo alone can tell, the stamp
    /// stays as it is, and the next launch asks cargo again.
    ///
    /// # Errors
    ///
    /// When the stamp cannot be written.
    pub(crate) fn finish(&self, place: &Place) -> io::Result<()> {
        // The program comes first: if another build replaces it from here on, that one's inputs are
        // later than this one's beginning, and the stamp will not hold.
        let program = Input::now(Role::Program, &place.program);
        let Some(files) = inputs::of_program(place) else {
            return Ok(());
        };
        if self.settings.iter().any(|path| inputs::includes_others(path)) {
            return Ok(());
        }
        let mut inputs = vec![program, self.starter.clone()];
        let mut add = |role, path| inputs.push(self.vouched(Input::now(role, path)));
        self.settings.iter().for_each(|path| add(Role::Setting, path));
        files.manifests.iter().for_each(|path| add(Role::Manifest, path));
        files.sources.iter().for_each(|path| add(Role::Source, path));
        let stamp = Stamp { workspace: place.workspace.clone(), inputs, written: self.began };
        stamp.write(&place.stamp)
    }

    /// The input, in an unknown state if it may have changed since the build began: nobody can tell
    /// which of its contents went into the program.
    fn vouched(&self, mut input: Input) -> Input {
        input.state = input.state.filter(|state| state.is_from_before(self.began));
        input
    }
}

/// The sources of `last` in their present state, after making cargo see those that have changed.
fn show_to_cargo(last: Stamp, place: &Place) -> io::Result<Stamp> {
    let mut stamp = last.in_workspace(&place.workspace);
    stamp.inputs.retain(|input| input.role == Role::Source);
    for source in &mut stamp.inputs {
        source.show_to_cargo(stamp.written)?;
    }
    Ok(stamp)
}

/// A file, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Input {
    role: Role,
    /// Nothing where it is unknown, which is like no other state.
    state: Option<State>,
    path: PathBuf,
}

impl Input {
    /// The file in its present state.
    fn now(role: Role, path: &Path) -> Self {
        Self { role, state: role.state(path), path: path.to_path_buf() }
    }

    fn is_unchanged(&self) -> bool {
        self.state.is_some() && self.state == self.role.state(&self.path)
    }

    /// Brings the state up to date. If the file has changed and its times might hide that from cargo,
    /// which last looked at the time `last`, then it is given the present time.
    ///
    /// # Errors
    ///
    /// When the system does not allow it.
    fn show_to_cargo(&mut self, last: Nanos) -> io::Result<()> {
        if self.is_unchanged() {
            return Ok(());
        }
        self.state = self.role.state(&self.path);
        if self.state.is_some_and(|state| state.may_hide_a_change(last)) {
            state::set_present_time(&self.path).map_err(|error| self.unseen(&error))?;
            self.state = self.role.state(&self.path);
        }
        Ok(())
    }

    fn unseen(&self, error: &io::Error) -> io::Error {
        let path = self.path.display();
        let what = "has changed, which cargo will not see by its old time, and a new one cannot be set";
        io::Error::new(error.kind(), format!("{path} {what}: {error}"))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        Some(Self {
            role: Role::parse(fields.next()?)?,
            state: match fields.next()? {
                "unknown" => None,
                known => Some(State::parse(known)?),
            },
            path: fields.next()?.into(),
        })
    }

    fn render(&self) -> io::Result<String> {
        let state = self.state.map_or("unknown".into(), State::render);
        Ok(format!("{}\t{state}\t{}\n", self.role.name(), line(&self.path)?))
    }
}

/// What a file is to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The program itself: somebody else may have built it anew.
    Program,
    /// What starts it: cargo builds that anew for a new compiler or other flags.
    Starter,
    /// Cargo's and rustup's configuration.
    Setting,
    /// What cargo reads each time.
    Manifest,
    /// What cargo knows by its modification time.
    Source,
}

impl Role {
    const ALL: [Self; 5] = [Self::Program, Self::Starter, Self::Setting, Self::Manifest, Self::Source];

    /// The present state of a file in this role; nothing where a program cannot be built from it.
    fn state(self, path: &Path) -> Option<State> {
        let state = State::of(path)?;
        match self {
            Self::Manifest => Some(state),
            _ if state == State::Absent => None,
            // Cargo makes hard links to these, which changes nothing in them.
            Self::Program | Self::Starter => Some(state.by_contents()),
            Self::Setting | Self::Source => Some(state),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Starter => "starter",
            Self::Setting => "setting",
            Self::Manifest => "manifest",
            Self::Source => "source",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A file beside `path` that no other process uses.
pub(crate) fn private_file(path: &Path) -> PathBuf {
    path.with_extension(format!("new.{}", process::id()))
}

/// A path as part of a line of text.
fn line(path: &Path) -> io::Result<&str> {
    path.to_str()
        .filter(|text| !text.contains('\n'))
        .ok_or_else(|| io::Error::other(format!("{} does not fit a line", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        let input = |role, state, path: &str| Input { role, state, path: path.into() };
        let state = State::parse("12 1763816000123456789 -");
        Stamp {
            workspace: "/my work".into(),
            inputs: vec![
                input(Role::Program, state, "/t/xtask"),
                input(Role::Starter, None, "/t/xtask-launcher"),
                input(Role::Setting, state, "/etc/cargo/config.toml"),
                input(Role::Manifest, Some(State::Absent), "/my work/build.rs"),
                input(Role::Source, state, "/my work/a\tb.rs"),
            ],
            written: 7,
        }
    }

    #[test]
    fn a_stamp_reads_back_as_it_was_written() -> io::Result<()> {
        assert_eq!(Stamp::parse(&stamp().render()?, 7), Some(stamp()));
        Ok(())
    }

    #[test]
    fn a_stamp_cut_short_is_none() -> io::Result<()> {
        let text = stamp().render()?;
        for end in 0..text.len() {
            assert_eq!(Stamp::parse(&text[..end], 7), None, "{:?}", &text[..end]);
        }
        Ok(())
    }

    #[test]
    fn a_stamp_of_another_form_is_none() -> io::Result<()> {
        let text = stamp().render()?;
        for (from, to) in [(FORM, "xtask-launcher 1"), ("source", "sauce"), ("absent", "here")] {
            assert_eq!(Stamp::parse(&text.replace(from, to), 7), None, "{to}");
        }
        Ok(())
    }

    #[test]
    fn a_path_of_two_lines_is_refused() {
        let mut stamp = stamp();
        stamp.workspace = "/my\nwork".into();
        assert!(stamp.render().is_err());
    }

    #[test]
    fn another_checkouts_sources_are_this_ones_in_an_unknown_state() {
        let paths = |stamp: &Stamp| -> Vec<_> {
            let inputs = stamp.inputs.iter();
            inputs.map(|input| (input.path.clone(), input.state)).collect()
        };
        let moved = stamp().in_workspace(Path::new("/other"));
        let expected = ["/other/build.rs", "/other/a\tb.rs"];
        assert_eq!(paths(&moved), expected.map(|path| (path.into(), None)));
        assert_eq!(paths(&stamp().in_workspace(Path::new("/my work"))), paths(&stamp()));
    }

    #[test]
    fn an_unknown_state_is_a_change() {
        let manifest = Path::new(env!("CARGO_MANIFEST_PATH"));
        let mut input = Input::now(Role::Source, manifest);
        assert!(input.is_unchanged());
        input.state = None;
        assert!(!input.is_unchanged());
        // A source that is absent is unknown both times.
        assert!(!Input::now(Role::Source, &manifest.join("below")).is_unchanged());
        assert!(Input::now(Role::Manifest, &manifest.join("below")).is_unchanged());
    }
}
