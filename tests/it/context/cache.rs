//! What is in the cache is what was fetched: whatever has become of its files, no build gets another content.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use kolla_build::build::assemble::assemble;
use kolla_build::sources::cache::Fetched;

use super::{Fixture, SECTION, local, sha256, tarball, url};
use crate::support::docker::FakeDocker;
use crate::support::files::FileServer;
use crate::support::project::Project;

/// What may become of an object.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Truncated,
    /// By other bytes of the same number, put in its place.
    Replaced,
    /// The same, in place.
    Overwritten,
    /// The same, with its times as before: only its content tells.
    Forged,
    /// By a link to something else.
    Linked,
    Gone,
    /// What was written down of it.
    SealLost,
}

fn befall(object: &Path, fate: Fate) {
    let content = fs::read(object).unwrap();
    let other: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    fs::set_permissions(object, fs::Permissions::from_mode(0o644)).unwrap();
    let modified = object.metadata().unwrap().modified().unwrap();
    let beside = object.with_extension("other");
    match fate {
        Fate::Truncated => fs::write(object, &content[..content.len() / 2]).unwrap(),
        Fate::Replaced => {
            fs::write(&beside, other).unwrap();
            fs::rename(beside, object).unwrap();
        }
        Fate::Overwritten => fs::write(object, other).unwrap(),
        Fate::Forged => {
            fs::write(object, other).unwrap();
            fs::File::open(object).unwrap().set_modified(modified).unwrap();
        }
        Fate::Linked => {
            fs::rename(object, &beside).unwrap();
            std::os::unix::fs::symlink(beside, object).unwrap();
        }
        Fate::Gone => fs::remove_file(object).unwrap(),
        Fate::SealLost => {
            let seals = object.parent().unwrap().with_file_name("seals");
            fs::remove_file(seals.join(object.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn an_object_that_is_not_what_was_made_is_made_anew() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("keystone-1/setup.py", "x")]);
    let source = url(&server.put("/keystone.tar", &content), Some(&sha256(&content)));
    for (fate, strict, fetched_again) in [
        (Fate::Truncated, false, true),
        (Fate::Replaced, false, true),
        (Fate::Overwritten, false, true),
        (Fate::Linked, false, true),
        (Fate::Gone, false, true),
        (Fate::Forged, true, true),
        // Its name tells what it is.
        (Fate::SealLost, false, false),
    ] {
        let cache = || fixture.cache().strict(strict);
        befall(&fixture.fetch(&cache(), &source).unwrap().path, fate);
        server.take_requests();
        let fetched = fixture.fetch(&cache(), &source).unwrap();
        assert!(fs::read(&fetched.path).unwrap() == content, "{fate:?}");
        assert_eq!(server.take_requests().len(), usize::from(fetched_again), "{fate:?}");
        // Once made sure of it is only looked at.
        fixture.fetch(&cache(), &source).unwrap();
        assert_eq!(server.take_requests(), [], "{fate:?}");
    }
}

#[test]
fn a_commit_is_packed_anew_when_its_archive_is_not_what_was_made() {
    let fixture = Fixture::new();
    let repository = super::git::repository(fixture.dir.path());
    let source = super::git::git(&repository, "1.0");
    let good = fs::read(fixture.fetch(&fixture.cache(), &source).unwrap().path).unwrap();
    // The name tells of the commit only: without its seal nothing would tell what the archive is.
    for fate in [Fate::Truncated, Fate::Replaced, Fate::Overwritten, Fate::SealLost] {
        befall(&fixture.fetch(&fixture.cache(), &source).unwrap().path, fate);
        let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
        assert!(fs::read(&fetched.path).unwrap() == good, "{fate:?}");
    }
}

/// Puts a source into a context of its own.
fn assembled(fixture: &Fixture, name: &str, fetched: &Fetched) -> Result<Vec<u8>, String> {
    let context = fixture.dir.path().join(name);
    fs::create_dir_all(&context).unwrap();
    assemble(&context, Some(fetched), &[], &[]).map_err(|error| error.to_string())?;
    Ok(fs::read(context.join(format!("{}-archive", fetched.section))).unwrap())
}

#[test]
fn what_changes_between_fetching_and_use_is_told() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("keystone-1/setup.py", "x")]);
    let source = url(&server.put("/keystone.tar", &content), Some(&sha256(&content)));
    for (number, (fate, strict)) in
        [(Fate::Truncated, false), (Fate::Replaced, false), (Fate::Overwritten, false), (Fate::Forged, true)]
            .into_iter()
            .enumerate()
    {
        let fetched = fixture.fetch(&fixture.cache().strict(strict), &source).unwrap();
        befall(&fetched.path, fate);
        let error = assembled(&fixture, &number.to_string(), &fetched).unwrap_err();
        assert!(error.contains(&format!("[{SECTION}]")) && error.contains("not what it was"), "{error}");
        let plugins = fixture.dir.path().join("plugins-of");
        fs::create_dir_all(&plugins).unwrap();
        assert!(assemble(&plugins, None, &[fetched], &[]).is_err(), "{fate:?}");
    }
    // Another file of the same content is as good.
    fixture.fetch(&fixture.cache().strict(true), &source).unwrap();
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    let copy = fetched.path.with_extension("copy");
    fs::copy(&fetched.path, &copy).unwrap();
    fs::rename(copy, &fetched.path).unwrap();
    assert!(assembled(&fixture, "same", &fetched).unwrap() == content);

    // A file of the user's is what its identity, which is in the content key, says.
    let own = fixture.dir.path().join("own.tar");
    fs::write(&own, &content).unwrap();
    let fetched = fixture.fetch(&fixture.cache(), &local(&own)).unwrap();
    befall(&own, Fate::Forged);
    assert!(assembled(&fixture, "own", &fetched).unwrap_err().contains("[nova-plugin-x]"));
}

#[test]
fn a_context_shares_no_file_with_the_cache() {
    let (fixture, server) = (Fixture::new(), FileServer::start());
    let content = tarball(&[("keystone-1/setup.py", "x")]);
    let source = url(&server.put("/keystone.tar", &content), Some(&sha256(&content)));
    let fetched = fixture.fetch(&fixture.cache(), &source).unwrap();
    assembled(&fixture, "context", &fetched).unwrap();
    let archive = fixture.dir.path().join(format!("context/{SECTION}-archive"));
    let (shared, own) = (fetched.path.metadata().unwrap(), archive.metadata().unwrap());
    assert!(shared.nlink() == 1 && own.nlink() == 1 && shared.ino() != own.ino());
    assert_eq!(own.modified().unwrap(), SystemTime::UNIX_EPOCH);
    fs::write(&archive, "anything").unwrap();
    assert!(fs::read(fixture.fetch(&fixture.cache(), &source).unwrap().path).unwrap() == content);
}

#[test]
fn a_locked_build_gets_what_was_locked_whatever_the_cache_holds() {
    let (daemon, server) = (FakeDocker::start(), FileServer::start());
    daemon.publish(crate::support::docker::BASE_IMAGE, "trixie");
    let content = tarball(&[("etcd-1/etcd", "x")]);
    let config = format!("[memcached]\ntype = url\nlocation = {}\n", server.put("/etcd.tar", &content));
    let project = Project::new().with_engine(&daemon).file("kolla-build.conf", &config);
    let run = |arguments: &[&str]| {
        let always =
            ["--config-file=kolla-build.conf", "--source-cache=cache", "--work-dir=work", "^memcached$"];
        project.run(always.iter().chain(arguments)).exits(0)
    };
    run(&["--lock"]);
    let object = project.path(format!("cache/objects/sha256-{}", sha256(&content)));
    befall(&object, Fate::Forged);
    run(&["--locked"]);
    let builds = daemon.builds();
    let build = builds.iter().find(|build| build.image.contains("memcached")).expect("it was built");
    assert!(build.files["memcached-archive"] == content, "not what was locked");
    // What it was built from can be changed without changing what others are built from.
    fs::write(project.path("work/docker/memcached/memcached-archive"), "anything").unwrap();
    assert!(fs::read(object).unwrap() == content);
}
