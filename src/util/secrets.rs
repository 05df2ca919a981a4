//! Secrets in values: kept out of what is shown, and known where builds might show them [pure].

use std::sync::LazyLock;

use regex::Regex;

/// Text in place of a secret.
const MASK: &str = "***";

/// User and password in front of a host, with or without a scheme.
static CREDENTIALS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<before>\w://|^|[\s,=:])(?P<user>[^\s/@:,]+:[^\s/]*|[^\s/@]+)@(?P<host>[\w\[])")
        .expect("the pattern is valid")
});
/// A part of a URL's query whose name tells that it is secret.
static QUERY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?P<name>[?&][\w-]*(?:token|passw|secret|key|sig|auth)[\w-]*=)(?P<value>[^&\s]+)")
        .expect("the pattern is valid")
});
/// A name of something secret.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)passw|passphrase|secret|token|credential|(?:api|access|private|auth)[_-]?key|(?:^|_)(?:pwd|auth)(?:$|_)")
        .expect("the pattern is valid")
});

/// True for a name that secrets have.
pub fn is_secret_name(name: &str) -> bool {
    SECRET_NAME.is_match(name)
}

/// A value as it may be shown: without credentials in URLs, and not at all when its name is one that secrets have.
pub fn masked(name: &str, text: &str) -> String {
    if is_secret_name(name) && !text.is_empty() {
        return MASK.to_string();
    }
    without_credentials(text)
}

/// A value without the credentials in its URLs.
pub fn without_credentials(text: &str) -> String {
    let text = CREDENTIALS.replace_all(text, format!("${{before}}{MASK}@${{host}}"));
    QUERY.replace_all(&text, format!("${{name}}{MASK}")).into_owned()
}

/// Words that stand for no secret, whatever they are called.
const NO_SECRETS: [&str; 4] = ["true", "false", "none", "null"];

/// Every text of a value that [`masked`] leaves out and that nothing else may show.
pub fn hidden(name: &str, text: &str) -> Vec<String> {
    if is_secret_name(name) {
        let is_none = NO_SECRETS.contains(&text.to_ascii_lowercase().as_str());
        return if is_none { Vec::new() } else { vec![text.to_string()] };
    }
    hidden_credentials(text)
}

/// Every text of a value that [`without_credentials`] leaves out.
pub fn hidden_credentials(text: &str) -> Vec<String> {
    let mut hidden = Vec::new();
    for found in CREDENTIALS.captures_iter(text) {
        let user = &found["user"];
        match user.split_once(':') {
            Some((_, password)) => hidden.extend([password.to_string(), user.to_string()]),
            // Elsewhere it is a name, which is found in every log; before an HTTP host it is a token.
            None if found["before"].ends_with("://") && !text.contains("ssh://") => {
                hidden.push(user.to_string())
            }
            None => {}
        }
    }
    hidden.extend(QUERY.captures_iter(text).map(|found| found["value"].to_string()));
    hidden
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

    #[test]
    fn what_is_masked_is_known_to_be_hidden() {
        for (name, text, expected) in [
            ("http_proxy", "http://u:p4ss@proxy:3128/", &["p4ss", "u:p4ss"][..]),
            ("http_proxy", "u:p4ss@proxy:3128", &["p4ss", "u:p4ss"]),
            ("http_proxy", "http://proxy:3128", &[]),
            ("location", "https://ghp_token@host/x", &["ghp_token"]),
            ("location", "ssh://jenkins@host/x", &[]),
            ("location", "git@host:x", &[]),
            ("location", "https://h/x?access_token=abc&y=1", &["abc"]),
            ("DB_PASSWORD", "hush", &["hush"]),
            ("USE_TOKEN", "True", &[]),
            ("KEYSTONE_VERSION", "1", &[]),
        ] {
            assert_eq!(hidden(name, text), expected, "{name}={text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_is_shown(name in "[a-zA-Z_]{1,12}|token|password", text in "[ -~]{0,60}|https?://[a-z:@]{0,12}@h/x") {
            let shown = masked(&name, &text);
            for hidden in hidden(&name, &text).into_iter().filter(|hidden| hidden.len() >= 4 && !hidden.contains('*')) {
                // It may stand there once more, as something else.
                proptest::prop_assert!(shown.matches(&hidden).count() < text.matches(&hidden).count(), "{hidden}: {shown}");
            }
        }
    }
}
