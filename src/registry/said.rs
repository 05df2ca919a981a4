//! What engines say when a registry did not take or give an image: only text tells the kind [pure].
//!
//! The phrases are those of Docker's and Podman's clients of the distribution API, and the error codes of the
//! distribution specification; those of any network are [`crate::util::transient`]'s. Here "timeout" alone is enough, because all
//! that an engine says of a push is about a registry.

use std::sync::LazyLock;

use regex::Regex;

use crate::util::transient::has_network_symptoms;

/// What kind of failure the words of an engine tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The registry does not allow it (401, 403).
    Denied,
    /// It has had too many requests (429).
    Busy,
    /// It failed (5xx), or the connection broke.
    Broken,
    /// Its certificate is not trusted.
    Untrusted,
    /// It speaks plain HTTP.
    Plain,
    /// None of these.
    Other,
}

static KINDS: LazyLock<[(Kind, Regex); 5]> = LazyLock::new(|| {
    let pattern =
        |phrases: &[&str]| Regex::new(&format!("(?i){}", phrases.join("|"))).expect("the pattern is valid");
    [
        (
            Kind::Untrusted,
            pattern(&["x509:", "certificate signed by unknown authority", "tls: failed to verify"]),
        ),
        (Kind::Plain, pattern(&["server gave http response to https client"])),
        (Kind::Busy, pattern(&["toomanyrequests", "too many requests", r"\b(status|http)\S*:? 429\b"])),
        (
            Kind::Denied,
            pattern(&[
                r"\bdenied\b",
                "unauthorized",
                "authentication required",
                "no basic auth credentials",
                "authorization failed",
                "incorrect username or password",
                r"\b(status|http)\S*:? 40[13]\b",
                r"\b40[13] (unauthorized|forbidden)",
            ]),
        ),
        (
            Kind::Broken,
            pattern(&[
                r"\bEOF\b",
                "broken pipe",
                "server closed",
                "timeout",
                "timed out",
                r"\b(status|http)\S*:? 5\d\d\b",
                "internal server error",
                "bad gateway",
                "service unavailable",
                "unknown: unknown error",
                "blob upload (unknown|invalid)",
                "unknown blob",
                "digest did not match",
                "provided digest",
                "unexpected http status",
            ]),
        ),
    ]
});

impl Kind {
    /// Reads what an engine says.
    pub fn of(said: &str) -> Kind {
        match KINDS.iter().find(|(_, pattern)| pattern.is_match(said)) {
            Some((kind, _)) => *kind,
            None if has_network_symptoms(said.lines()) => Kind::Broken,
            None => Kind::Other,
        }
    }

    /// True when trying again may help.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Busy | Kind::Broken)
    }

    /// What the user can do about it.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Kind::Untrusted => {
                Some("the engine reads certificate authorities from /etc/docker/certs.d/<registry>/ca.crt")
            }
            Kind::Plain => {
                Some("the engine takes registries without TLS from insecure-registries in its daemon.json")
            }
            Kind::Denied | Kind::Busy | Kind::Broken | Kind::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_engines_are_understood() {
        for (said, kind) in [
            ("denied: requested access to the resource is denied", Kind::Denied),
            ("unauthorized: authentication required", Kind::Denied),
            ("no basic auth credentials", Kind::Denied),
            ("error parsing HTTP 403 response body: invalid character '<'", Kind::Denied),
            ("toomanyrequests: You have reached your pull rate limit.", Kind::Busy),
            ("received unexpected HTTP status: 429 Too Many Requests", Kind::Busy),
            ("received unexpected HTTP status: 500 Internal Server Error", Kind::Broken),
            ("error parsing HTTP 502 response body: invalid character '<'", Kind::Broken),
            ("Patch \"http://r/v2/a/blobs/uploads/x\": EOF", Kind::Broken),
            ("Get \"https://r/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", Kind::Broken),
            ("net/http: TLS handshake timeout", Kind::Broken),
            ("Get \"https://r/v2/\": dial tcp: lookup r on 192.0.2.1:53: server misbehaving", Kind::Broken),
            ("Get \"https://r/v2/\": context deadline exceeded", Kind::Broken),
            (
                "http2: server sent GOAWAY and closed the connection; LastStreamID=199, ErrCode=NO_ERROR, debug=\"\"",
                Kind::Broken,
            ),
            ("stream error: stream ID 1; INTERNAL_ERROR; received from peer", Kind::Broken),
            ("use of closed network connection", Kind::Broken),
            ("dial tcp 192.0.2.1:443: connect: no route to host", Kind::Broken),
            ("unknown blob", Kind::Broken),
            ("Get \"https://r/v2/\": x509: certificate signed by unknown authority", Kind::Untrusted),
            ("http: server gave HTTP response to HTTPS client", Kind::Plain),
            ("name unknown: repository name not known to registry", Kind::Other),
            ("manifest invalid: manifest invalid", Kind::Other),
            ("An image does not exist locally with the tag: kolla/base", Kind::Other),
        ] {
            assert_eq!(Kind::of(said), kind, "{said}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let transient = [Kind::Denied, Kind::Busy, Kind::Broken, Kind::Untrusted, Kind::Plain, Kind::Other]
            .map(Kind::is_transient);
        assert_eq!(transient, [false, true, true, false, false, false]);
    }
}
