//! Sources from git repositories of every kind of server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kolla_build::config::source::{Source, SourceOrigin};

use super::{Fixture, SECTION, members};

pub fn git(repository: &Path, reference: &str) -> Source {
    let origin = SourceOrigin::Git {
        url: format!("file://{}", repository.display()),
        reference: reference.into(),
        commit: None,
    };
    Source { section: SECTION.into(), origin, sha256: None }
}

/// A repository with two commits on `main`, a branch `stable/2026.2`, tags of both kinds, and odd content.
pub fn repository(dir: &Path) -> PathBuf {
    let path = dir.join("repository");
    let script = r#"
        git init -q -b main "$0" && cd "$0"
        export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        export GIT_AUTHOR_DATE=@1700000000+0000 GIT_COMMITTER_DATE=@1700000000+0000
        git config uploadpack.allowFilter true
        printf 'one\r\n' > file; mkdir sub; echo run > sub/run; chmod 700 sub/run; ln -s ../file sub/link
        git add . && git commit -qm one && git tag 1.0 && git tag -a -m message 1.0-annotated
        git checkout -qb stable/2026.2 && echo two > file && git commit -qam two
        git checkout -q main && echo three > file && git commit -qam three
    "#;
    assert!(Command::new("sh").args(["-ec", script]).arg(&path).status().unwrap().success());
    path
}

fn git_says(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

#[test]
fn every_kind_of_git_reference_gives_its_commit() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    let commit = |name: &str| git_says(&repository, &["rev-parse", &format!("{name}^{{commit}}")]);
    let sha = commit("1.0");
    for (reference, commit, file) in [
        ("main", commit("main"), "three\n"),
        ("stable/2026.2", commit("stable/2026.2"), "two\n"),
        ("1.0", sha.clone(), "one\r\n"),
        ("1.0-annotated", sha.clone(), "one\r\n"),
        (sha.as_str(), sha.clone(), "one\r\n"),
        (&sha[..10], sha.clone(), "one\r\n"),
        ("refs/heads/main", commit("main"), "three\n"),
        ("HEAD", commit("main"), "three\n"),
    ] {
        let cache = fixture.cache();
        let source = git(&repository, reference);
        let identity = fixture.identify(&cache, &source).unwrap();
        assert_eq!(identity, format!("git:{commit} as {}", reference.replace('/', "-")), "{reference}");
        let fetched = fixture.fetch(&cache, &source).unwrap();
        assert_eq!(fetched.identity, identity);
        let top = format!("{SECTION}-archive-{}", reference.replace('/', "-"));
        let members = members(&fetched.path);
        assert_eq!(members[&format!("{top}/file")], file);
        assert_eq!(members[&format!("{top}/sub/link")], "../file");
        assert!(members.keys().all(|name| name.split('/').next() == Some(&top)));
        assert!(members.contains_key(&format!("{top}/.git/HEAD")));
    }
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn a_checkout_is_whole_for_its_users_and_tells_nothing_of_this_machine() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    for (reference, commits, described) in [("main", "2", "1.0-annotated-1-"), ("1.0", "1", "1.0")] {
        let fetched = fixture.fetch(&fixture.cache(), &git(&repository, reference)).unwrap();
        let place = fixture.dir.path().join(reference);
        fs::create_dir(&place).unwrap();
        tar::Archive::new(fs::File::open(fetched.path).unwrap()).unpack(&place).unwrap();
        let checkout = place.join(format!("{SECTION}-archive-{reference}"));
        // What pbr asks to find the version.
        assert_eq!(
            git_says(&checkout, &["log", "--oneline", "--decorate"]).lines().count().to_string(),
            commits
        );
        assert!(git_says(&checkout, &["describe", "--tags", "--dirty"]).starts_with(described));
        assert_eq!(git_says(&checkout, &["status", "--porcelain"]), "");
        assert_eq!(git_says(&checkout, &["remote"]), "");
        let config = fs::read_to_string(checkout.join(".git/config")).unwrap();
        assert!(!config.contains("remote") && !config.contains("file://"), "{config}");
        assert!(!checkout.join(".git/logs").exists());
        assert_eq!(checkout.join("sub/run").metadata().unwrap().mode() & 0o777, 0o755);
    }
    // Not even between two caches.
    let second = Fixture::new();
    let [one, two] = [&fixture, &second]
        .map(|f| fs::read(f.fetch(&f.cache(), &git(&repository, "main")).unwrap().path).unwrap());
    assert!(one == two, "the same commit gave different archives");
}

#[test]
fn a_server_without_partial_fetches_is_cloned_whole() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    git_says(&repository, &["config", "uploadpack.allowFilter", "false"]);
    git_says(&repository, &["config", "uploadpack.allowAnySHA1InWant", "false"]);
    let sha = git_says(&repository, &["rev-parse", "1.0"]);
    for reference in ["main", "1.0", &sha] {
        let fetched = fixture.fetch(&fixture.cache(), &git(&repository, reference)).unwrap();
        assert!(members(&fetched.path).contains_key(&format!("{SECTION}-archive-{reference}/file")));
    }
}

#[test]
fn a_commit_is_checked_out_once_and_a_moved_branch_again() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    let source = git(&repository, "main");
    let first = fixture.fetch(&fixture.cache(), &source).unwrap();
    let made = first.path.metadata().unwrap().ino();
    let again = fixture.fetch(&fixture.cache(), &source).unwrap();
    assert_eq!((again.path.metadata().unwrap().ino(), &again.identity), (made, &first.identity));

    // Within a run the answer stays, however the branch moves.
    let cache = fixture.cache();
    fixture.identify(&cache, &source).unwrap();
    git_says(&repository, &["reset", "--hard", "-q", "1.0"]);
    assert_eq!(fixture.fetch(&cache, &source).unwrap().identity, first.identity);
    assert_ne!(fixture.fetch(&fixture.cache(), &source).unwrap().identity, first.identity);
}

#[test]
fn what_git_can_not_find_is_an_error_with_its_words() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    let error = fixture.fetch(&fixture.cache(), &git(&repository, "no-such")).unwrap_err();
    assert!(error.to_string().contains("no branch, tag or commit 'no-such'"), "{error}");
    let nowhere = git(&fixture.dir.path().join("nowhere"), "main");
    let error = fixture.fetch(&fixture.cache(), &nowhere).unwrap_err();
    assert!(error.to_string().contains("nowhere' does not appear to be a git repository"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(fixture.unfinished(), 0);
}

#[test]
fn a_pinned_commit_is_checked_out_wherever_its_reference_leads_now() {
    let fixture = Fixture::new();
    let repository = repository(fixture.dir.path());
    let pinned = |reference: &str, commit: &str| {
        let mut source = git(&repository, reference);
        if let SourceOrigin::Git { commit: pin, .. } = &mut source.origin {
            *pin = Some(commit.to_string());
        }
        source
    };
    let old = git_says(&repository, &["rev-parse", "1.0^{commit}"]);
    for reference in ["main", "gone"] {
        let fetched = fixture.fetch(&fixture.cache(), &pinned(reference, &old)).unwrap();
        assert_eq!(fetched.identity, format!("git:{old} as {reference}"));
        assert_eq!(members(&fetched.path)[&format!("{SECTION}-archive-{reference}/file")], "one\r\n");
    }
    // With a reference that still leads there, the archive is that of no pin at all.
    let elsewhere = Fixture::new();
    for reference in ["main", "1.0"] {
        let commit = git_says(&repository, &["rev-parse", &format!("{reference}^{{commit}}")]);
        let free = fs::read(fixture.fetch(&fixture.cache(), &git(&repository, reference)).unwrap().path);
        let held = elsewhere.fetch(&elsewhere.cache(), &pinned(reference, &commit)).unwrap().path;
        assert!(free.unwrap() == fs::read(held).unwrap(), "{reference}");
    }
    let absent = "0123456789012345678901234567890123456789";
    let error = fixture.fetch(&fixture.cache(), &pinned("main", absent)).unwrap_err();
    assert!(error.to_string().contains(&format!("no branch, tag or commit '{absent}'")), "{error}");
}
