//! Sources: what they are, and their archives in a cache that tasks and runs share.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use crate::sources::error::{SourceError, SourceProblem, without_secrets};

use super::cache_tag::{self, MarkError};
use super::download::DownloadTarget;
use super::git::{self, Resolved};
use super::local::{check_archive, local_digest, pack_hashing};
use super::seal::{Proof, sha256_of};
use super::store::{Object, Store};
use super::unpack::Inspector;
use super::{download, pypi};
use crate::config::source::{Source, SourceOrigin};
use crate::util::hex::hex;
use crate::util::once_map::OnceMap;
use crate::util::scratch::{self, Scratch};

/// A source that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The section that names it.
    pub section: String,
    /// Path of the archive, which is not to be changed.
    pub path: PathBuf,
    /// Identity, as [`SourceCache::identify`] gives it.
    pub identity: String,
    /// Proof, when it is used, that it is the archive that was fetched.
    pub(crate) proof: Proof,
}

/// Fetches sources, each once as long as this lives, into a directory that other runs may use at the same time.
#[derive(Debug)]
pub struct SourceCache {
    store: Arc<Store>,
    /// Directory that goes with the cache.
    _temporary: Option<Scratch>,
    patience: Duration,
    /// Objects are read before each use, not only looked at.
    strict: bool,
    /// Made for the first download: reading the host's certificates takes time, and there may be none.
    http: OnceLock<Result<reqwest::Client, SourceProblem>>,
    resolved: OnceMap<(String, String), Option<Resolved>>,
    fetched: OnceMap<Source, Result<Fetched, SourceError>>,
    /// Identities of what ADD downloads, by URL, or why one has none.
    pub(crate) downloads: OnceMap<String, Result<String, String>>,
}

impl SourceCache {
    /// Opens the cache in `directory`. Whatever makes no progress for `patience` is given up; what was not used for as
    /// long as `kept` is removed.
    pub fn open(
        directory: &Path,
        patience: Duration,
        kept: Option<Duration>,
    ) -> Result<SourceCache, SourceError> {
        let failed = |problem| SourceError {
            section: "source cache".to_string(),
            location: directory.display().to_string(),
            problem,
        };
        cache_tag::mark(directory).map_err(|error| {
            failed(match error {
                MarkError::Io(error) => SourceProblem::local(directory)(error),
                foreign @ MarkError::Foreign(_) => SourceProblem::Configuration(foreign.to_string()),
            })
        })?;
        let store =
            Store::open(directory, kept).map_err(|error| failed(SourceProblem::local(directory)(error)))?;
        Ok(SourceCache::of(store, None, patience))
    }

    /// A cache for this run alone, which goes with this value.
    pub fn temporary(patience: Duration) -> Result<SourceCache, SourceError> {
        let parent = scratch::parent();
        let opened = Scratch::new("sources").and_then(|dir| Ok((Store::open(dir.path(), None)?, dir)));
        let (store, dir) = opened.map_err(|error| SourceError {
            section: "source cache".to_string(),
            location: parent.display().to_string(),
            problem: SourceProblem::local(parent)(error),
        })?;
        Ok(SourceCache::of(store, Some(dir), patience))
    }

    /// Stand-in for a cache in runs without sources.
    pub fn none(patience: Duration) -> SourceCache {
        SourceCache::of(Store::none(), None, patience)
    }

    fn of(store: Store, temporary: Option<Scratch>, patience: Duration) -> SourceCache {
        SourceCache {
            store: Arc::new(store),
            _temporary: temporary,
            patience,
            strict: false,
            http: OnceLock::new(),
            resolved: OnceMap::default(),
            fetched: OnceMap::default(),
            downloads: OnceMap::default(),
        }
    }

    /// The same cache, with the content of every object compared before each use.
    pub fn strict(self, strict: bool) -> SourceCache {
        SourceCache { strict, ..self }
    }

    /// Says what the source is, `sha256:...` or `git:<commit> as <reference>`, and downloads it only when nothing else
    /// tells.
    pub async fn identify(&self, source: &Source) -> Result<String, SourceError> {
        match self.known(source).await? {
            Some(identity) => Ok(identity),
            None => self.fetch(source).await.map(|fetched| fetched.identity),
        }
    }

    /// The same without ever downloading it: none when only that would tell.
    pub async fn known(&self, source: &Source) -> Result<Option<String>, SourceError> {
        let failed = |problem| SourceError::new(source, problem);
        match &source.origin {
            SourceOrigin::Git { commit: Some(commit), reference, .. } => {
                Ok(Some(git_identity(commit, reference)))
            }
            SourceOrigin::Git { url, reference, .. } => {
                let resolved = self.resolve(url, reference).await.map_err(failed)?;
                Ok(resolved.map(|resolved| git_identity(&resolved.commit, reference)))
            }
            SourceOrigin::Local(path) => {
                let path = path.clone();
                let digest = blocking(move || local_digest(&path)).await.map_err(failed)?;
                Ok(Some(sha256_identity(&digest)))
            }
            SourceOrigin::Url(_) | SourceOrigin::Pypi { .. } => {
                Ok(source.sha256.as_deref().map(sha256_identity))
            }
        }
    }

    /// Gets the source's archive: from the cache, or from where it comes. A failure for good is remembered, one that
    /// may pass is not.
    pub async fn fetch(&self, source: &Source) -> Result<Fetched, SourceError> {
        let fetch = async {
            match self.fetch_now(source).await {
                Ok(fetched) => Ok(Ok(fetched)),
                Err(problem) => {
                    let error = SourceError::new(source, problem);
                    if error.is_transient() { Err(error) } else { Ok(Err(error)) }
                }
            }
        };
        let outcome = self.fetched.get(shared_by_sections(source), fetch).await.and_then(|kept| kept);
        let section = source.section.clone();
        match outcome {
            Ok(fetched) => Ok(Fetched { section, ..fetched }),
            Err(error) => Err(SourceError { section, ..error }),
        }
    }

    async fn fetch_now(&self, source: &Source) -> Result<Fetched, SourceProblem> {
        let section = source.section.clone();
        let of_content = |object: Object| (sha256_identity(&object.seal.sha256), object);
        let (identity, object) = match &source.origin {
            SourceOrigin::Url(url) => of_content(self.fetch_url(url, source).await?),
            SourceOrigin::Git { url, reference, commit } => {
                let (object, commit) = self.fetch_git(url, reference, commit.as_deref(), &section).await?;
                (git_identity(&commit, reference), object)
            }
            SourceOrigin::Local(path) if path.is_dir() => of_content(self.pack_directory(path).await?),
            SourceOrigin::Local(path) => {
                let (path, checked) = (path.clone(), path.clone());
                let digest = blocking(move || {
                    check_archive(&checked)?;
                    local_digest(&checked)
                });
                let sha256 = digest.await?;
                let (identity, proof) = (sha256_identity(&sha256), Proof::content(&sha256));
                return Ok(Fetched { section, path, identity, proof });
            }
            SourceOrigin::Pypi { package, version } => {
                let pinned = source.sha256.as_deref();
                let (sha256, object) = self.fetch_pypi(package, version, pinned).await?;
                (sha256_identity(&sha256), object)
            }
        };
        self.store.touch(&object.path);
        let proof = if self.strict { Proof::content(&object.seal.sha256) } else { Proof::of(object.seal) };
        Ok(Fetched { section, path: object.path, identity, proof })
    }

    /// Downloads a URL, unless its content is here already.
    async fn fetch_url(&self, url: &str, source: &Source) -> Result<Object, SourceProblem> {
        let pinned = source.sha256.as_deref();
        let key = match pinned {
            Some(sha256) => blob(sha256),
            None => format!("url-{}", digest_of([url])),
        };
        let claim = self.claim(&key).await?;
        if pinned.is_some()
            && let Some(object) = self.held(&key).await?
        {
            return Ok(object);
        }
        // Of one that is not pinned nothing would tell that its parts belong together.
        let path = match pinned {
            Some(_) => claim.unfinished(&digest_of([url])[..16]),
            None => claim.partial().to_path_buf(),
        };
        let found = self.download(url, pinned, &path, &source.section).await?;
        blocking(move || {
            if let Err(problem) = check_archive(&path) {
                download::forget(&path).map_err(SourceProblem::local(&path))?;
                return Err(problem);
            }
            let object = claim.commit(&path, &blob(&found), &found).map_err(SourceProblem::local(&path))?;
            download::forget(&path).map_err(SourceProblem::local(path))?;
            Ok(object)
        })
        .await
    }

    /// Downloads a URL to a file and gives its sha256. A pinned one goes on where an earlier run stopped.
    async fn download(
        &self,
        url: &str,
        pinned: Option<&str>,
        path: &Path,
        section: &str,
    ) -> Result<String, SourceProblem> {
        let client = self.client()?;
        loop {
            let (opened, is_pinned) = (path.to_path_buf(), pinned.is_some());
            let target = blocking(move || {
                let target = if is_pinned {
                    DownloadTarget::take_up(&opened)
                } else {
                    DownloadTarget::create(&opened)
                };
                target.map_err(SourceProblem::local(opened))
            });
            let target = target.await?;
            if let Some(sha256) = pinned.filter(|sha256| target.sha256() == *sha256) {
                // All had come when that run was killed.
                return Ok(sha256.to_string());
            }
            let is_begun = target.is_begun();
            let found = download::download(&client, url, target, section, self.patience).await;
            if let Err(SourceProblem::Local { .. }) = found {
                // A disk that is full needs the room.
                download::forget(path).map_err(SourceProblem::local(path))?;
            }
            let found = found?;
            let Err(problem) = check_pin(pinned, &found) else { return Ok(found) };
            download::forget(path).map_err(SourceProblem::local(path))?;
            // What was there may have been spoilt: only the whole from the server is what the server has.
            if !is_begun {
                return Err(problem);
            }
        }
    }

    /// The client for downloads, made when it is first asked for.
    pub(crate) fn client(&self) -> Result<reqwest::Client, SourceProblem> {
        self.http.get_or_init(|| download::client(self.patience)).clone()
    }

    /// After so long without progress something is given up.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Checks a commit out and packs it, unless that was done before; gives the archive and the commit.
    async fn fetch_git(
        &self,
        url: &str,
        reference: &str,
        pinned: Option<&str>,
        section: &str,
    ) -> Result<(Object, String), SourceProblem> {
        let resolved = match pinned {
            Some(commit) => Some(Resolved::commit(commit)),
            None => self.resolve(url, reference).await?,
        };
        let top = format!("{section}-archive-{}", in_name(reference));
        let name = |commit: &str| format!("git-{commit}-{}", &digest_of([url, &top])[..16]);
        let key = match &resolved {
            Some(resolved) => name(&resolved.commit),
            None => format!("git-{}", digest_of([url, &top])),
        };
        let claim = self.claim(&key).await?;
        if let Some(Resolved { commit, .. }) = &resolved
            && let Some(object) = self.held(&name(commit)).await?
        {
            return Ok((object, commit.clone()));
        }
        // As long as the reference leads to the commit, it is taken the same way as without the pin.
        let resolved = match pinned {
            Some(commit) => self.resolve(url, reference).await?.filter(|found| found.commit == commit),
            None => None,
        }
        .or(resolved);
        let work = claim.partial().join("checkout");
        std::fs::create_dir(claim.partial()).map_err(SourceProblem::local(claim.partial()))?;
        let commit = git::check_out(url, reference, resolved.as_ref(), &work, self.patience)
            .await
            .map_err(|problem| without_url(problem, url))?;
        let key = name(&commit);
        let pack = blocking(move || {
            let archive = claim.partial().join("archive");
            git::pack(&work, &top, &archive)
                .and_then(|()| claim.commit(&archive, &key, &sha256_of(&archive)?))
                .map_err(SourceProblem::local(archive))
        });
        Ok((pack.await?, commit))
    }

    /// Packs a local directory.
    async fn pack_directory(&self, directory: &Path) -> Result<Object, SourceProblem> {
        let key = format!("local-{}", digest_of([directory.as_os_str().as_encoded_bytes()]));
        let claim = self.claim(&key).await?;
        let directory = directory.to_path_buf();
        blocking(move || {
            let packed = File::create_new(claim.partial()).map_err(SourceProblem::local(claim.partial()))?;
            let sha256 = pack_hashing(&directory, packed).map_err(SourceProblem::local(&directory))?;
            let committed = claim.commit(claim.partial(), &blob(&sha256), &sha256);
            committed.map_err(SourceProblem::local(claim.partial()))
        })
        .await
    }

    /// Gets a release from the package index; gives the sha256 of its file, which of a wheel is not the archive's.
    async fn fetch_pypi(
        &self,
        package: &str,
        version: &str,
        pinned: Option<&str>,
    ) -> Result<(String, Object), SourceProblem> {
        let key = match pinned {
            Some(sha256) => blob(sha256),
            None => format!("pypi-{}", digest_of([package, version])),
        };
        let claim = self.claim(&key).await?;
        if let Some(sha256) = pinned {
            for key in [blob(sha256), packed_wheel(sha256)] {
                if let Some(object) = self.held(&key).await? {
                    return Ok((sha256.to_string(), object));
                }
            }
        }
        let file = pypi::download(package, version, pinned, claim.partial(), self.patience).await?;
        let (pinned, top) = (pinned.map(str::to_string), format!("{package}-{version}"));
        blocking(move || {
            let sha256 = local_digest(&file)?;
            check_pin(pinned.as_deref(), &sha256)?;
            let object = if pypi::is_wheel(&file) {
                let packed = claim.partial().join("packed");
                pypi::pack_wheel(&file, &top, &packed)
                    .and_then(|()| claim.commit(&packed, &packed_wheel(&sha256), &sha256_of(&packed)?))
            } else {
                Inspector::check(&file)?;
                claim.commit(&file, &blob(&sha256), &sha256)
            };
            Ok((sha256, object.map_err(SourceProblem::local(&file))?))
        })
        .await
    }

    /// The object of a key, made sure of.
    async fn held(&self, key: &str) -> Result<Option<Object>, SourceProblem> {
        let (store, key, strict) = (Arc::clone(&self.store), key.to_string(), self.strict);
        blocking(move || store.held(&key, strict).map_err(SourceProblem::local(store.object(&key)))).await
    }

    async fn resolve(&self, url: &str, reference: &str) -> Result<Option<Resolved>, SourceProblem> {
        let resolve = git::resolve(url, reference, self.patience);
        let resolved = self.resolved.get((url.to_string(), reference.to_string()), resolve).await;
        resolved.map_err(|problem| without_url(problem, url))
    }

    async fn claim(&self, key: &str) -> Result<crate::sources::store::Claim, SourceProblem> {
        self.store.claim(key).await.map_err(SourceProblem::local(self.store.object(key)))
    }
}

/// The key of an object of this content.
fn blob(sha256: &str) -> String {
    format!("sha256-{sha256}")
}

/// The key of the archive that is made of a wheel of this content.
fn packed_wheel(sha256: &str) -> String {
    format!("wheel-{sha256}")
}

/// The source without its section where that makes no difference to the archive. In one made from git it is part of
/// the top directory's name.
fn shared_by_sections(source: &Source) -> Source {
    let section = match source.origin {
        SourceOrigin::Git { .. } => source.section.clone(),
        _ => String::new(),
    };
    Source { section, ..source.clone() }
}

fn sha256_identity(sha256: &str) -> String {
    format!("sha256:{sha256}")
}

/// The reference is part of it, for the archive's top directory is named after it.
fn git_identity(commit: &str, reference: &str) -> String {
    format!("git:{commit} as {}", in_name(reference))
}

/// A reference in a directory's name.
fn in_name(reference: &str) -> String {
    reference.replace('/', "-")
}

fn check_pin(pinned: Option<&str>, found: &str) -> Result<(), SourceProblem> {
    match pinned {
        Some(expected) if expected != found => {
            Err(SourceProblem::Checksum { expected: expected.to_string(), found: found.to_string() })
        }
        _ => Ok(()),
    }
}

/// A name for the cache that stands for these parts.
fn digest_of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.as_ref().len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Takes credentials out of what git says about a URL.
fn without_url(problem: SourceProblem, url: &str) -> SourceProblem {
    let shown = without_secrets(url);
    match problem {
        SourceProblem::Command(message) => SourceProblem::Command(message.replace(url, &shown)),
        SourceProblem::Connection(message) => SourceProblem::Connection(message.replace(url, &shown)),
        other => other,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceProblem> + Send + 'static,
) -> Result<T, SourceProblem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(SourceProblem::Connection(error.to_string())),
        },
    }
}
