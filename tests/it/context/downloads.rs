//! What servers answer that is not the file: parts that do not fit, other files, ways out of https; and archives that are
//! damaged or without bounds.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use kolla_build::sources::cache::SourceProblem;
use proptest::prelude::*;

use super::{Fixture, SECTION, ranges, sha256, tarball, url};
use crate::support::certificates::{Authority, Callers, Inside};
use crate::support::docker::FakeDocker;
use crate::support::files::{Fault, FileServer};
use crate::support::project::Project;

/// An answer with a part of a file: what its head tells, and what is in it.
fn part(range: &str, tag: &str, body: &[u8]) -> Fault {
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nAccept-Ranges: bytes\r\nETag: \"{tag}\"\r\n\
         Content-Length: {}\r\nContent-Range: bytes {range}\r\n\r\n",
        body.len()
    );
    Fault::Answer([head.as_bytes(), body].concat())
}

#[test]
fn parts_make_a_file_only_when_they_fit() {
    let content = tarball(&[("a", &"0123456789".repeat(50_000))]);
    let (total, tag) = (content.len(), sha256(&content));
    let rest = format!("100000-{}/{total}", total - 1);
    let other = vec![b'x'; total - 100_000];
    for (name, answer, asked) in [
        // It may send less than was asked for: then the rest of it is asked for.
        (
            "short",
            part(&format!("100000-149999/{total}"), &tag, &content[100_000..150_000]),
            Some("bytes=150000-"),
        ),
        ("of another file", part(&rest, "other", &other), None),
        ("of another length", part(&format!("100000-{0}/{1}", total - 1, total + 9), &tag, &other), None),
        ("of another place", part(&format!("99999-{}/{total}", total - 2), &tag, &other), None),
        ("without a place", part("nothing", &tag, &other), None),
        ("of fewer bytes than it tells", part(&rest, &tag, &other[9..]), None),
    ] {
        for pin in [None, Some(tag.as_str())] {
            let (fixture, server) = (Fixture::new(), FileServer::start());
            let source = url(&server.put("/x.tar", &content), pin);
            server.fail_next(Fault::CutAfter(100_000));
            server.fail_next(match &answer {
                Fault::Answer(bytes) => Fault::Answer(bytes.clone()),
                _ => unreachable!(),
            });
            let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
            assert!(fs::read(fetched.path).unwrap() == content, "{name}: not the file");
            assert_eq!(
                ranges(&server),
                [None, Some("bytes=100000-".into()), asked.map(String::from)],
                "{name}"
            );
        }
    }
}

#[test]
fn a_part_that_nobody_asked_for_is_no_file() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("a", "b")]);
    let source = url(&server.put("/x.tar", &content), None);
    server.fail_next(part("0-99/100", "tag", &content[..100]));
    let error = fixture.fetch(&fixture.cache(), &source).unwrap_err();
    assert_eq!(error.problem, SourceProblem::Misfit);
    assert!(error.is_transient());
    // A server that does nothing else is given up.
    server.fail_next(Fault::CutAfter(100));
    (0..5).for_each(|_| server.fail_next(part("7-7/9", "tag", b"x")));
    assert!(fixture.fetch(&fixture.cache(), &source).is_err());
}

#[test]
fn nothing_leads_from_https_to_http() {
    let (authority, server, daemon) = (Authority::new(), FileServer::start(), FakeDocker::with_base_image());
    let plain = server.put("/x.tar", &tarball(&[("a", "b")]));
    let address = plain.trim_start_matches("http://").trim_end_matches("/x.tar").to_string();
    let port = authority.guard("127.0.0.1", Callers::Anybody, Inside::Tcp(address));
    let secure = format!("https://127.0.0.1:{port}");
    for (source, redirect, told) in [
        (format!("type = url\nlocation = {secure}/x.tar\n"), plain.clone(), "it leads from https to http"),
        (
            format!("type = git\nlocation = {secure}/repository\nreference = main\n"),
            plain.replace("x.tar", "elsewhere/info/refs?service=git-upload-pack"),
            "http",
        ),
    ] {
        server.take_requests();
        server.fail_next(Fault::Redirect(redirect));
        let config = format!("[memcached]\n{source}");
        let project = Project::new()
            .with_engine(&daemon)
            .file("ca.pem", &authority.pem())
            .file("kolla-build.conf", &config);
        let arguments = ["--config-file", "kolla-build.conf", "--retries", "0", "^memcached$"];
        let mut command = project.command(arguments);
        command.env("SSL_CERT_FILE", project.path("ca.pem")).env("GIT_SSL_CAINFO", project.path("ca.pem"));
        let run = crate::support::project::Running::spawn(command).end().exits(1);
        assert!(run.stderr.contains(told) && run.stderr.contains("[memcached]"), "{run}");
        assert_eq!(server.take_requests().len(), 1, "the redirect was followed: {run}");
    }
}

#[test]
fn nothing_leads_pip_from_https_to_http() {
    let (authority, server, daemon) = (Authority::new(), FileServer::start(), FakeDocker::with_base_image());
    let plain = server.put("/memcached-1.0.tar.gz", &tarball(&[("memcached-1.0/setup.py", "")]));
    let address = plain.trim_start_matches("http://").split('/').next().unwrap().to_string();
    let port = authority.guard("127.0.0.1", Callers::Anybody, Inside::Tcp(address));
    let page = "<!DOCTYPE html><a href=\"/memcached-1.0.tar.gz\">memcached-1.0.tar.gz</a>";
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    for (before, what) in [(None, "the index"), (Some(Fault::Answer(page.into_bytes())), "the file")] {
        server.take_requests();
        let asked = before.iter().count() + 1;
        before.into_iter().for_each(|fault| server.fail_next(fault));
        server.fail_next(Fault::Redirect(plain.clone()));
        let project = Project::new()
            .with_engine(&daemon)
            .file("ca.pem", &authority.pem())
            .file("kolla-build.conf", "[memcached]\ntype = pypi\nname = memcached\nversion = 1.0\n");
        let arguments = ["--config-file", "kolla-build.conf", "--retries", "0", "^memcached$"];
        let mut command = project.command(arguments);
        command
            .env("PIP_INDEX_URL", format!("https://127.0.0.1:{port}/simple/"))
            .env("PIP_CERT", project.path("ca.pem"))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_NO_CACHE_DIR", "1");
        let run = crate::support::project::Running::spawn(command).end().exits(1);
        assert!(run.stderr.contains("it leads from https to http"), "{what}: {run}");
        assert_eq!(server.take_requests().len(), asked, "the redirect of {what} was followed: {run}");
    }
}

#[test]
fn a_damaged_or_unbounded_archive_is_refused_by_section_and_entry() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let zipped = |content: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    };
    let mut damaged = zipped(&tarball(&[("keystone-1/setup.py", "x")]));
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(64 << 20);
    header.set_cksum();
    // Sixty-four megabytes that become sixty-four kilobytes.
    let long = zipped(&[header.as_bytes(), &vec![b'x'; 64 << 20][..]].concat());
    for (content, told) in [
        (damaged, "the archive is damaged after its entry 'keystone-1/setup.py'"),
        (long, "its entry 1 has more than 1048576 bytes of names and other records"),
    ] {
        for pin in [None, Some(sha256(&content))] {
            let source = url(&server.put("/x.tar.gz", &content), pin.as_deref());
            let error = fixture.fetch(&fixture.cache(), &source).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
            assert!(error.to_string().contains(&format!("[{SECTION}] from http://")), "{error}");
            assert!(!error.is_transient());
            assert_eq!(fixture.working_files(), []);
        }
    }
}

/// What a server does with one request, in words that a random generator can choose from.
#[derive(Debug, Clone)]
enum Whim {
    Cuts(usize),
    /// Sends a part from here on, of so many bytes: what it tells of it, and what it sends, may be wrong.
    Part {
        start: usize,
        length: usize,
        total: usize,
        same_tag: bool,
        sent: usize,
    },
    Status(u16),
    Changes(usize),
}

/// Of the file.
const LENGTH: usize = 2560;

fn whim() -> impl Strategy<Value = Whim> {
    let near = || prop_oneof![Just(0), Just(1000), Just(LENGTH), 0..LENGTH + 9];
    prop_oneof![
        3 => near().prop_map(|at| Whim::Cuts(at.min(LENGTH))),
        3 => (near(), near(), near(), any::<bool>(), near()).prop_map(|(start, length, total, same_tag, sent)| {
            Whim::Part { start, length, total, same_tag, sent }
        }),
        1 => prop_oneof![Just(206), Just(416), Just(304), Just(503)].prop_map(Whim::Status),
        1 => near().prop_map(|at| Whim::Changes(at.min(LENGTH))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// However a server behaves, a download is the file as it is on the server at one moment, or an error.
    #[test]
    fn no_server_makes_another_file(whims in proptest::collection::vec(whim(), 0..6), pinned in any::<bool>()) {
        let (fixture, server) = (Fixture::new(), FileServer::start());
        let [old, new] = ["o", "n"].map(|word| tarball(&[("a", &word.repeat(1000))]));
        prop_assert_eq!(old.len(), LENGTH);
        let source = url(&server.put("/x.tar", &old), pinned.then(|| sha256(&old)).as_deref());
        for whim in &whims {
            server.fail_next(match whim {
                Whim::Cuts(at) => Fault::CutAfter(*at),
                Whim::Part { start, length, total, same_tag, sent } => {
                    let tag = if *same_tag { sha256(&old) } else { "other".to_string() };
                    let range = format!("{start}-{}/{total}", (start + length).wrapping_sub(1));
                    part(&range, &tag, &vec![b'?'; *sent])
                }
                Whim::Status(status) => Fault::Status(*status),
                Whim::Changes(at) => Fault::CutAndReplace(*at, new.clone()),
            });
        }
        if let Ok(fetched) = fixture.fetch(&fixture.cache(), &source) {
            let content = fs::read(fetched.path).unwrap();
            // A server that says of other bytes that they are this very part of this very file can't be found out.
            let lies = |whim: &Whim| matches!(whim, Whim::Part { same_tag: true, total: LENGTH, .. });
            prop_assert!(content == old || !pinned && (content == new || whims.iter().any(lies)));
        }
    }
}
