//! Listening sockets, with errors that say which setting to change.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error("{address} is already in use; stop what listens there or set {setting}")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
    },
    /// Any other reason.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        source: io::Error,
    },
    /// In clear on an address that others reach.
    #[error(
        "{section}.listen = {address} is not a loopback address and has no TLS: set [{section}.tls], \
         or {section}.allow_plaintext = true if that is meant"
    )]
    Plaintext {
        /// The section of the configuration.
        section: &'static str,
        /// The address.
        address: SocketAddr,
    },
}

/// Listens on an address; `setting` is its name in the configuration.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, setting },
        _ => ListenError::Failed { address, setting, source },
    })
}

/// Refuses plaintext beyond loopback unless the configuration consents, in this section.
pub fn check_plaintext(
    section: &'static str,
    address: SocketAddr,
    is_allowed: bool,
) -> Result<(), ListenError> {
    if address.ip().is_loopback() || is_allowed {
        return Ok(());
    }
    Err(ListenError::Plaintext { section, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_says_so() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "gateway.listen").await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "gateway.listen").await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{address} is already in use; stop what listens there or set gateway.listen")
        );
    }

    #[test]
    fn plaintext_stays_on_loopback_without_consent() {
        let check =
            |address: &str, allowed| check_plaintext("iam", address.parse().unwrap(), allowed);
        assert!(check("127.0.0.1:1", false).is_ok());
        assert!(check("[::1]:1", false).is_ok());
        assert!(check("0.0.0.0:1", true).is_ok());
        let refused = check("10.0.0.1:1", false).unwrap_err().to_string();
        assert_eq!(
            refused,
            "iam.listen = 10.0.0.1:1 is not a loopback address and has no TLS: set [iam.tls], or \
             iam.allow_plaintext = true if that is meant"
        );
    }
}
