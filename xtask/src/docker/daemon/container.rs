//! What a service's container looks like: labels, the request that creates it, and how one that is
//! already there differs from what docker-compose.yml describes. All as `docker compose up` would make it: it keeps
//! what it finds.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum,
    ContainerSummary, ContainerSummaryStateEnum as SummaryState, EndpointSettings, HostConfig, ImageConfig,
    ImageInspect, MountPoint, Network, NetworkingConfig, PortBinding,
};

use super::State;
use crate::docker::compose::{Compose, FILE, Mount, Service, Source, clean};

/// The labels by which `docker compose` knows its containers, volumes and networks.
/// <https://github.com/docker/compose/blob/main/pkg/api/labels.go>
mod label {
    pub(super) const PROJECT: &str = "com.docker.compose.project";
    pub(super) const SERVICE: &str = "com.docker.compose.service";
    pub(super) const ONE_OFF: &str = "com.docker.compose.oneoff";
    pub(super) const NUMBER: &str = "com.docker.compose.container-number";
    pub(super) const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    pub(super) const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    pub(super) const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    pub(super) const VERSION: &str = "com.docker.compose.version";
    pub(super) const IMAGE: &str = "com.docker.compose.image";
    pub(super) const VOLUME: &str = "com.docker.compose.volume";
    pub(super) const NETWORK: &str = "com.docker.compose.network";
    /// Ours: compose does not record which folder a volume was made for.
    pub(super) const CHECKOUT: &str = "cruddur.checkout";
}

/// The version of compose's conventions that we follow.
const COMPOSE_VERSION: &str = "2.0.0";

/// The name compose v2 gives a service's container.
pub(crate) fn container_name(project: &str, service: &Service) -> String {
    format!("{project}-{}-1", service.name)
}

/// The name compose gives a project's volume.
pub(crate) fn volume_name(project: &str, key: &str) -> String {
    format!("{project}_{key}")
}

/// The name compose gives the network that a project's containers are on where its file says nothing of networks.
pub(super) fn network_name(project: &str) -> String {
    format!("{project}_default")
}

/// The image's name with a tag or digest: without one it means the tag `latest`.
pub(super) fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// `NAME=value` for each label that a service's container has, whoever created it.
pub(super) fn identifying_labels(project: &str, service: &Service) -> Vec<String> {
    identity(project, service).map(|(name, value)| format!("{name}={value}")).into()
}

/// The less, the sooner it is the one that is meant of a service's containers: whether it does not run, and its number.
pub(super) fn rank(summary: &ContainerSummary) -> (bool, u32) {
    let runs = summary.state == Some(SummaryState::RUNNING);
    let number = summary.labels.as_ref().and_then(|labels| labels.get(label::NUMBER)?.parse().ok());
    (!runs, number.unwrap_or(u32::MAX))
}

/// Whether a network was made for the project, by compose or by us.
pub(super) fn is_network_of(network: &Network, project: &str) -> bool {
    network.labels.as_ref().and_then(|labels| labels.get(label::PROJECT)).is_some_and(|of| of == project)
}

/// `NAME=value` of the label that everything of the project has.
pub(super) fn project_label(project: &str) -> String {
    format!("{}={project}", label::PROJECT)
}

fn identity<'a>(project: &'a str, service: &'a Service) -> [(&'static str, &'a str); 3] {
    [(label::PROJECT, project), (label::SERVICE, service.name), (label::ONE_OFF, "False")]
}

/// Whether a container is the service's, by the same labels.
pub(super) fn is_of(config: &ContainerConfig, project: &str, service: &Service) -> bool {
    let Some(labels) = &config.labels else { return false };
    identity(project, service)
        .iter()
        .all(|(name, value)| labels.get(*name).is_some_and(|found| found == value))
}

fn container_labels(compose: &Compose, service: &Service, image_id: &str) -> HashMap<String, String> {
    let folder = compose.folder.display().to_string();
    let file = compose.folder.join(FILE).display().to_string();
    owned([
        (label::PROJECT, &compose.project),
        (label::SERVICE, service.name),
        (label::ONE_OFF, "False"),
        (label::NUMBER, "1"),
        (label::CONFIG_HASH, &service.config_hash()),
        (label::IMAGE, image_id),
        (label::WORKING_DIR, &folder),
        (label::CONFIG_FILES, &file),
        (label::VERSION, COMPOSE_VERSION),
    ])
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

/// The folder of the checkout that a volume of ours was made for.
pub(super) fn volume_folder(labels: &HashMap<String, String>) -> Option<PathBuf> {
    labels.get(label::CHECKOUT).map(PathBuf::from)
}

/// `image_id` is the id of the local image that the service's image name means.
pub(super) fn create_body(compose: &Compose, service: &Service, image_id: &str) -> ContainerCreateBody {
    let port = container_port(service);
    let network = network_name(&compose.project);
    // Other containers of the project reach it by these.
    let aliases = vec![container_name(&compose.project, service), service.name.to_owned()];
    let endpoint = EndpointSettings { aliases: Some(aliases), ..Default::default() };
    let host_config = HostConfig {
        binds: Some(service.volumes.iter().map(|mount| bind(&compose.project, mount)).collect()),
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

fn container_port(service: &Service) -> String {
    format!("{}/tcp", service.port.container)
}

fn loopback(port: u16) -> PortBinding {
    PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) }
}

fn variables(service: &Service) -> impl Iterator<Item = String> {
    service.environment.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    })
}

fn bind(project: &str, mount: &Mount) -> String {
    let mode = if mount.read_only { "ro" } else { "rw" };
    format!("{}:{}:{mode}", mount_source(project, mount), mount.target)
}

fn mount_source(project: &str, mount: &Mount) -> String {
    match &mount.source {
        Source::Volume(key) => volume_name(project, key),
        Source::Path(path) => clean(path).display().to_string(),
    }
}

pub(super) fn state(details: &ContainerInspectResponse) -> State {
    match details.state.as_ref().and_then(|state| state.status) {
        Some(ContainerStateStatusEnum::RUNNING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EXITED) => State::Stopped,
        _ => State::Unusable,
    }
}

/// The networks that a container is on: their ids; or their names, where it has never been started.
pub(super) fn networks(details: &ContainerInspectResponse) -> impl Iterator<Item = &str> {
    let networks = details.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    networks
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| endpoint.network_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(name))
}

/// The folder of the compose file that a container was created from.
pub(super) fn folder(details: &ContainerInspectResponse) -> Option<String> {
    details.config.as_ref()?.labels.as_ref()?.get(label::WORKING_DIR).cloned()
}

/// The port of this machine that the service's own is published on.
pub(super) fn published_port(service: &Service, details: &ContainerInspectResponse) -> Option<u16> {
    let bindings = details.host_config.as_ref()?.port_bindings.as_ref()?.get(&container_port(service))?;
    bindings.as_ref()?.first()?.host_port.as_ref()?.parse().ok()
}

/// Whether the service's port is published at this moment, by a container that runs: on a network that leads nowhere, or
/// on none, it is not, whatever it was created with.
pub(super) fn is_published(service: &Service, details: &ContainerInspectResponse) -> bool {
    let published = details.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    // One that does not say is not suspected.
    published.is_none_or(|ports| ports.get(&container_port(service)).is_some_and(Option::is_some))
}

/// What differs between the container and what docker-compose.yml describes, if anything.
/// `image` is the local one that the service's image name means now, if there is one; what the service
/// does not say, it says.
pub(super) fn difference(
    compose: &Compose,
    service: &Service,
    image: Option<&ImageInspect>,
    details: &ContainerInspectResponse,
) -> Option<String> {
    let config = details.config.clone().unwrap_or_default();
    let host_config = details.host_config.clone().unwrap_or_default();
    let has_variable = |variable: &String| config.env.iter().flatten().any(|present| present == variable);
    let published = host_config.port_bindings.unwrap_or_default().remove(&container_port(service)).flatten();
    let is_mounted = |mount: &&Mount| {
        let source = mount_source(&compose.project, mount);
        details.mounts.iter().flatten().any(|present| {
            let from = [&present.name, &present.source];
            from.iter().any(|from| from.as_deref() == Some(source.as_str()))
                && present.destination.as_deref() == Some(mount.target.as_str())
                && present.rw.unwrap_or(true) != mount.read_only
        })
    };
    let default = image.and_then(|image| image.config.clone());
    let image_id = image.and_then(|image| image.id.as_deref());
    let has_id = image_id.is_none_or(|id| details.image.as_deref() == Some(id));
    let has_name = config.image.is_some_and(|name| {
        // Podman puts the registry in front.
        let ends_alike = || name.ends_with(&format!("/{}", with_tag(&service.image)));
        name == service.image || image_id.is_some() && has_id && ends_alike()
    });
    let default_command = default.as_ref().and_then(|default| default.cmd.clone());
    let default_user = default.as_ref().and_then(|default| default.user.clone());
    let default_folder = default.as_ref().and_then(|default| default.working_dir.clone());
    // Where the image says nothing, Docker says nothing either, and Podman "/".
    let or_root = |folder: Option<String>| folder.filter(|f| !f.is_empty()).or_else(|| Some("/".to_owned()));
    let differences = [
        (!has_name, "image"),
        (!has_id, "image (there is a newer one of its name)"),
        (
            !variables(service).all(|variable| has_variable(&variable))
                || has_other_variables(&config.env, service, default.as_ref()),
            "environment",
        ),
        (differs(&config.cmd, &service.command, default_command, image), "command"),
        (differs(&config.user, &service.user, default_user, image), "user"),
        (
            differs(&or_root(config.working_dir), &service.working_dir, or_root(default_folder), image),
            "working_dir",
        ),
        (published != Some(vec![loopback(service.port.host)]), "ports"),
        (
            !service.volumes.iter().all(|mount| is_mounted(&mount))
                || details.mounts.iter().flatten().any(|present| is_other_mount(present, service)),
            "volumes",
        ),
    ];
    differences.into_iter().find_map(|(differs, what)| differs.then(|| what.to_owned()))
}

/// Variables that an engine gives a container by itself.
const OF_THE_ENGINE: [&str; 5] = ["PATH", "HOME", "HOSTNAME", "TERM", "container"];

/// Whether there are variables that neither the service nor the image says: the file has said them before.
fn has_other_variables(
    present: &Option<Vec<String>>,
    service: &Service,
    image: Option<&ImageConfig>,
) -> bool {
    let Some(image) = image else { return false };
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let of_image: Vec<String> = image.env.iter().flatten().map(|variable| name(variable)).collect();
    present.iter().flatten().map(|variable| name(variable)).any(|name| {
        !service.environment.contains_key(&name)
            && !of_image.contains(&name)
            && !OF_THE_ENGINE.contains(&name.as_str())
    })
}

/// Whether something is mounted that the service does not say. Where an image wants a volume, it has one without
/// a name: 64 hexadecimal digits.
fn is_other_mount(present: &MountPoint, service: &Service) -> bool {
    let target = present.destination.as_deref().unwrap_or_default();
    let has_no_name = present
        .name
        .as_ref()
        .is_some_and(|name| name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()));
    !has_no_name && service.volumes.iter().all(|mount| mount.target != target)
}

/// Whether a setting of the container is neither what the service says nor, where it says nothing, what
/// the image does. Docker has nothing and an empty value for the same.
fn differs<T: Clone + Default + PartialEq>(
    present: &Option<T>,
    described: &Option<T>,
    default: Option<T>,
    image: Option<&ImageInspect>,
) -> bool {
    let is_known = described.is_some() || image.is_some();
    let expected = described.clone().or(default).unwrap_or_default();
    is_known && present.clone().unwrap_or_default() != expected
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

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

    /// What the daemon would say of a container made by [`create_body`].
    fn details(body: ContainerCreateBody) -> ContainerInspectResponse {
        ContainerInspectResponse {
            image: Some("sha256:1".to_owned()),
            config: Some(ContainerConfig {
                image: body.image,
                env: body.env.map(|env| [env, vec!["PATH=/bin".to_owned()]].concat()),
                cmd: body.cmd,
                user: body.user,
                working_dir: Some("/".to_owned()),
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

    /// The image that the container was made of.
    fn image(id: &str) -> ImageInspect {
        let config = ImageConfig { working_dir: Some("/".to_owned()), ..Default::default() };
        ImageInspect { id: Some(id.to_owned()), config: Some(config), ..Default::default() }
    }

    #[test]
    fn a_container_of_ours_does_not_differ_and_each_change_is_named() {
        let same = compose();
        let details = details(create_body(&same, &same.postgres, "sha256:1"));
        let difference_of = |change: fn(&mut Service)| {
            let mut changed = compose();
            change(&mut changed.postgres);
            difference(&changed, &changed.postgres, Some(&image("sha256:1")), &details)
        };
        assert_eq!(difference_of(|_| ()), None);
        let named = |what: &str| Some(what.to_owned());
        assert_eq!(difference_of(|service| service.image = "image:2".to_owned()), named("image"));
        assert_eq!(difference_of(|service| service.port.host = 5432), named("ports"));
        assert_eq!(difference_of(|service| service.command = Some(Vec::new())), named("command"));
        assert_eq!(difference_of(|service| service.command = None), named("command"));
        assert_eq!(difference_of(|service| service.user = Some("me".to_owned())), named("user"));
        assert_eq!(difference_of(|service| service.volumes[0].target = "/x".to_owned()), named("volumes"));
        assert_eq!(
            difference_of(|service| service.working_dir = Some("/x".to_owned())),
            named("working_dir")
        );
        let change =
            |service: &mut Service| _ = service.environment.insert("A".to_owned(), Some("2".to_owned()));
        assert_eq!(difference_of(change), named("environment"));
        assert_eq!(difference_of(|service| service.environment.clear()), named("environment"));
        assert_eq!(difference_of(|service| service.volumes.clear()), named("volumes"));
        let newer = difference(&same, &same.postgres, Some(&image("sha256:2")), &details);
        assert_eq!(newer, named("image (there is a newer one of its name)"));
    }

    #[test]
    fn podman_says_the_same_in_other_words() {
        let mut described = compose();
        let mut details = details(create_body(&described, &described.postgres, "sha256:1"));
        let image = ImageInspect { id: Some("sha256:1".to_owned()), ..Default::default() };
        for (name, full) in
            [("image:1", "docker.io/library/image:1"), ("my/image", "localhost/my/image:latest")]
        {
            described.postgres.image = name.to_owned();
            details.config.as_mut().unwrap().image = Some(full.to_owned());
            assert_eq!(difference(&described, &described.postgres, Some(&image), &details), None);
            // It may be another registry's of that name.
            let unknown = difference(&described, &described.postgres, None, &details);
            assert_eq!(unknown.as_deref(), Some("image"));
        }
    }
}
