//! What the service manager is told, over a socket like its own.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tollgate_e2e::process::{PATIENCE, Server};

use crate::{SOON, folder};

/// Where systemd would listen.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].into()).unwrap()
    }

    /// What it hears besides reassurances.
    fn hears_news(&self) -> String {
        std::iter::repeat_with(|| self.hears()).find(|state| state != "WATCHDOG=1").unwrap()
    }

    /// The time that a reload tells.
    fn hears_a_reload(&self) -> u64 {
        let state = self.hears_news();
        let micros = state.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert_eq!(self.hears_news(), "READY=1");
        micros
    }
}

#[test]
fn the_service_manager_is_told_of_every_step() {
    let folder = folder();
    let path = folder.path("notify");
    let manager = Manager::listen(&SocketAddr::from_pathname(&path).unwrap());
    let mut command = folder.command();
    let server = Server::start(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000"));
    assert_eq!(manager.hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    server.signal("HUP");
    let first = manager.hears_a_reload();
    server.signal("HUP");
    assert!(manager.hears_a_reload() > first);
    assert_eq!(server.terminate(SOON).0, Some(0));
    assert_eq!(manager.hears_news(), "STOPPING=1");
}

#[test]
fn a_watchdog_of_another_process_is_not_fed_and_abstract_names_are_known() {
    let folder = folder();
    let name = format!("tollgate-test-{}", std::process::id());
    let manager = Manager::listen(&SocketAddr::from_abstract_name(&name).unwrap());
    let mut command = folder.command();
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let server = Server::start(command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1"));
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(server.terminate(SOON).0, Some(0));
    assert_eq!(manager.hears(), "STOPPING=1");
}

#[test]
fn a_service_manager_that_is_gone_disturbs_nothing() {
    let folder = folder();
    let server = Server::start(folder.command().env("NOTIFY_SOCKET", folder.path("nobody")));
    let said = server.said_until("NOTIFY_SOCKET cannot be used");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(server.terminate(SOON), (Some(0), vec![]));
}
