//! Sources, from servers and repositories on this machine into build contexts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kolla_build::build::assemble::assemble;
use kolla_build::config::source::{Source, SourceOrigin};
use kolla_build::context::archive::write_context;
use kolla_build::freshness::recipe::{ADDITIONS_ARCHIVE, PLUGINS_ARCHIVE};
use kolla_build::sources::cache::{Fetched, SourceCache, SourceError, SourceProblem};
use sha2::{Digest, Sha256};

mod cache;
mod downloads;
mod git;

use crate::support::files::{Fault, FileServer};

const SECTION: &str = "keystone-base";

/// A cache in a directory of its own, and a runtime to ask it in.
struct Fixture {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new() -> Fixture {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Fixture { dir: tempfile::tempdir().unwrap(), runtime }
    }

    /// What a new run opens.
    fn cache(&self) -> SourceCache {
        SourceCache::open(&self.dir.path().join("cache"), Duration::from_secs(2), None).unwrap()
    }

    fn fetch(&self, cache: &SourceCache, source: &Source) -> Result<Fetched, SourceError> {
        self.runtime.block_on(cache.fetch(source))
    }

    fn identify(&self, cache: &SourceCache, source: &Source) -> Result<String, SourceError> {
        self.runtime.block_on(cache.identify(source))
    }

    /// What the cache works on and what it keeps to go on with, and sizes.
    fn working_files(&self) -> Vec<(PathBuf, u64)> {
        let files =
            ["partial", "unfinished"].map(|name| fs::read_dir(self.dir.path().join("cache").join(name)));
        let files = files.into_iter().flat_map(|files| files.unwrap().flatten());
        files.filter_map(|file| Some((file.path(), file.metadata().ok()?.len()))).collect()
    }

    /// Puts something else in place of what has come so far.
    fn replace_begun(&self, content: &[u8]) {
        let files = self.working_files();
        let (begun, _) = files.iter().max_by_key(|(_, size)| *size).unwrap();
        fs::write(begun, content).unwrap();
    }

    /// Names of what the cache works on; nothing once it is done.
    fn unfinished(&self) -> usize {
        fs::read_dir(self.dir.path().join("cache/partial")).unwrap().count()
    }
}

fn url(url: &str, sha256: Option<&str>) -> Source {
    Source {
        section: SECTION.into(),
        origin: SourceOrigin::Url(url.into()),
        sha256: sha256.map(String::from),
    }
}

fn local(path: &Path) -> Source {
    Source { section: "nova-plugin-x".into(), origin: SourceOrigin::Local(path.into()), sha256: None }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar archive of files.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o444);
        header.set_mtime(1_700_000_000);
        header.set_uid(1000);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Name to content or link target of the members; what a builder has after it has unpacked them in order.
fn members(archive: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        assert_eq!((header.username(), header.groupname()), (Ok(Some("root")), Ok(Some("root"))));
        assert_eq!(header.mode().unwrap() & 0o200, 0o200);
        let name = entry.path().unwrap().display().to_string();
        let mut content = entry.link_name().unwrap().map(|to| to.display().to_string()).unwrap_or_default();
        entry.read_to_string(&mut content).map_or_else(|_| "binary".clone_into(&mut content), drop);
        (name, content)
    });
    entries.collect()
}

#[test]
fn a_pinned_url_is_fetched_once_ever() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("keystone-1/setup.py", "x")]);
    let hash = sha256(&content);
    let source = url(&server.put("/keystone.tar", &content), Some(&hash));

    let cache = fixture.cache();
    assert_eq!(fixture.identify(&cache, &source).unwrap(), format!("sha256:{hash}"));
    assert_eq!(server.take_requests(), []);
    let fetched = fixture.fetch(&cache, &source).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), content);
    assert_eq!(fetched.identity, format!("sha256:{hash}"));
    assert_eq!(fetched.path.metadata().unwrap().mtime(), 0);

    // The same content under another address and for another section, in another run.
    let mirrored = Source { section: "other".into(), ..url("http://127.0.0.1:1/mirror", Some(&hash)) };
    let other = fixture.fetch(&fixture.cache(), &mirrored).unwrap();
    assert_eq!((other.path, other.section.as_str()), (fetched.path, "other"));
    assert_eq!(server.take_requests().len(), 1);
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn an_unpinned_url_is_fetched_once_a_run() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let source = url(&server.put("/x.tar", &tarball(&[("a", "old")])), None);
    let cache = fixture.cache();
    let identity = fixture.identify(&cache, &source).unwrap();
    assert_eq!(fixture.fetch(&cache, &source).unwrap().identity, identity);
    assert_eq!(server.take_requests().len(), 1);

    server.put("/x.tar", &tarball(&[("a", "new")]));
    assert_ne!(fixture.identify(&fixture.cache(), &source).unwrap(), identity);
}

#[test]
fn many_at_once_fetch_once() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("a", &"x".repeat(1 << 20))]);
    let source = url(&server.put("/x.tar", &content), Some(&sha256(&content)));
    // Two caches stand for two runs.
    let caches = [fixture.cache(), fixture.cache()];
    let all = (0..16).map(|number| caches[number % 2].fetch(&source));
    for fetched in fixture.runtime.block_on(futures_util::future::join_all(all)) {
        assert_eq!(fs::read(fetched.unwrap().path).unwrap(), content);
    }
    assert_eq!(server.take_requests().len(), 1);
}

#[test]
fn errors_of_a_server_name_section_url_and_status() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let address = server.put("/there", b"");
    let missing = url(&address.replace("there", "gone?token=secret"), None);
    let cache = fixture.cache();
    let error = fixture.fetch(&cache, &missing).unwrap_err();
    let shown = address.replace("there", "gone?***");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot get the source of [{SECTION}] from {shown}: the server answered 404: \
             check location and version in [{SECTION}]"
        )
    );
    assert!(!error.is_transient());
    // For good is for the whole run.
    fixture.fetch(&cache, &missing).unwrap_err();
    assert_eq!(server.take_requests().len(), 1);

    let content = tarball(&[("a", "b")]);
    let source = url(&server.put("/x.tar", &content), Some(&sha256(&content)));
    server.fail_next(Fault::Status(503));
    assert!(fixture.fetch(&cache, &source).unwrap_err().is_transient());
    fixture.fetch(&cache, &source).unwrap();

    let refused = fixture.fetch(&cache, &url("http://127.0.0.1:1/x", None)).unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("refused"), "{refused}");
    let nonsense = fixture.fetch(&cache, &url("not a url", None)).unwrap_err();
    assert!(!nonsense.is_transient(), "{nonsense}");
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let (expected, content) = ("0".repeat(64), tarball(&[("a", "b")]));
    let source = url(&server.put("/x.tar", &content), Some(&expected));
    let error = fixture.fetch(&fixture.cache(), &source).unwrap_err();
    assert_eq!(error.problem, SourceProblem::Checksum { expected, found: sha256(&content) });
    assert!(!error.is_transient());
    assert_eq!(fs::read_dir(fixture.dir.path().join("cache/objects")).unwrap().count(), 0);
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("a", &"0123456789".repeat(50_000))]);
    let source = url(&server.put("/x.tar", &content), None);
    server.fail_next(Fault::CutAfter(100_000));
    server.fail_next(Fault::CutAfter(200_000));
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content);
    let ranges: Vec<_> = server.take_requests().into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=300000-".into())]);

    // Nothing came the second time.
    server.fail_next(Fault::CutAfter(100_000));
    server.fail_next(Fault::CutAfter(0));
    assert!(fixture.fetch(&fixture.cache(), &source).unwrap_err().is_transient());

    // A server that sends whole files only.
    server.forget_ranges();
    server.fail_next(Fault::CutAfter(100_000));
    assert!(fixture.fetch(&fixture.cache(), &source).unwrap_err().is_transient());
    fixture.fetch(&fixture.cache(), &source).unwrap();
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn a_file_that_changes_between_the_parts_is_fetched_whole() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let source = url(&server.put("/x.tar", &tarball(&[("a", &"old".repeat(50_000))])), None);
    let new = tarball(&[("a", &"new".repeat(50_000))]);
    server.fail_next(Fault::CutAndReplace(100_000, new.clone()));
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    assert!(fs::read(fetched.path).unwrap() == new, "parts of two files were put together");
    assert_eq!(server.take_requests().len(), 2);
}

/// Begins to fetch a source whose server falls silent after so many bytes, and drops it when they have come.
fn begin(fixture: &Fixture, server: &FileServer, source: &Source, bytes: usize) {
    server.fail_next(Fault::Hang(bytes));
    let cache = fixture.cache();
    fixture.runtime.block_on(async {
        let come = async {
            while !fixture.working_files().iter().any(|(_, size)| *size == bytes as u64) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            fetched = cache.fetch(source) => panic!("{fetched:?}"),
            () = come => {}
        }
    });
    server.take_requests();
}

fn ranges(server: &FileServer) -> Vec<Option<String>> {
    server.take_requests().into_iter().map(|request| request.range).collect()
}

#[test]
fn a_download_that_was_left_goes_on_in_another_run_when_it_is_pinned() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("a", &"0123456789".repeat(50_000))]);
    let address = server.put("/x.tar", &content);
    let source = url(&address, Some(&sha256(&content)));
    let fetch = |source: &Source| {
        let fetched = fixture.fetch(&fixture.cache(), source).unwrap();
        assert!(fs::read(&fetched.path).unwrap() == content, "not what was pinned");
        assert_eq!(fixture.working_files(), [], "nothing is left");
        fs::remove_file(fetched.path).unwrap();
        ranges(&server)
    };
    begin(&fixture, &server, &source, 100_000);
    assert_eq!(fetch(&source), [Some("bytes=100000-".into())]);

    // Everything had come, or more than there is.
    begin(&fixture, &server, &source, 100_000);
    fixture.replace_begun(&content);
    assert_eq!(fetch(&source), []);
    begin(&fixture, &server, &source, 100_000);
    fixture.replace_begun(&[&content[..], b"more"].concat());
    assert_eq!(fetch(&source), [Some(format!("bytes={}-", content.len() + 4)), None]);

    // Nothing tells whether parts of what is not pinned belong together.
    let unpinned = url(&address, None);
    begin(&fixture, &server, &unpinned, 100_000);
    assert_eq!(fetch(&unpinned), [None]);
    // A server that sends whole files only.
    server.forget_ranges();
    begin(&fixture, &server, &source, 100_000);
    assert_eq!(fetch(&source), [None]);
}

#[test]
fn what_was_begun_is_dropped_when_it_is_of_another_file_or_spoilt() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let [old, new] = ["old", "new"].map(|word| tarball(&[("a", &word.repeat(50_000))]));
    let address = server.put("/x.tar", &old);
    let source = url(&address, Some(&sha256(&new)));
    begin(&fixture, &server, &source, 100_000);
    server.put("/x.tar", &new);
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    assert!(fs::read(&fetched.path).unwrap() == new, "parts of two files were put together");
    assert_eq!(ranges(&server), [Some("bytes=100000-".into())]);
    fs::remove_file(fetched.path).unwrap();

    begin(&fixture, &server, &source, 100_000);
    fixture.replace_begun(&[0; 100_000]);
    fixture.fetch(&fixture.cache(), &source).unwrap();
    assert_eq!(ranges(&server), [Some("bytes=100000-".into()), None]);

    // What is not what was pinned is refused, however it came.
    let wrong = url(&address, Some(&"0".repeat(64)));
    begin(&fixture, &server, &wrong, 100_000);
    let error = fixture.fetch(&fixture.cache(), &wrong).unwrap_err();
    assert_eq!(error.problem, SourceProblem::Checksum { expected: "0".repeat(64), found: sha256(&new) });
    assert_eq!(fixture.working_files(), []);
}

#[test]
fn no_progress_is_given_up_and_redirects_are_followed() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("a", "b")]);
    let source = url(&server.put("/x.tar", &content), None);
    server.forget_ranges();
    server.fail_next(Fault::Hang(1));
    let error = fixture.fetch(&fixture.cache(), &source).unwrap_err();
    assert_eq!(error.problem, SourceProblem::Stalled(Duration::from_secs(2)));
    assert!(error.is_transient());

    server.fail_next(Fault::Redirect(server.put("/elsewhere", &content)));
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content);
}

#[test]
fn a_fetch_that_is_dropped_leaves_nothing() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let source = url(&server.put("/x.tar", &tarball(&[("a", "b")])), None);
    server.fail_next(Fault::Hang(1));
    let cache = fixture.cache();
    let brief = Duration::from_millis(300);
    let dropped = fixture.runtime.block_on(async { tokio::time::timeout(brief, cache.fetch(&source)).await });
    assert!(dropped.is_err());
    assert_eq!(fixture.unfinished(), 0);
    fixture.fetch(&cache, &source).unwrap();
}

#[test]
fn a_hostile_archive_is_refused_and_a_program_is_not() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    tar.append_link(&mut header, "etc", "/etc").unwrap();
    let source = url(&server.put("/x.tar", &tar.into_inner().unwrap()), None);
    let error = fixture.fetch(&fixture.cache(), &source).unwrap_err();
    assert!(error.to_string().contains("its entry 'etc' is a link to '/etc'"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(fixture.unfinished(), 0);

    // Some sources are single programs that the image gets as they are.
    let program = url(&server.put("/program", b"\x7fELF..."), None);
    fixture.fetch(&fixture.cache(), &program).unwrap();
}

#[test]
fn local_directories_and_archives_are_what_they_hold() {
    let fixture = Fixture::new();
    let directory = fixture.dir.path().join("my-plugin");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("setup.py"), "one").unwrap();
    let source = local(&directory);
    let cache = fixture.cache();
    let identity = fixture.identify(&cache, &source).unwrap();
    let fetched = fixture.fetch(&cache, &source).unwrap();
    assert_eq!(fetched.identity, identity);
    assert_eq!(members(&fetched.path)["my-plugin/setup.py"], "one");
    fs::write(directory.join("setup.py"), "two").unwrap();
    assert_ne!(fixture.identify(&fixture.cache(), &source).unwrap(), identity);

    let archive = fixture.dir.path().join("x.tar");
    fs::write(&archive, tarball(&[("a", "b")])).unwrap();
    let fetched = fixture.fetch(&cache, &local(&archive)).unwrap();
    assert_eq!(fetched.identity, fixture.identify(&cache, &local(&archive)).unwrap());
    assert_eq!(fetched.path, archive);

    let error = fixture.fetch(&cache, &local(Path::new("/nonexistent/x"))).unwrap_err();
    assert!(error.to_string().contains("[nova-plugin-x] from /nonexistent/x"), "{error}");
}

/// The one test that needs a network: the source distribution that the shipped defaults name, from the index that
/// this machine's pip uses.
#[test]
#[ignore = "needs an index of Python packages"]
fn a_source_distribution_comes_from_the_real_index() {
    let shipped: toml::Table = fs::read_to_string("build.toml").unwrap().parse().unwrap();
    let keystone = &shipped["sources"]["keystone-base"];
    let text = |key: &str| keystone[key].as_str().unwrap().to_string();
    let origin = SourceOrigin::Pypi { package: text("name"), version: text("version") };
    let source = Source { section: SECTION.into(), origin, sha256: Some(text("sha256")) };
    let fixture = Fixture::new();
    let cache = SourceCache::open(&fixture.dir.path().join("cache"), Duration::from_secs(60), None).unwrap();
    let fetched = fixture.fetch(&cache, &source).unwrap();
    assert_eq!(fetched.identity, format!("sha256:{}", text("sha256")));
    assert_eq!(sha256(&fs::read(&fetched.path).unwrap()), text("sha256"));
}

#[test]
fn a_context_gets_its_source_and_always_both_archives() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("keystone-1/setup.py", "x")]);
    let source = url(&server.put("/keystone.tar", &content), Some(&sha256(&content)));
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    let context = fixture.dir.path().join("context");
    fs::create_dir(&context).unwrap();

    // The second time over what the first has left.
    for _ in 0..2 {
        assemble(&context, Some(&fetched), &[], &[]).unwrap();
        let archive = context.join(format!("{SECTION}-archive"));
        assert_eq!(fs::read(&archive).unwrap(), content);
        for (name, top) in [(PLUGINS_ARCHIVE, "plugins"), (ADDITIONS_ARCHIVE, "additions")] {
            assert_eq!(members(&context.join(name)), BTreeMap::from([(top.to_string(), String::new())]));
        }
        for name in ["keystone-base-archive", PLUGINS_ARCHIVE, ADDITIONS_ARCHIVE] {
            assert_eq!(context.join(name).metadata().unwrap().mtime(), 0);
        }
        assert_eq!(context.metadata().unwrap().mtime(), 0);
    }
    assert_eq!(fs::read(&fetched.path).unwrap(), content);
}

#[test]
fn plugins_are_merged_and_the_later_counts() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let first = tarball(&[("plugin-a/setup.py", "a"), ("shared", "first")]);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zipped, &tarball(&[("plugin-b/setup.py", "b"), ("shared", "second")]))
        .unwrap();
    let plugins: Vec<Fetched> = [first, zipped.finish().unwrap()]
        .iter()
        .enumerate()
        .map(|(number, content)| {
            let source = url(&server.put(&format!("/{number}.tar"), content), None);
            fixture.fetch(&fixture.cache(), &source).unwrap()
        })
        .collect();

    let sent = ["one", "two"].map(|name| {
        let context = fixture.dir.path().join(name);
        fs::create_dir_all(context.join("plugins")).unwrap();
        for file in ["plugins/own", "plugins/shared"] {
            fs::write(context.join(file), "own").unwrap();
        }
        assemble(&context, None, &plugins, &[]).unwrap();
        let merged = members(&context.join(PLUGINS_ARCHIVE));
        for (name, content) in
            [("own", "own"), ("plugin-a/setup.py", "a"), ("plugin-b/setup.py", "b"), ("shared", "second")]
        {
            assert_eq!(merged[&format!("plugins/{name}")], content);
        }
        let mut bytes = Vec::new();
        write_context(&context, 0, &mut bytes).unwrap();
        bytes
    });
    assert!(sent[0] == sent[1], "the same sources gave different contexts");
}

#[test]
fn a_plugin_that_is_no_archive_is_refused_by_section() {
    let fixture = Fixture::new();
    let file = fixture.dir.path().join("plugin");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let fetched = fixture.fetch(&fixture.cache(), &local(&file)).unwrap();
    let context = fixture.dir.path().join("context");
    fs::create_dir(&context).unwrap();
    let error = assemble(&context, None, &[fetched], &[]).unwrap_err();
    assert!(error.to_string().starts_with("cannot get the source of [nova-plugin-x]"), "{error}");
    assert!(error.to_string().contains("not a tar archive"), "{error}");
}
