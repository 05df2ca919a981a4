//! One build: the request, and its answer followed to the end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use form_urlencoded::Serializer;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use jiff::Timestamp;

use super::super::{BuildRequest, EngineError, OutputSink};
use super::fault;
use super::long::{LONGEST_TARGET, LongTarget};
use super::messages::Messages;
use super::progress::Progress;
use super::session::{Archive, BuildSession, Offer};
use super::transport::{Exchange, Transport};
use super::upload::{Changes, Upload};
use crate::dockerfile::package_caches::MOUNTS;
use crate::model::builder::{Builder, CacheSource};
use crate::model::secret::Secrets;
use crate::registry::credentials::Credentials;

/// An engine, and how it takes a build.
pub(super) struct Site<'a> {
    pub transport: &'a Transport,
    pub endpoint: &'a str,
    /// Build arguments of a build that has none of these names.
    pub proxies: &'a BTreeMap<String, String>,
    pub is_podman: bool,
    /// Credentials that BuildKit may show registries.
    pub credentials: &'a Credentials,
    /// True when its BuildKit gets the context over a session, because it does not look into the request.
    pub gets_context: bool,
}

/// Runs a build up to the engine's word that the image is there. Dropped, it closes the connection, upon which
/// both builders stop what is running.
pub(super) async fn run(
    site: &Site<'_>,
    request: &BuildRequest,
    output: OutputSink<'_>,
) -> Result<(), EngineError> {
    let request = &with_proxies(request, site.proxies);
    let (mut run_flags, dockerfile) = (request.builder.run_flags(), request.dockerfile.clone());
    run_flags.extend(request.run_mark.map(mark));
    let (upload, archive) =
        Upload::start(request.context.clone(), request.mtime, Changes { run_flags, dockerfile });
    let result = send(site, request, archive.boxed(), output).await;
    // A context that can't be read breaks the exchange too: it is the cause, not what the exchange said.
    match upload.failure().await {
        Some(context) => Err(context),
        None => result,
    }
}

/// The flag for a mount that no step has had before: it is part of what BuildKit knows a step by, and of no image.
fn mark(time: Timestamp) -> String {
    format!("--mount=type=tmpfs,target={MOUNTS}{}", time.as_nanosecond())
}

/// Sends a build and follows its answer, within a session when it needs one.
async fn send(
    site: &Site<'_>,
    request: &BuildRequest,
    archive: Archive,
    output: OutputSink<'_>,
) -> Result<(), EngineError> {
    let Site { transport, endpoint, .. } = *site;
    let needs_session = match &request.builder {
        Builder::BuildKit { secrets, .. } => {
            !secrets.is_empty() || !site.credentials.is_empty() || site.gets_context
        }
        Builder::Classic { .. } => false,
    };
    if !needs_session {
        let query = query(request, site.is_podman, None);
        return exchange(site, request, query, archive, output).await;
    }
    let (context, body) =
        if site.gets_context { (Some(archive), stream::empty().boxed()) } else { (None, archive) };
    let offer = Offer {
        secrets: request.secrets.clone(),
        credentials: site.credentials.clone(),
        context: Arc::new(Mutex::new(context)),
    };
    let session = BuildSession::open(transport, endpoint, offer).await?;
    let remote = site.gets_context.then(|| session.context_url());
    let query = query(request, site.is_podman, Some((&session.id, remote.as_deref())));
    let mut exchange = pin!(exchange(site, request, query, body, output));
    tokio::select! {
        result = &mut exchange => result,
        // What it is still needed for fails at the engine, which tells what it was.
        () = session.serve() => exchange.await,
    }
}

/// The request with these build arguments, as far as it has none of their names.
fn with_proxies(request: &BuildRequest, proxies: &BTreeMap<String, String>) -> BuildRequest {
    let mut request = request.clone();
    for (name, value) in proxies {
        request.build_args.entry(name.clone()).or_insert_with(|| value.clone());
    }
    request
}

async fn exchange(
    site: &Site<'_>,
    request: &BuildRequest,
    query: String,
    body: Archive,
    output: OutputSink<'_>,
) -> Result<(), EngineError> {
    let target = format!("/build?{query}");
    let is_long = target.len() > LONGEST_TARGET;
    let mut post = Request::post(if is_long { "/build" } else { &target })
        .header(CONTENT_TYPE, "application/x-tar")
        .body(bollard::body_try_stream(body))
        .expect("an encoded query makes a valid URI");
    if is_long {
        post.extensions_mut().insert(LongTarget(target));
    }
    match site.transport.send(Exchange::Build, post).await {
        Ok(response) => follow(response, site.endpoint, &request.secrets, output).await,
        Err(error) => Err(fault::of_transport(site.endpoint, error)),
    }
}

/// The query parameters of a build. `session` is its id, and where the context is if the request does not have it.
fn query(request: &BuildRequest, is_podman: bool, session: Option<(&str, Option<&str>)>) -> String {
    let flag = |set| if set { "1" } else { "0" };
    let mut query = Serializer::new(String::new());
    let (version, keep) = match request.builder {
        Builder::BuildKit { .. } => ("2", false),
        Builder::Classic { keep, .. } => ("1", keep),
    };
    query.append_pair("version", version);
    query.append_pair("rm", "1");
    query.append_pair("forcerm", flag(!keep));
    query.append_pair("nocache", flag(request.no_cache && request.run_mark.is_none()));
    query.append_pair("pull", flag(request.pull));
    query.append_pair("t", &request.tag.to_string());
    query.append_pair("platform", &request.platform.to_string());
    if !request.network_mode.is_empty() {
        query.append_pair("networkmode", &request.network_mode);
    }
    append_builder(&mut query, &request.builder, is_podman);
    let mut build_args = request.build_args.clone();
    if let Builder::BuildKit { inline_cache: true, .. } = request.builder {
        // The only way to ask for it; BuildKit keeps this argument to itself.
        build_args.insert("BUILDKIT_INLINE_CACHE".to_string(), "1".to_string());
    }
    for (name, map) in [("buildargs", &build_args), ("labels", &request.labels)] {
        if !map.is_empty() {
            let json = serde_json::to_string(map).expect("a map of strings is JSON");
            query.append_pair(name, &json);
        }
    }
    if let Some((id, remote)) = session {
        query.append_pair("session", id);
        if let Some(remote) = remote {
            query.append_pair("remote", remote);
        }
    }
    query.finish()
}

/// The parameters of what one builder alone can do.
fn append_builder(query: &mut Serializer<'_, String>, builder: &Builder, is_podman: bool) {
    match builder {
        // Podman's own word for it takes the parent's layers too; a build without layers adds one.
        Builder::Classic { squash: true, .. } if is_podman => drop(query.append_pair("layers", "0")),
        Builder::Classic { squash: true, .. } => drop(query.append_pair("squash", "1")),
        Builder::BuildKit { cache_from, .. } if !cache_from.is_empty() => {
            let cache_from: Vec<String> = cache_from.iter().map(CacheSource::to_string).collect();
            let json = serde_json::to_string(&cache_from).expect("a list of strings is JSON");
            query.append_pair("cachefrom", &json);
        }
        Builder::Classic { .. } | Builder::BuildKit { .. } => {}
    }
}

async fn follow(
    response: Response<Incoming>,
    endpoint: &str,
    secrets: &Secrets,
    output: OutputSink<'_>,
) -> Result<(), EngineError> {
    let status = response.status();
    if !status.is_success() {
        return Err(fault::refused(status.as_u16(), &refusal(response.into_body()).await));
    }
    let mut messages = Messages::new(endpoint, response.into_body());
    let mut progress = Progress::keeping(secrets);
    while let Some(message) = messages.next().await? {
        let shown = progress.push(message).map_err(|reason| fault::garbage(endpoint, reason))?;
        shown.into_iter().for_each(output);
        if let Some(failure) = progress.failure() {
            return Err(EngineError::Build(failure));
        }
    }
    progress.finish().into_iter().for_each(output);
    if progress.is_built() {
        Ok(())
    } else {
        // The tag may still name an image of an earlier run, so nothing but the engine's word counts.
        Err(fault::lost(endpoint, "the build's answer ends without naming an image"))
    }
}

/// The engine's own words in an answer that is no success.
pub(super) async fn refusal(body: Incoming) -> String {
    const LONGEST: usize = 64 * 1024;
    let bytes = match Limited::new(body, LONGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return error.to_string(),
    };
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(json) if json["message"].is_string() => json["message"].as_str().unwrap_or_default().to_string(),
        _ => String::from_utf8_lossy(&bytes).trim().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;
    use crate::model::platform::Arch;

    fn request() -> BuildRequest {
        testing::request("kolla/base:1", Arch::Aarch64.into())
    }

    #[test]
    fn a_plain_build() {
        assert_eq!(
            query(&request(), false, None),
            "version=2&rm=1&forcerm=1&nocache=0&pull=0&t=kolla%2Fbase%3A1&platform=linux%2Farm64"
        );
    }

    #[test]
    fn squashing_has_a_word_for_each_engine() {
        let builder = Builder::Classic { squash: true, keep: false };
        let request = BuildRequest { builder, ..request() };
        assert!(query(&request, false, None).ends_with("&squash=1"));
        assert!(query(&request, true, None).ends_with("&layers=0"));
    }

    #[test]
    fn caches_are_asked_for() {
        let cache_from = ["r/a:1", "r/b:1"].map(|source| source.parse().expect("a reference")).into();
        let builder = Builder::BuildKit { secrets: Vec::new(), cache_from, inline_cache: true };
        let request = BuildRequest { builder, ..request() };
        let query = query(&request, false, None);
        let expected = "&cachefrom=%5B%22r%2Fa%3A1%22%2C%22r%2Fb%3A1%22%5D&buildargs=%7B%22BUILDKIT_INLINE_CACHE%22%3A%221%22%7D";
        assert!(query.ends_with(expected), "{query}");
    }

    #[test]
    fn caches_of_packages_outlast_a_build_without_cache() {
        let time = Timestamp::from_nanosecond(5).expect("a time");
        let request = BuildRequest { no_cache: true, run_mark: Some(time), ..request() };
        assert!(query(&request, false, None).contains("&nocache=0&"));
        assert_eq!(mark(time), "--mount=type=tmpfs,target=/dev/kolla-build/5");
    }

    #[test]
    fn everything_that_can_be_asked_for() {
        let mut request = request();
        (request.pull, request.no_cache) = (true, true);
        request.builder = Builder::Classic { squash: false, keep: true };
        request.network_mode = "host".to_string();
        request.build_args.insert("http_proxy".to_string(), "http://p:1/?a&b".to_string());
        request.labels.insert("kolla_version".to_string(), "1".to_string());
        assert_eq!(
            query(&request, false, Some(("s", Some("http://c/1")))),
            "version=1&rm=1&forcerm=0&nocache=1&pull=1&t=kolla%2Fbase%3A1&platform=linux%2Farm64&networkmode=host\
             &buildargs=%7B%22http_proxy%22%3A%22http%3A%2F%2Fp%3A1%2F%3Fa%26b%22%7D\
             &labels=%7B%22kolla_version%22%3A%221%22%7D&session=s&remote=http%3A%2F%2Fc%2F1"
        );
    }
}
