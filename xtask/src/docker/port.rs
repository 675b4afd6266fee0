//! Ports on this machine's loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::error::Failure;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

use crate::docker::compose::{Port, port_variable};

/// How many ports after the one in docker-compose.yml are tried.
const REACH: u16 = 100;

/// Whether nobody listens at this port of the loopback address.
pub(crate) fn is_free(port: u16) -> bool {
    bind(port).is_ok()
}

/// A socket that is bound to the port but does not listen. A listening socket would get in the way of a server that
/// binds to the port at the same moment.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // On Windows this option would allow two programs to listen on the port.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// What to do about a port that the user set in `variable` and that is taken.
pub(crate) fn remedy(variable: &str) -> String {
    format!("stop that program, set {variable} to another port, or unset it to use the next free port")
}

/// The port of a service, or the next free one outside `others` if `holder` has taken it; prints the change. Fails if the
/// user set the port and it is taken.
pub(crate) fn settled(port: Port, service: &str, holder: &str, others: &[u16], ui: &Ui) -> Result<u16> {
    if is_free(port.host) {
        return Ok(port.host);
    }
    let taken = format!("port 127.0.0.1:{} of service {service} is held by {holder}", port.host);
    if port.fixed {
        return Err(Failure::new(taken, remedy(port_variable(service))).into());
    }
    let nearby = port.host.saturating_add(1)..=port.host.saturating_add(REACH);
    let free = nearby.into_iter().find(|port| !others.contains(port) && is_free(*port));
    let free = free.with_context(|| format!("{taken}, and none of the next {REACH} is free"))?;
    ui.warn(format_args!("{taken}; it moves to {free}"));
    Ok(free)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::environment::Environment;
    use crate::ui::Messages;

    #[test]
    #[cfg(target_os = "linux")]
    fn looking_at_a_port_does_not_take_it() {
        let looked_at = bind(0).unwrap();
        let port = looked_at.local_addr().unwrap().port();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(bind(port).is_err());
        drop((looked_at, taken));
        assert!(is_free(port));
    }

    #[test]
    fn a_taken_port_moves_unless_it_was_set() {
        let ui = Ui::new(&Environment::from([("CI", "true")]), Messages::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = listener.local_addr().unwrap().port();
        assert!(!is_free(host));
        let movable = Port { host, container: 1, fixed: false };
        let other = settled(movable, "db", "me", &[host + 1], &ui).unwrap();
        assert!(other > host + 1);
        let fixed = Port { fixed: true, ..movable };
        let error = settled(fixed, "db", "me", &[], &ui).unwrap_err().to_string();
        assert_eq!(error, format!("port 127.0.0.1:{host} of service db is held by me"));
    }
}
