//! Where an engine listens: the value of `DOCKER_HOST` [pure].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that an engine can be reached at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket, by its path.
    Unix(PathBuf),
    /// Plain HTTP on this machine's loopback interface.
    Tcp(Authority),
    /// HTTP over TLS, with the client's certificate when there is one.
    Tls {
        /// Host and port where it listens.
        authority: Authority,
        /// The directory with `ca.pem`, `cert.pem` and `key.pem`; without one, the host's certificates count.
        certificates: Option<PathBuf>,
    },
    /// The Docker of another host, through the program `ssh`.
    Ssh(SshHost),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Name or address, an IPv6 one without brackets.
    pub host: String,
    /// TCP port, from the text or by the scheme.
    pub port: u16,
}

/// Whom `ssh` is to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    /// The user there; none for what `ssh` is configured for.
    pub user: Option<String>,
    /// Name, address, or a name in `ssh`'s configuration.
    pub host: String,
    /// Port; none for what `ssh` is configured for.
    pub port: Option<u16>,
    /// The engine's socket there; none for where the `docker` command looks for it.
    pub socket: Option<String>,
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
            Endpoint::Tcp(authority) | Endpoint::Tls { authority, .. } => write!(f, "tcp://{authority}"),
            Endpoint::Ssh(host) => write!(f, "ssh://{host}"),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&bracketed(&self.host))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_string() }
}

/// Text that names no endpoint that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the engine endpoint '{endpoint}': {reason}")]
pub struct InvalidEndpoint {
    /// The text as it was given.
    pub endpoint: String,
    /// The mistake in it and what to do.
    pub reason: &'static str,
}

const EXPECTED: &str = "expected unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or ssh://USER@HOST:PORT";
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// How `tcp://` is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tcp {
    /// HTTP without TLS, which anybody on the way can read.
    Plain,
    /// Over TLS, with the certificates in this directory; without one, with the host's.
    Tls(Option<PathBuf>),
}

impl Endpoint {
    /// True for an engine that has this machine's files.
    pub fn is_local(&self) -> bool {
        matches!(self, Endpoint::Unix(_))
    }

    /// Reads an endpoint. `https://` is always TLS, and takes its certificates from `tcp` too.
    pub fn parse(text: &str, tcp: &Tcp) -> Result<Endpoint, InvalidEndpoint> {
        let invalid = |reason| InvalidEndpoint { endpoint: text.to_string(), reason };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid(EXPECTED))?;
        let is_tls = scheme == "https" || (scheme == "tcp" && matches!(tcp, Tcp::Tls(_)));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Endpoint::Unix(PathBuf::from(rest))),
            "unix" => Err(invalid("the path of a Unix socket must be absolute: unix:///PATH")),
            "https" | "tcp" if is_tls => {
                let authority = authority(rest, TLS_PORT).ok_or_else(|| invalid(EXPECTED))?;
                let certificates = match tcp {
                    Tcp::Tls(directory) => directory.clone(),
                    Tcp::Plain => None,
                };
                Ok(Endpoint::Tls { authority, certificates })
            }
            "tcp" | "http" => {
                let authority = authority(rest, PLAIN_PORT).ok_or_else(|| invalid(EXPECTED))?;
                if !is_loopback(&authority.host) {
                    return Err(invalid(
                        "plain TCP would give the engine's full control to anyone on the network, so it is taken \
                         on loopback only; use TLS (DOCKER_TLS_VERIFY=1, DOCKER_CERT_PATH) or ssh://HOST",
                    ));
                }
                Ok(Endpoint::Tcp(authority))
            }
            "ssh" => ssh_host(rest).map(Endpoint::Ssh).map_err(invalid),
            _ => Err(invalid(EXPECTED)),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    /// Reads an endpoint whose `tcp://` is plain.
    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::parse(text, &Tcp::Plain)
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`, with nothing after it.
fn authority(text: &str, default_port: u16) -> Option<Authority> {
    let (host, port) = host_and_port(text.strip_suffix('/').unwrap_or(text))?;
    Some(Authority { host: host.to_string(), port: port.unwrap_or(default_port) })
}

fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map(|port| port.parse().ok()).map_or(Some(None), |port| port.map(Some))?;
    (!host.is_empty() && !host.contains(['/', '@'])).then_some((host, port))
}

/// The parts of `[USER@]HOST[:PORT][/SOCKET]`.
fn ssh_host(text: &str) -> Result<SshHost, &'static str> {
    let (place, socket) = match text.find('/') {
        Some(at) => (&text[..at], Some(&text[at..]).filter(|path| *path != "/")),
        None => (text, None),
    };
    let (user, place) = match place.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, place),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password is not taken here; ssh finds its keys itself");
    }
    let (host, port) = host_and_port(place).ok_or(EXPECTED)?;
    // ssh would read them as options.
    if host.starts_with('-') || user.is_some_and(|user| user.is_empty() || user.starts_with('-')) {
        return Err(EXPECTED);
    }
    Ok(SshHost {
        user: user.map(str::to_string),
        host: host.to_string(),
        port,
        socket: socket.map(str::to_string),
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://localhost:1",
            "tcp://[::1]:2375",
            "ssh://builder",
            "ssh://kolla@builder.example:2222",
            "ssh://[2001:db8::1]:22/run/user/1000/docker.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().map(|e| e.to_string()), Ok(text.to_string()));
        }
        let authority = Authority { host: "127.0.0.1".to_string(), port: 2375 };
        assert_eq!("tcp://127.0.0.1".parse(), Ok(Endpoint::Tcp(authority.clone())));
        assert_eq!("http://127.0.0.1:2375/".parse(), Ok(Endpoint::Tcp(authority)));
    }

    #[test]
    fn tls_is_asked_for_by_scheme_or_by_the_environment() {
        let tls = |host: &str, port, certificates: Option<&str>| {
            let authority = Authority { host: host.to_string(), port };
            Ok(Endpoint::Tls { authority, certificates: certificates.map(PathBuf::from) })
        };
        let given = Tcp::Tls(Some("/certs".into()));
        assert_eq!(
            Endpoint::parse("tcp://engine.example", &given),
            tls("engine.example", 2376, Some("/certs"))
        );
        assert_eq!(Endpoint::parse("https://10.0.0.1:1", &given), tls("10.0.0.1", 1, Some("/certs")));
        assert_eq!("https://engine.example".parse(), tls("engine.example", 2376, None));
        assert_eq!(
            Endpoint::parse("http://localhost:1", &given).map(|e| e.to_string()),
            Ok("tcp://localhost:1".into())
        );
    }

    #[test]
    fn refuses_what_it_cannot_reach_safely() {
        for (text, word) in [
            ("tcp://10.0.0.1:2375", "loopback"),
            ("http://engine.example:2375", "loopback"),
            ("https://", "expected"),
            ("ssh://", "expected"),
            ("ssh://-oProxyCommand=x", "expected"),
            ("ssh://-x@host", "expected"),
            ("ssh://user:word@host", "password"),
            ("ssh://host:port", "expected"),
            ("unix://relative.sock", "absolute"),
            ("/var/run/docker.sock", "expected"),
            ("tcp://localhost:port", "expected"),
            ("tcp://user@localhost:1", "expected"),
            ("npipe:////./pipe/docker_engine", "expected"),
            ("", "expected"),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text);
            assert!(error.reason.contains(word), "{error}");
        }
    }
}
