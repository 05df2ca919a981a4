//! Kinds of failed transfers to and from a registry, told by the engine's text, which is all that there is [pure].
//!
//! The phrases are those of Docker's and Podman's clients of the distribution API, and the error codes of the
//! distribution specification; those of any network are [`crate::util::transient`]'s. Here "timeout" alone is enough, because all
//! that an engine says of a push is about a registry.

use std::sync::LazyLock;

use regex::Regex;

use crate::util::transient::has_network_symptoms;

/// Kind of failure that the words of an engine tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferFailure {
    /// The registry does not allow it (401, 403).
    Denied,
    /// One request too many for the registry (429).
    Busy,
    /// A failure of the registry (5xx), or a broken connection.
    Broken,
    /// A registry's certificate that is not trusted.
    Untrusted,
    /// A registry that speaks plain HTTP.
    Plain,
    /// A failure of which the words tell nothing more.
    Other,
}

static PATTERNS: LazyLock<[(TransferFailure, Regex); 5]> = LazyLock::new(|| {
    let pattern =
        |phrases: &[&str]| Regex::new(&format!("(?i){}", phrases.join("|"))).expect("the pattern is valid");
    [
        (
            TransferFailure::Untrusted,
            pattern(&["x509:", "certificate signed by unknown authority", "tls: failed to verify"]),
        ),
        (TransferFailure::Plain, pattern(&["server gave http response to https client"])),
        (
            TransferFailure::Busy,
            pattern(&["toomanyrequests", "too many requests", r"\b(status|http)\S*:? 429\b"]),
        ),
        (
            TransferFailure::Denied,
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
            TransferFailure::Broken,
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

impl TransferFailure {
    /// Reads what an engine says.
    pub fn of(said: &str) -> TransferFailure {
        match PATTERNS.iter().find(|(_, pattern)| pattern.is_match(said)) {
            Some((kind, _)) => *kind,
            None if has_network_symptoms(said.lines()) => TransferFailure::Broken,
            None => TransferFailure::Other,
        }
    }

    /// True when trying again may help.
    pub fn is_transient(self) -> bool {
        matches!(self, TransferFailure::Busy | TransferFailure::Broken)
    }

    /// Advice to the user about it.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            TransferFailure::Untrusted => {
                Some("the engine reads certificate authorities from /etc/docker/certs.d/<registry>/ca.crt")
            }
            TransferFailure::Plain => {
                Some("the engine takes registries without TLS from insecure-registries in its daemon.json")
            }
            TransferFailure::Denied
            | TransferFailure::Busy
            | TransferFailure::Broken
            | TransferFailure::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_engines_are_understood() {
        for (said, kind) in [
            ("denied: requested access to the resource is denied", TransferFailure::Denied),
            ("unauthorized: authentication required", TransferFailure::Denied),
            ("no basic auth credentials", TransferFailure::Denied),
            ("error parsing HTTP 403 response body: invalid character '<'", TransferFailure::Denied),
            ("toomanyrequests: You have reached your pull rate limit.", TransferFailure::Busy),
            ("received unexpected HTTP status: 429 Too Many Requests", TransferFailure::Busy),
            ("received unexpected HTTP status: 500 Internal Server Error", TransferFailure::Broken),
            ("error parsing HTTP 502 response body: invalid character '<'", TransferFailure::Broken),
            ("Patch \"http://r/v2/a/blobs/uploads/x\": EOF", TransferFailure::Broken),
            (
                "Get \"https://r/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                TransferFailure::Broken,
            ),
            ("net/http: TLS handshake timeout", TransferFailure::Broken),
            (
                "Get \"https://r/v2/\": dial tcp: lookup r on 192.0.2.1:53: server misbehaving",
                TransferFailure::Broken,
            ),
            ("Get \"https://r/v2/\": context deadline exceeded", TransferFailure::Broken),
            (
                "http2: server sent GOAWAY and closed the connection; LastStreamID=199, ErrCode=NO_ERROR, debug=\"\"",
                TransferFailure::Broken,
            ),
            ("stream error: stream ID 1; INTERNAL_ERROR; received from peer", TransferFailure::Broken),
            ("use of closed network connection", TransferFailure::Broken),
            ("dial tcp 192.0.2.1:443: connect: no route to host", TransferFailure::Broken),
            ("unknown blob", TransferFailure::Broken),
            (
                "Get \"https://r/v2/\": x509: certificate signed by unknown authority",
                TransferFailure::Untrusted,
            ),
            ("http: server gave HTTP response to HTTPS client", TransferFailure::Plain),
            ("name unknown: repository name not known to registry", TransferFailure::Other),
            ("manifest invalid: manifest invalid", TransferFailure::Other),
            ("An image does not exist locally with the tag: kolla/base", TransferFailure::Other),
        ] {
            assert_eq!(TransferFailure::of(said), kind, "{said}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let transient = [
            TransferFailure::Denied,
            TransferFailure::Busy,
            TransferFailure::Broken,
            TransferFailure::Untrusted,
            TransferFailure::Plain,
            TransferFailure::Other,
        ]
        .map(TransferFailure::is_transient);
        assert_eq!(transient, [false, true, true, false, false, false]);
    }
}
