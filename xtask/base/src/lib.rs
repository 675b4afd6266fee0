//! What every task stands on: settings, the screen, errors with a remedy, waiting, and processes.

pub mod environment;
pub mod failure;
pub mod interpolation;
pub mod package;
pub mod poll;
pub mod process;
pub mod sighting;
pub mod signals;
pub mod stop;
pub mod ui;
