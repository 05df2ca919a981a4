//! Telling failures that may pass from those that will not.

use std::sync::LazyLock;

use regex::Regex;

/// What package managers, pip, curl and git print when the network or a mirror is at fault.
static NETWORK_SYMPTOMS: LazyLock<Regex> = LazyLock::new(|| {
    let symptoms = [
        "temporary failure (in name resolution|resolving)",
        "could not resolve (host|proxy)",
        "name or service not known",
        "connection (timed out|reset|refused)",
        "network is unreachable",
        "could not connect to",
        "unable to connect to",
        "(read|connect) ?timed? ?out",
        "(read|connect)timeouterror",
        "newconnectionerror",
        "tls handshake timeout",
        "i/o timeout",
        "unexpected eof",
        "operation timed out",
        "hash sum mismatch",
        "mirror sync in progress",
        "file has unexpected size",
        "all mirrors were tried",
        r"curl error \((6|7|18|28|35|52|55|56)\)",
        r"curl: \((6|7|18|28|35|52|55|56)\)",
        "rpc failed; (curl|http)",
        "the remote end hung up unexpectedly",
        "early eof",
        r"\b(500 internal server error|502 bad gateway|503 service unavailable|504 gateway time-?out)\b",
        r"returned error: (429|5\d\d)\b",
        r"status code:? (429|5\d\d)\b",
        "too many requests",
        "toomanyrequests",
    ];
    Regex::new(&format!("(?i){}", symptoms.join("|"))).expect("the pattern is valid")
});

/// True when the last lines of a failed build's log tell of a network or a mirror at fault.
pub fn has_network_symptoms<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    lines.into_iter().any(|line| NETWORK_SYMPTOMS.is_match(line))
}

/// True when what a failure says tells of a full disk.
pub fn tells_of_full_disk<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    have_any(lines, &["no space left on device", "disk quota exceeded"])
}

/// True when the last lines of a failed build's log tell of programs for another processor.
pub fn tells_of_foreign_programs<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    have_any(lines, &["exec format error", "invalid elf image for this architecture"])
}

fn have_any<'a>(lines: impl IntoIterator<Item = &'a str>, symptoms: &[&str]) -> bool {
    lines.into_iter().map(str::to_lowercase).any(|line| symptoms.iter().any(|symptom| line.contains(symptom)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_programs_are_recognised() {
        for line in ["exec /bin/sh: exec format error", "/bin/sh: 1: apt-get: Exec format error"] {
            assert!(tells_of_foreign_programs(["FROM x", line]), "{line}");
        }
        assert!(!tells_of_foreign_programs(["exec /bin/sh: no such file or directory"]));
    }

    #[test]
    fn a_full_disk_is_recognised() {
        for line in [
            "write /var/lib/docker/tmp/x: no space left on device",
            "OSError: [Errno 28] No space left on device",
        ] {
            assert!(tells_of_full_disk(["fine", line]), "{line}");
        }
        assert!(!tells_of_full_disk(["No space left in the table"]));
    }

    #[test]
    fn networks_and_mirrors_are_recognised() {
        for line in [
            "Err:1 http://deb.example/debian trixie InRelease  Temporary failure resolving 'deb.example'",
            "curl: (28) Operation timed out after 300 seconds",
            "E: Failed to fetch http://x/y.deb  Hash Sum mismatch",
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(...): Read timed out.",
            "E: Failed to fetch http://x/  503  Service Unavailable 503 Service Unavailable",
            "fatal: the remote end hung up unexpectedly",
        ] {
            assert!(has_network_symptoms([line]), "{line}");
        }
    }

    #[test]
    fn mistakes_are_not() {
        for line in [
            "E: Unable to locate package nosuch",
            "/bin/sh: 1: nosuch: not found",
            "ERROR: No matching distribution found for nosuch",
            "404  Not Found",
            "error: command 'gcc' failed",
            "Setting the connection timeout to 5 in my.cnf",
        ] {
            assert!(!has_network_symptoms([line]), "{line}");
        }
    }
}
