//! `docker-compose.yml`'s two services, and the Docker daemon that runs them.

pub mod compose;
pub mod daemon;
pub mod port;
