//! End-to-end tests on a real Docker daemon with real images. Each test has its own compose project and removes it.
//! The images are those of docker-compose.yml, or of POSTGRES_IMAGE and DYNAMODB_IMAGE, which `.ci/prepare` builds
//! where there is no registry.

mod clients;
mod compose;
mod failures;
mod lifecycle;
mod neighbour;
mod project;
