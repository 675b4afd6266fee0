//! `docker-compose.yml`'s two services, and the Docker daemon that runs them.

pub(crate) mod compose;
pub(crate) mod daemon;
pub(crate) mod port;
