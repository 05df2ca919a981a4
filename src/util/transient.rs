//! Telling failures that may pass from those that will not, by what programs print [pure].
//!
//! `tests/transient/collect.py` makes the programs print it; what they printed is beside it, and every line below is held
//! by some of it.

use std::sync::LazyLock;

use regex::Regex;

/// Messages of programs when a network, a server or a mirror is at fault, as regular expressions for one line. Case does
/// not count, and a blank stands for any space: apt prints two after a status.
///
/// Where a program says the same of what may pass and of what will not, as pip of an index, dnf of its mirrors, gpg of a
/// keyserver and all of them of a name that has no address, it counts as what may pass: to try a mistake again costs
/// seconds, and not to try the other costs a run.
const SYMPTOMS: &[(&str, &[&str])] = &[
    (
        "apt",
        &[
            r"connection failed \[ip:",
            "undetermined error",
            "error reading from server",
            "could not resolve '",
            "could not connect to",
            "unable to connect to",
            "temporary failure resolving",
            // A mirror that is being synchronised, or a proxy that keeps half of it.
            "hash sum mismatch",
            "mirror sync in progress",
            "file has unexpected size",
        ],
    ),
    (
        "dnf",
        &[
            "no more mirrors to try",
            "no urls in mirrorlist",
            "all mirrors were tried",
            r"curl error \((6|7|16|18|28|35|52|55|56|92)\)",
            r"status code: (429|5\d\d)\b",
        ],
    ),
    (
        "pip",
        &[
            "incompleteread",
            r"http error (429|5\d\d) while getting",
            r"too many (429|5\d\d) error responses",
            r"(read|connect)\s*timed?\s*out",
            "(newconnection|nameresolution|protocol|readtimeout|connecttimeout)error",
            "error: (connection-failed|connection-timeout|incomplete-download)",
            "connection interrupted while downloading",
            r"could not find a version that satisfies .* \(from versions: none\)",
        ],
    ),
    (
        "uv",
        &[
            "error sending request for url",
            "error reading a body from connection",
            r"http status (client|server) error \((429|5\d\d)",
        ],
    ),
    (
        "npm",
        &[
            r"\b(econnreset|econnrefused|etimedout|enotfound|eai_again|esockettimedout)\b",
            "network timeout at",
            "before secure tls connection was established",
            r"\bcode e(429|5\d\d)\b",
        ],
    ),
    (
        "git",
        &[
            "could not resolve (host|proxy)",
            "failed to connect to",
            "(recv|send) failure",
            "operation too slow",
            "transfer closed with",
            "rpc failed; (curl|http)",
            "the remote end hung up unexpectedly",
            "early eof",
            "unexpected disconnect while reading sideband packet",
        ],
    ),
    ("curl", &[r"curl: \((6|7|16|18|28|35|52|55|56|92)\)", r"returned error: (429|5\d\d)\b"]),
    (
        "wget",
        &[
            "unable to resolve host address",
            "unable to establish ssl connection",
            r"error (429|5\d\d):",
            "connection closed at byte",
        ],
    ),
    ("gpg", &["keyserver (receive|search|refresh) failed"]),
    (
        "gem",
        &[
            r"(server error|gateway|service unavailable|gateway timeout|too many requests) (429|5\d\d)\b",
            "many connection resets",
            "could not reach host",
        ],
    ),
    ("ansible-galaxy", &[r"http code: (429|5\d\d)\b"]),
    (
        "cargo",
        &[
            r"successful http response from .* got (429|5\d\d)\b",
            "failure when receiving data from the peer",
            "transferred a partial file",
            "timeout was reached",
            "could not connect to server",
            "could not resolve hostname",
        ],
    ),
    (
        "any program",
        &[
            "temporary failure in name resolution",
            "name or service not known",
            "connection (timed out|reset|refused)",
            "operation timed out",
            "(network is unreachable|no route to host)",
            "(tls connection was non-properly terminated|ssl_error_syscall|eof occurred in violation of protocol)",
            r"\b(500 internal server error|502 bad gateway|503 service unavailable|504 gateway time-?out)\b",
            "too many requests",
        ],
    ),
    // Engines and their builders among them.
    (
        "programs in Go",
        &[
            "tls handshake timeout",
            "i/o timeout",
            "client.timeout exceeded",
            "context deadline exceeded",
            "server misbehaving",
            "no such host",
            "unexpected eof",
            "server sent goaway",
            "stream error: stream id",
            "use of closed network connection",
            r"unexpected (http )?status.*: (429|5\d\d)\b",
            "toomanyrequests",
        ],
    ),
];

static NETWORK_SYMPTOMS: LazyLock<Regex> = LazyLock::new(|| {
    let symptoms: Vec<&str> = SYMPTOMS.iter().flat_map(|(_, symptoms)| *symptoms).copied().collect();
    loosely(&symptoms.join("|"))
});

/// The end of such a message, or all of it.
static LOST_CONTENT: LazyLock<Regex> = LazyLock::new(|| {
    let lost =
        r"^not found$|(^|: )(content digest|parent snapshot) sha256:[0-9a-f]+( does not exist)?: not found$";
    Regex::new(lost).expect("the pattern is valid")
});

fn loosely(symptoms: &str) -> Regex {
    Regex::new(&format!("(?i){}", symptoms.replace(' ', r"\s+"))).expect("the pattern is valid")
}

/// Lines that an engine says of a failed build, without the lines that quote a step that failed: of why it did they say
/// nothing, and what stands in the step is no symptom.
pub fn without_quoted_steps(message: &str) -> impl Iterator<Item = &str> {
    const QUOTING: [&str; 3] =
        ["returned a non-zero code", "did not complete successfully", "while running runtime"];
    message.lines().filter(|line| !QUOTING.iter().any(|words| line.contains(words)))
}

/// True when the last lines of a failed build's log tell of a network or a mirror at fault.
pub fn has_network_symptoms<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    lines.into_iter().any(|line| NETWORK_SYMPTOMS.is_match(line))
}

/// True when what a failure says tells of a full disk.
pub fn tells_of_full_disk<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    have_any(lines, &["no space left on device", "disk quota exceeded"])
}

/// What to do about it.
pub const FULL_DISK_HINT: &str = "a disk is full: df -h shows which, docker system df what the engine keeps; when there is \
    space again, the next run goes on where this one stopped";

/// True when an engine says of a failed build only that it no longer has what it has just written: beside containerd's
/// store that may be collected as garbage when another image goes away meanwhile (seen with Docker 26.1).
pub fn tells_of_lost_content(message: &str) -> bool {
    LOST_CONTENT.is_match(message.trim())
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
    fn content_that_an_engine_has_lost_is_not_what_was_never_there() {
        for message in [
            "not found",
            "content digest sha256:0fde7db4: not found",
            "exporting to image: failed to prepare extraction snapshot \"extract-44-wRBu sha256:eecf82fe\": \
             parent snapshot sha256:73eebb73 does not exist: not found",
        ] {
            assert!(tells_of_lost_content(message), "{message}");
        }
        for message in
            ["debian:nosuch: not found", "/bin/sh: 1: nosuch: not found", "the file was not found", ""]
        {
            assert!(!tells_of_lost_content(message), "{message}");
        }
    }

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

    /// What was printed, by where it is kept and what went wrong.
    fn said(kind: &str) -> Vec<(String, String)> {
        let directory = format!("{}/tests/transient/said/{kind}", env!("CARGO_MANIFEST_DIR"));
        let mut said = Vec::new();
        for entry in std::fs::read_dir(&directory).expect("what programs have said") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            for section in text.split("## ").skip(1) {
                let (fault, printed) = section.split_once('\n').expect("a section with lines");
                said.push((format!("{} {fault}", path.display()), printed.to_string()));
            }
        }
        assert!(said.len() > 20, "{directory}");
        said
    }

    #[test]
    fn what_programs_print_when_a_network_fails_may_pass() {
        let is_missed = |(_, printed): &(String, String)| !has_network_symptoms(printed.lines());
        let missed: Vec<_> = said("transient").into_iter().filter(is_missed).collect();
        assert!(missed.is_empty(), "{missed:#?}");
    }

    #[test]
    fn what_programs_print_of_mistakes_will_not_pass() {
        let mut mistaken = Vec::new();
        for (name, printed) in said("permanent") {
            let symptoms = printed.lines().filter(|line| has_network_symptoms([*line]));
            mistaken.extend(symptoms.map(|line| format!("{name}: {line}")));
        }
        assert_eq!(mistaken, [""; 0]);
    }

    #[test]
    fn every_symptom_is_one_that_programs_print() {
        let said = said("transient");
        let mut unheard = Vec::new();
        for (program, symptoms) in SYMPTOMS {
            for symptom in *symptoms {
                let pattern = loosely(symptom);
                if !said.iter().any(|(_, printed)| printed.lines().any(|line| pattern.is_match(line))) {
                    unheard.push(format!("{program}: {symptom}"));
                }
            }
        }
        assert_eq!(unheard, [""; 0]);
    }

    #[test]
    fn a_step_that_speaks_of_networks_is_no_symptom() {
        let message =
            "The command '/bin/sh -c echo connection refused; exit 7' returned a non-zero code: 7\n  no luck";
        assert!(!has_network_symptoms(without_quoted_steps(message)));
        let message = "process \"/bin/sh -c curl --retry 3 || echo i/o timeout\" did not complete successfully: exit code: 7";
        assert!(!has_network_symptoms(without_quoted_steps(message)));
        let message = "failed to solve: debian:13: failed to do request: net/http: TLS handshake timeout";
        assert!(has_network_symptoms(without_quoted_steps(message)));
    }

    #[test]
    fn words_that_look_alike_are_no_symptoms() {
        for line in [
            "Setting the connection timeout to 5 in my.cnf",
            "error: command 'gcc' failed",
            "server error 404",
            "npm warn deprecated econnresets@1.0.0",
            "Status code: 5000 lines",
            "E: Version '503' for 'nova' was not found",
        ] {
            assert!(!has_network_symptoms([line]), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn case_and_space_do_not_count(space in "[ \t]{1,4}", upper: bool) {
            let line = ["503", "Service", "Unavailable"].join(&space);
            let line = if upper { line.to_uppercase() } else { line };
            proptest::prop_assert!(has_network_symptoms([line.as_str()]));
        }
    }
}
