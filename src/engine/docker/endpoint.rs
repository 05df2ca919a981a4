//! Where an engine listens: the value of `DOCKER_HOST` [pure].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that an engine can be reached at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Plain HTTP on this machine's loopback interface.
    Tcp {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint::Unix(PathBuf::from("/var/run/docker.sock"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// Text that names no endpoint that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the engine endpoint '{endpoint}': {reason}")]
pub struct InvalidEndpoint {
    /// The text.
    pub endpoint: String,
    /// What is wrong with it and what to do.
    pub reason: &'static str,
}

const EXPECTED: &str = "expected unix:///PATH or tcp://HOST:PORT";
const DEFAULT_PORT: u16 = 2375;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let invalid = |reason| InvalidEndpoint { endpoint: text.to_string(), reason };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Endpoint::Unix(PathBuf::from(path))),
            Some(("unix", _)) => Err(invalid("the path of a Unix socket must be absolute: unix:///PATH")),
            Some(("tcp" | "http", authority)) => {
                let (host, port) = split_authority(authority).ok_or_else(|| invalid(EXPECTED))?;
                if !is_loopback(host) {
                    return Err(invalid(
                        "plain TCP would give the engine's full control to anyone on the network, so it is taken \
                         on loopback only; forward the engine's socket instead, for example with ssh -L",
                    ));
                }
                Ok(Endpoint::Tcp { host: host.to_string(), port })
            }
            Some(("https", _)) => {
                Err(invalid("TLS is not supported yet; forward the engine's socket with ssh -L"))
            }
            Some(("ssh", _)) => {
                Err(invalid("SSH is not supported yet; forward the engine's socket with ssh -L"))
            }
            _ => Err(invalid(EXPECTED)),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`, with nothing after it.
fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    (!host.is_empty() && !host.contains(['/', '@'])).then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in
            ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:1", "tcp://[::1]:2375"]
        {
            assert_eq!(text.parse::<Endpoint>().map(|e| e.to_string()), Ok(text.to_string()));
        }
        let port_left_out = Ok(Endpoint::Tcp { host: "127.0.0.1".to_string(), port: 2375 });
        assert_eq!("tcp://127.0.0.1".parse(), port_left_out);
        assert_eq!("http://127.0.0.1:2375/".parse(), port_left_out);
    }

    #[test]
    fn refuses_what_it_cannot_reach_safely() {
        for (text, word) in [
            ("tcp://10.0.0.1:2375", "loopback"),
            ("tcp://engine.example:2375", "loopback"),
            ("https://localhost:2376", "TLS"),
            ("ssh://host", "SSH"),
            ("unix://relative.sock", "absolute"),
            ("/var/run/docker.sock", "expected"),
            ("tcp://localhost:port", "expected"),
            ("tcp://user@localhost:1", "expected"),
            ("", "expected"),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text);
            assert!(error.reason.contains(word), "{error}");
        }
    }
}
