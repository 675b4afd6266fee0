//! The hash by which `docker compose up` tells whether a container is the one that the file describes.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Mount, Service, Source};

/// A service as compose writes it, in the order of its fields there: `docker compose config --format json` shows it.
/// <https://github.com/compose-spec/compose-go/blob/main/types/types.go>
#[derive(Serialize)]
struct Definition<'a> {
    command: Option<&'a [String]>,
    entrypoint: (),
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: &'a BTreeMap<String, Option<String>>,
    image: &'a str,
    networks: BTreeMap<&'static str, ()>,
    ports: [PortDefinition; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<MountDefinition<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<&'a str>,
}

#[derive(Serialize)]
struct PortDefinition {
    mode: &'static str,
    host_ip: &'static str,
    target: u16,
    published: String,
    protocol: &'static str,
}

#[derive(Serialize)]
struct MountDefinition<'a> {
    r#type: &'static str,
    source: String,
    target: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<BTreeMap<&'static str, bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<BTreeMap<&'static str, bool>>,
}

impl<'a> From<&'a Mount> for MountDefinition<'a> {
    fn from(mount: &'a Mount) -> Self {
        let (r#type, source, bind, volume) = match &mount.source {
            Source::Volume(key) => ("volume", key.clone(), None, Some(BTreeMap::new())),
            Source::Path(path) => {
                let options = BTreeMap::from([("create_host_path", true)]);
                ("bind", path.display().to_string(), Some(options), None)
            }
        };
        Self { r#type, source, target: &mount.target, read_only: mount.read_only, bind, volume }
    }
}

impl Service {
    /// The hash, in hexadecimal digits, that compose labels the service's container with. It is the same from 2.26 to
    /// 2.40 at least; to a compose that makes another of it, the container is one to be made anew.
    pub(crate) fn config_hash(&self) -> String {
        let definition = Definition {
            command: self.command.as_deref(),
            entrypoint: (),
            environment: &self.environment,
            image: &self.image,
            networks: BTreeMap::from([("default", ())]),
            ports: [PortDefinition {
                mode: "ingress",
                host_ip: "127.0.0.1",
                target: self.port.container,
                published: self.port.host.to_string(),
                protocol: "tcp",
            }],
            user: self.user.as_deref(),
            volumes: self.volumes.iter().map(MountDefinition::from).collect(),
            working_dir: self.working_dir.as_deref(),
        };
        // There is nothing in it that JSON has no form for.
        let mut json = serde_json::to_string(&definition).unwrap_or_default();
        // Go escapes these as well: <https://pkg.go.dev/encoding/json#HTMLEscape>
        for letter in ['&', '<', '>', '\u{2028}', '\u{2029}'] {
            json = json.replace(letter, &format!("\\u{:04x}", u32::from(letter)));
        }
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::environment::Environment;

    use super::super::Compose;

    /// The hashes are what `docker compose config --hash '*'` prints for this file in /tmp/hx, 2.26.1 and 2.40.3 alike.
    #[test]
    fn it_is_compose_s() {
        let text = r#"
services:
  db:
    image: postgres
    user: "me<&>"
    working_dir: /w
    command: ["a<b>&c", "é\u2028", "\x01\x7f\b\f\n\r\t\"\\/"]
    environment: {A: "x", "N": 1.50, C: "$$d", NOWHERE: }
    ports: ["127.0.0.1:5432:5432/tcp"]
    volumes: ["./a:/x:ro", "data:/y:ro", "data:/z", "/abs:/w:rw", "//abs/./d/../e/:/v"]
  dynamodb-local:
    image: x
    ports: ["127.0.0.1:1:2"]
volumes: {data: }
"#;
        let compose = Compose::parse(Path::new("/tmp/hx"), text, &Environment::default()).unwrap();
        assert_eq!(
            compose.services().map(|service| service.config_hash()),
            [
                "1aeeb56c88fbbbce049ac17638ff4459c69b5384a2395db7ead3d108ed34c2d3",
                "5fe5271775b6de9b843eab5e6de8aa195e818f68c8fa88534af9ceb82afa5c36"
            ]
        );
    }
}
