//! Builds and runs the Dockerfile's image.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{free_port, wait_for};
use crate::container::docker;
use crate::world::{Address, ONE, World};

const IMAGE: &str = "cruddur/backend-flask:tests";

/// The Debian image of `.ci/prepare`, for machines without a registry.
const LOCAL_BASE: &str = "cruddur/base:debian12";

/// Builds the image with the program of these tests. Compiling the same sources inside an image would need a registry
/// and take minutes.
fn build() {
    let context = tempfile::tempdir().unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_backend-flask"), context.path().join("backend-flask")).unwrap();
    let mut build = Command::new("docker");
    build.args(["build", "--tag", IMAGE, "--target", "prebuilt"]);
    let has_local_base = Command::new("docker").args(["image", "inspect", LOCAL_BASE]).output().unwrap();
    if has_local_base.status.success() {
        build.args(["--build-arg", &format!("BASE_IMAGE={LOCAL_BASE}")]);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let output = build.arg("--file").arg(file).arg(context.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A container of the image. Dropping it removes it.
struct Container {
    id: String,
    address: Address,
}

impl Container {
    fn run(world: &World) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut settings = world.settings();
        settings.retain(|(name, _)| !["BACKEND_ACCESS", "BACKEND_ADDRESS"].contains(name));
        settings.extend([
            ("BACKEND_ADDRESS", address.to_string()),
            ("COGNITO_ISSUER", "https://127.0.0.1/eu-west-1_tests".to_owned()),
            ("COGNITO_CLIENT_ID", "a-client-of-the-tests".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]);
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        // The test's databases listen only on this machine's loopback address.
        let mut run = vec!["run", "--detach", "--network=host", "--read-only"];
        run.extend(settings.iter().map(String::as_str));
        run.push(IMAGE);
        Self { id: docker(&run).trim().to_owned(), address: Address(address) }
    }

    fn inspect(&self, what: &str) -> String {
        docker(&["inspect", "--format", what, &self.id]).trim().to_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.id]).output();
    }
}

#[test]
#[ignore = "needs Docker"]
fn the_image_serves_as_nobody_and_ends_in_order() {
    build();
    let world = World::new();
    let container = Container::run(&world);
    wait_for("answer of the container", Duration::from_secs(20), || {
        assert_eq!(container.inspect("{{.State.Running}}"), "true", "{}", docker(&["logs", &container.id]));
        std::net::TcpStream::connect(container.address.0).ok()
    });
    let health = container.address.get("/api/health-check").send().ok();
    assert_eq!(health["success"], true);
    // Access is production's: the header is ignored.
    container.address.get("/api/message_groups").from(ONE).send().refuses(401, "authorization");
    assert_eq!(container.inspect("{{.Config.User}}"), "65534:65534");
    docker(&["stop", "--time", "10", &container.id]);
    assert_eq!(container.inspect("{{.State.ExitCode}}"), "0");
}
