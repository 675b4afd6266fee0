//! The description of a service's container: its labels, the request that creates it, and the comparison of an
//! existing container with docker-compose.yml.
//!
//! Our containers carry compose's labels, so that `docker compose ps`, `logs`, `stop` and `down` find them. They also
//! carry a hash of their definition. A container of the service, ours or compose's, is used if it has everything that
//! the file says. Only the hash shows what was removed from the file since, so that is noticed only for ours.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, NetworkingConfig,
    PortBinding,
};
use sha2::{Digest as _, Sha256};

use crate::docker::compose::{Compose, FILE, Mount, Service, Source};
use crate::process;
use crate::text::hex;

/// The labels by which `docker compose` finds its containers, volumes and networks.
/// <https://github.com/docker/compose/blob/main/pkg/api/labels.go>
pub(crate) mod label {
    pub(in super::super) const PROJECT: &str = "com.docker.compose.project";
    pub(in super::super) const SERVICE: &str = "com.docker.compose.service";
    pub(in super::super) const ONE_OFF: &str = "com.docker.compose.oneoff";
    pub(in super::super) const NUMBER: &str = "com.docker.compose.container-number";
    /// Compose ignores containers without this label. Our value is not compose's, so `docker compose up` recreates
    /// the container.
    pub(in super::super) const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    pub(in super::super) const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    pub(in super::super) const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    pub(in super::super) const VERSION: &str = "com.docker.compose.version";
    pub(in super::super) const IMAGE: &str = "com.docker.compose.image";
    pub(in super::super) const VOLUME: &str = "com.docker.compose.volume";
    pub(in super::super) const NETWORK: &str = "com.docker.compose.network";
    /// Our label: the folder of the checkout that a volume was created for. Compose does not record it.
    pub(crate) const CHECKOUT: &str = "cruddur.checkout";
    /// Our label: the hash of the definition that a container was created from.
    pub(in super::super) const MADE_FROM: &str = "cruddur.made-from";
}

/// The version of compose's conventions that we follow.
const COMPOSE_VERSION: &str = "2.0.0";

/// Compose's name for a service's container.
pub(crate) fn container_name(project: &str, service: &Service) -> String {
    format!("{project}-{}-1", service.name)
}

/// Compose's name for a project's volume.
pub(crate) fn volume_name(project: &str, key: &str) -> String {
    format!("{project}_{key}")
}

/// Compose's name for a project's network.
pub(super) fn network_name(project: &str) -> String {
    format!("{project}_default")
}

/// The image's name with a tag or digest. The default tag is `latest`.
pub(super) fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Whether these labels belong to a container of the service, whoever created it.
pub(super) fn is_identified(labels: &HashMap<String, String>, project: &str, service: &Service) -> bool {
    identity(project, service).iter().all(|(name, value)| labels.get(*name).is_some_and(|of| of == value))
}

fn identity<'a>(project: &'a str, service: &'a Service) -> [(&'static str, &'a str); 3] {
    [(label::PROJECT, project), (label::SERVICE, service.name), (label::ONE_OFF, "False")]
}

fn container_labels(compose: &Compose, service: &Service, image_id: &str) -> HashMap<String, String> {
    let folder = compose.folder.display().to_string();
    let file = compose.folder.join(FILE).display().to_string();
    let mut labels = owned(identity(&compose.project, service));
    labels.extend(owned([
        (label::NUMBER, "1"),
        (label::CONFIG_HASH, &hash(service)),
        (label::MADE_FROM, &hash(service)),
        (label::IMAGE, image_id),
        (label::WORKING_DIR, &folder),
        (label::CONFIG_FILES, &file),
        (label::VERSION, COMPOSE_VERSION),
    ]));
    labels
}

pub(super) fn network_labels(project: &str) -> HashMap<String, String> {
    owned([(label::PROJECT, project), (label::NETWORK, "default"), (label::VERSION, COMPOSE_VERSION)])
}

pub(super) fn volume_labels(compose: &Compose, key: &str) -> HashMap<String, String> {
    let folder = compose.folder.display().to_string();
    owned([
        (label::PROJECT, &compose.project),
        (label::VOLUME, key),
        (label::VERSION, COMPOSE_VERSION),
        (label::CHECKOUT, &folder),
    ])
}

fn owned<const N: usize>(labels: [(&str, &str); N]) -> HashMap<String, String> {
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A hash of the service's definition. The definition itself as a label would show its passwords.
pub(super) fn hash(service: &Service) -> String {
    // Every part of a service can be written as JSON.
    let json = serde_json::to_vec(service).unwrap_or_default();
    hex(&Sha256::digest(json))
}

/// The request that creates the service's container. `image_id` is the id of its local image.
pub(super) fn create_body(compose: &Compose, service: &Service, image_id: &str) -> ContainerCreateBody {
    let port = container_port(service);
    let network = network_name(&compose.project);
    // Other containers of the project reach it by these names.
    let aliases = vec![container_name(&compose.project, service), service.name.to_owned()];
    let endpoint = EndpointSettings { aliases: Some(aliases), ..Default::default() };
    let host_config = HostConfig {
        binds: Some(binds(compose, service).collect()),
        port_bindings: Some(HashMap::from([(port.clone(), Some(vec![loopback(service.port.host)]))])),
        network_mode: Some(network.clone()),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(service.image.clone()),
        env: Some(variables(service).collect()),
        cmd: service.command.clone(),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        exposed_ports: Some(vec![port]),
        labels: Some(container_labels(compose, service, image_id)),
        host_config: Some(host_config),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        }),
        ..Default::default()
    }
}

/// The command that would create the service's container, with the docker CLI. Secrets are masked.
pub(super) fn command_line(compose: &Compose, service: &Service) -> String {
    let name = container_name(&compose.project, service);
    let mut words = ["docker", "create", "--name", &name].map(str::to_owned).to_vec();
    let mut option = |option: &str, value: &str| words.extend([option, value].map(str::to_owned));
    variables(service).for_each(|variable| option("--env", &process::masked(&variable)));
    binds(compose, service).for_each(|bind| option("--volume", &bind));
    option("--publish", &format!("127.0.0.1:{}:{}", service.port.host, container_port(service)));
    service.user.iter().for_each(|user| option("--user", user));
    service.working_dir.iter().for_each(|folder| option("--workdir", folder));
    option("--network", &network_name(&compose.project));
    words.extend([&service.image].into_iter().chain(service.command.iter().flatten()).cloned());
    process::line([], &words)
}

/// The container's variables, as `NAME=VALUE`. A name alone removes the image's own variable.
fn variables(service: &Service) -> impl Iterator<Item = String> {
    service.environment.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    })
}

/// The container's mounts, as `SOURCE:TARGET:MODE`.
fn binds(compose: &Compose, service: &Service) -> impl Iterator<Item = String> {
    service.volumes.iter().map(|mount| {
        let mode = if mount.read_only { "ro" } else { "rw" };
        format!("{}:{}:{mode}", mount_source(&compose.project, mount), mount.target)
    })
}

fn container_port(service: &Service) -> String {
    format!("{}/tcp", service.port.container)
}

fn loopback(port: u16) -> PortBinding {
    PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) }
}

fn mount_source(project: &str, mount: &Mount) -> String {
    match &mount.source {
        Source::Volume(key) => volume_name(project, key),
        Source::Path(path) => path.display().to_string(),
    }
}

/// The first difference between the container and docker-compose.yml. `image_id` is the id of the local image that
/// the service's image name refers to now, if there is one.
pub(super) fn difference(
    compose: &Compose,
    service: &Service,
    image_id: Option<&str>,
    details: &ContainerInspectResponse,
) -> Option<&'static str> {
    let config = details.config.clone().unwrap_or_default();
    let host_config = details.host_config.clone().unwrap_or_default();
    let published = host_config.port_bindings.unwrap_or_default().remove(&container_port(service)).flatten();
    let environment = config.env.unwrap_or_default();
    let has_variable = |(name, value): (&String, &Option<String>)| {
        let mut present = environment.iter().filter_map(|variable| variable.split_once('='));
        match value {
            Some(value) => present.any(|present| present == (name, value)),
            None => present.all(|present| present.0 != name),
        }
    };
    let is_mounted = |mount: &Mount| {
        let source = mount_source(&compose.project, mount);
        details.mounts.iter().flatten().any(|present| {
            let from = [&present.name, &present.source];
            from.iter().any(|from| from.as_deref() == Some(source.as_str()))
                && present.destination.as_deref() == Some(mount.target.as_str())
                && present.rw.unwrap_or(true) != mount.read_only
        })
    };
    let has_id = image_id.is_none_or(|id| details.image.as_deref() == Some(id));
    let has_name = config.image.is_some_and(|name| {
        // Podman adds the registry to the name.
        let ends_alike = || name.ends_with(&format!("/{}", with_tag(&service.image)));
        name == service.image || image_id.is_some() && has_id && ends_alike()
    });
    let made_from = config.labels.as_ref().and_then(|labels| labels.get(label::MADE_FROM));
    let differences = [
        (!has_name, "image"),
        (!has_id, "image (there is a newer one of its name)"),
        (!service.environment.iter().all(has_variable), "environment"),
        (service.command.is_some() && config.cmd != service.command, "command"),
        (service.user.is_some() && config.user != service.user, "user"),
        (service.working_dir.is_some() && config.working_dir != service.working_dir, "working_dir"),
        (published != Some(vec![loopback(service.port.host)]), "ports"),
        (!service.volumes.iter().all(is_mounted), "volumes"),
        (made_from.is_some_and(|made_from| *made_from != hash(service)), "definition"),
    ];
    differences.into_iter().find_map(|(differs, what)| differs.then_some(what))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use bollard::models::{ContainerConfig, MountPoint};

    use super::*;
    use crate::docker::compose::Port;

    fn compose() -> Compose {
        let service = |name| Service {
            name,
            image: "image:1".to_owned(),
            port: Port { host: 5433, container: 5432, fixed: false },
            environment: BTreeMap::from([("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)]),
            command: Some(vec!["-c".to_owned()]),
            volumes: vec![Mount {
                source: Source::Volume("data".to_owned()),
                target: "/data".to_owned(),
                read_only: false,
            }],
            user: Some("root".to_owned()),
            working_dir: None,
        };
        Compose {
            project: "p".to_owned(),
            project_is_fixed: false,
            project_is_remembered: false,
            folder: PathBuf::from("/w"),
            postgres: service("db"),
            dynamodb: service("dynamodb-local"),
        }
    }

    /// The daemon's description of a container made by [`create_body`].
    fn details(body: ContainerCreateBody) -> ContainerInspectResponse {
        ContainerInspectResponse {
            image: Some("sha256:1".to_owned()),
            config: Some(ContainerConfig {
                image: body.image,
                env: body.env.map(|env| [env, vec!["PATH=/bin".to_owned()]].concat()),
                cmd: body.cmd,
                user: body.user,
                labels: body.labels,
                ..Default::default()
            }),
            host_config: body.host_config,
            mounts: Some(vec![MountPoint {
                name: Some("p_data".to_owned()),
                destination: Some("/data".to_owned()),
                rw: Some(true),
                ..Default::default()
            }]),
            ..Default::default()
        }
    }

    #[test]
    fn a_container_of_ours_does_not_differ_and_each_change_is_named() {
        let same = compose();
        let details = details(create_body(&same, &same.postgres, "sha256:1"));
        let difference_of = |change: fn(&mut Service)| {
            let mut changed = compose();
            change(&mut changed.postgres);
            difference(&changed, &changed.postgres, Some("sha256:1"), &details)
        };
        assert_eq!(difference_of(|_| ()), None);
        assert_eq!(difference_of(|service| service.image = "image:2".to_owned()), Some("image"));
        assert_eq!(difference_of(|service| service.port.host = 5432), Some("ports"));
        assert_eq!(difference_of(|service| service.command = Some(Vec::new())), Some("command"));
        assert_eq!(difference_of(|service| service.command = None), Some("definition"));
        assert_eq!(difference_of(|service| service.user = Some("me".to_owned())), Some("user"));
        assert_eq!(difference_of(|service| service.volumes[0].target = "/x".to_owned()), Some("volumes"));
        assert_eq!(difference_of(|service| service.working_dir = Some("/x".to_owned())), Some("working_dir"));
        let change =
            |service: &mut Service| _ = service.environment.insert("A".to_owned(), Some("2".to_owned()));
        assert_eq!(difference_of(change), Some("environment"));
        assert_eq!(difference_of(|service| service.environment.clear()), Some("definition"));
        assert_eq!(difference_of(|service| service.volumes.clear()), Some("definition"));
        let newer = difference(&same, &same.postgres, Some("sha256:2"), &details);
        assert_eq!(newer, Some("image (there is a newer one of its name)"));
    }

    /// Compose's container has no hash, so a setting that the file does not mention is not compared.
    #[test]
    fn a_container_of_compose_s_is_as_described_if_it_has_all_that_the_file_says() {
        let mut described = compose();
        let mut details = details(create_body(&described, &described.postgres, "sha256:1"));
        details.config.as_mut().unwrap().labels = None;
        let difference =
            |described: &Compose| difference(described, &described.postgres, Some("sha256:1"), &details);
        assert_eq!(difference(&described), None);
        described.postgres.user = None;
        described.postgres.environment.remove("A");
        assert_eq!(difference(&described), None);
        described.postgres.environment.insert("B".to_owned(), Some("2".to_owned()));
        assert_eq!(difference(&described), Some("environment"));
    }

    #[test]
    fn podman_says_the_same_in_other_words() {
        let mut described = compose();
        let mut details = details(create_body(&described, &described.postgres, "sha256:1"));
        for (name, full) in
            [("image:1", "docker.io/library/image:1"), ("my/image", "localhost/my/image:latest")]
        {
            described.postgres.image = name.to_owned();
            let config = details.config.as_mut().unwrap();
            config.image = Some(full.to_owned());
            config.labels.as_mut().unwrap().insert(label::MADE_FROM.to_owned(), hash(&described.postgres));
            assert_eq!(difference(&described, &described.postgres, Some("sha256:1"), &details), None);
            // It may be an image of that name from another registry.
            let unknown = difference(&described, &described.postgres, None, &details);
            assert_eq!(unknown, Some("image"));
        }
    }
}
