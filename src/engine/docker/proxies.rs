//! Proxies that builds get from Docker's configuration, as its clients do it: `proxies` in `config.json`, by the engine's
//! address or `default`, see <https://docs.docker.com/engine/cli/proxy/>.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::endpoint::Endpoint;
use crate::util::input;

/// The entry for engines that have none of their own.
const DEFAULT: &str = "default";

/// Proxies of the Docker configuration, by the address of the engine that they are for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Proxies {
    proxies: BTreeMap<String, ProxyEntry>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProxyEntry {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    ftp_proxy: Option<String>,
    no_proxy: Option<String>,
    all_proxy: Option<String>,
}

impl Proxies {
    /// Reads `config.json` in a directory; an error says what is wrong with the proxies in it. A file that can't be read
    /// at all names none: whoever reads the credentials in it tells.
    pub fn load(dir: &Path) -> Result<Proxies, String> {
        let path = dir.join("config.json");
        let bytes = input::read(&path).unwrap_or_default();
        match serde_json::from_slice(&bytes) {
            // The error's own text may quote what stands in the file.
            Err(error) if error.is_data() => Err(format!(
                "cannot read the proxies in {}: line {}, column {} is not as it should be",
                path.display(),
                error.line(),
                error.column()
            )),
            read => Ok(read.unwrap_or_default()),
        }
    }

    /// The build arguments of an engine's builds, each under both of its names.
    pub fn arguments(&self, endpoint: &Endpoint) -> BTreeMap<String, String> {
        let address = endpoint.to_string();
        // With TLS, Python's client has another name for the same place.
        let secure = match endpoint {
            Endpoint::Tls { authority, .. } => Some(format!("https://{authority}")),
            _ => None,
        };
        let is_its =
            |name: &String| Some(name.trim_end_matches('/')) == secure.as_deref() || *name == address;
        let own = self.proxies.iter().find(|(name, _)| is_its(name)).map(|(_, entry)| entry);
        let Some(entry) = own.or(self.proxies.get(DEFAULT)) else { return BTreeMap::new() };
        let ProxyEntry { http_proxy, https_proxy, ftp_proxy, no_proxy, all_proxy } = entry;
        [
            ("http_proxy", http_proxy),
            ("https_proxy", https_proxy),
            ("ftp_proxy", ftp_proxy),
            ("no_proxy", no_proxy),
            ("all_proxy", all_proxy),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone().filter(|value| !value.is_empty())?)))
        .flat_map(|(name, value)| [(name.to_string(), value.clone()), (name.to_uppercase(), value)])
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(json: &str, endpoint: &str) -> Vec<String> {
        let proxies: Proxies = serde_json::from_str(json).expect("JSON");
        let endpoint = endpoint.parse().expect("an endpoint");
        proxies.arguments(&endpoint).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn an_engine_s_own_proxies_count_before_those_of_all() {
        let json = r#"{"auths": {}, "proxies": {
            "default": {"httpProxy": "http://p:1", "noProxy": "a,b"},
            "tcp://127.0.0.1:2375": {"httpsProxy": "http://q:1"},
            "https://builder:2376/": {"ftpProxy": "http://f:1", "allProxy": "socks5://s:1"}}}"#;
        assert_eq!(
            arguments(json, "unix:///x.sock"),
            ["HTTP_PROXY=http://p:1", "NO_PROXY=a,b", "http_proxy=http://p:1", "no_proxy=a,b"]
        );
        assert_eq!(
            arguments(json, "tcp://127.0.0.1:2375"),
            ["HTTPS_PROXY=http://q:1", "https_proxy=http://q:1"]
        );
        assert_eq!(arguments(json, "https://builder:2376").len(), 4);
        assert!(arguments("{}", "unix:///x.sock").is_empty());
    }
}
