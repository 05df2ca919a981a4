//! Keeps secrets out of what is shown of a configuration.

use std::sync::LazyLock;

use regex::Regex;

/// What is shown in place of a secret.
const MASK: &str = "***";

/// User and password in front of a host, with or without a scheme.
static CREDENTIALS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<before>\w://|^|[\s,=:])(?:[^\s/@:,]+:[^\s/]*|[^\s/@]+)@(?P<host>[\w\[])")
        .expect("the pattern is valid")
});
/// A part of a URL's query whose name tells that it is secret.
static QUERY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?P<name>[?&][\w-]*(?:token|passw|secret|key|sig|auth)[\w-]*=)[^&\s]+")
        .expect("the pattern is valid")
});
/// A name of something secret.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)passw|passphrase|secret|token|credential|(?:api|access|private|auth)[_-]?key|(?:^|_)(?:pwd|auth)(?:$|_)")
        .expect("the pattern is valid")
});

/// Whether a name is one that secrets have.
pub fn is_secret_name(name: &str) -> bool {
    SECRET_NAME.is_match(name)
}

/// A value as it may be shown: without credentials in URLs, and not at all when its name is one that secrets have.
pub fn masked(name: &str, text: &str) -> String {
    // The option of this name tells where secrets are, and holds none.
    if name != "secret" && is_secret_name(name) && !text.is_empty() {
        return MASK.to_string();
    }
    let text = CREDENTIALS.replace_all(text, format!("${{before}}{MASK}@${{host}}"));
    QUERY.replace_all(&text, format!("${{name}}{MASK}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_tokens_in_urls_do_not_show() {
        for (text, shown) in [
            ("https://u:p@host/simple", "https://***@host/simple"),
            ("https://u:p@ss@host/simple", "https://***@host/simple"),
            ("https://token@host/", "https://***@host/"),
            ("a https://u:p@h/ http://v:q@[::1]/x", "a https://***@h/ http://***@[::1]/x"),
            ("user:secret@registry:5000", "***@registry:5000"),
            ("https://host/a@b?x=1", "https://host/a@b?x=1"),
            ("https://host/a?access_token=abc&x=1", "https://host/a?access_token=***&x=1"),
            ("unix:///run/podman/podman.sock", "unix:///run/podman/podman.sock"),
            ("Kolla Project (https://launchpad.net/kolla)", "Kolla Project (https://launchpad.net/kolla)"),
            ("stable-$release", "stable-$release"),
        ] {
            assert_eq!(masked("location", text), shown, "{text}");
        }
    }

    #[test]
    fn names_tell_secrets() {
        for name in ["DB_PASSWORD", "github_token", "AWS_SECRET", "API_KEY", "passwd", "REGISTRY_AUTH", "PWD"]
        {
            assert_eq!(masked(name, "x"), "***", "{name}");
        }
        for name in ["http_proxy", "KEYSTONE_VERSION", "authors", "monkey"] {
            assert_eq!(masked(name, "x"), "x", "{name}");
        }
        assert_eq!(masked("password", ""), "");
    }
}
