//! How the fake daemon answers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::buildkit::BuildKit;
use super::docker::{Build, Fault, Image, PATIENCE, Shared, Stall};
use super::dockerfile::{self, Instruction};
use super::http::{Exchange, Socket, without_version};
use super::messages::{Builder, Classic, line};
use super::registry::FakeRegistry;

/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(3600);

impl Shared {
    /// One request and its answer.
    pub fn exchange(&self, socket: Box<dyn Socket>) -> io::Result<()> {
        let Some(mut exchange) = Exchange::accept(socket)? else { return Ok(()) };
        self.state().requests.push(format!("{} {}", exchange.method, exchange.path));
        let path = without_version(&exchange.path).to_string();
        let request = format!("{} {path}", exchange.method);
        if let Some(stall) = self.stall_of(&request) {
            return stall_in(&mut exchange, stall);
        }
        if let Some((status, message)) = self.refusal_of(&request) {
            return exchange.answer(status, &json!({"message": message}));
        }
        if self.machine(&mut exchange, &path)? {
            return Ok(());
        }
        match (exchange.method.as_str(), path.as_str()) {
            ("GET", "/_ping") => exchange.answer(200, &json!("OK")),
            ("GET", "/version") if self.is_silent() => exchange.wait(FOR_EVER),
            ("GET", "/version") => {
                let (version, api) =
                    if self.keeps_variants() { ("28.5.2", "1.51") } else { ("20.10.24", "1.41") };
                let version = format!("{version}{}", self.state().scrawl);
                exchange.answer(
                    200,
                    &json!({"Version": version, "ApiVersion": api, "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}),
                )
            }
            ("GET", "/info") => {
                let root = self.state().data_root.clone();
                let store =
                    self.keeps_variants().then_some([["driver-type", "io.containerd.snapshotter.v1"]]);
                exchange.answer(
                    200,
                    &json!({"OSType": "linux", "Architecture": "x86_64", "DockerRootDir": root, "DriverStatus": store}),
                )
            }
            ("POST", "/images/create") => self.pull(&mut exchange),
            ("POST", "/session") if self.state().opens_sessions => {
                exchange.raw(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")?;
                exchange.wait(FOR_EVER)
            }
            ("POST", "/build") => self.build(&mut exchange),
            ("GET", "/images/json") => self.list_images(&mut exchange),
            ("GET", "/containers/json") => self.list_containers(&mut exchange),
            ("GET", "/system/df") => self.disk_usage(&mut exchange),
            ("POST", "/build/prune") => self.prune_cache(&mut exchange),
            ("GET", path) if path.starts_with("/images/") && path.ends_with("/history") => {
                let name = &path["/images/".len()..path.len() - "/history".len()];
                self.history(&mut exchange, name)
            }
            ("GET", path) if path.starts_with("/images/") && path.ends_with("/json") => {
                let name = &path["/images/".len()..path.len() - "/json".len()];
                self.inspect(&mut exchange, name)
            }
            ("DELETE", path) if path.starts_with("/images/") => {
                let name = &path["/images/".len()..];
                self.remove_image(&mut exchange, name)
            }
            ("POST", path) if path.starts_with("/images/") && path.ends_with("/tag") => {
                let name = &path["/images/".len()..path.len() - "/tag".len()];
                self.tag(&mut exchange, name)
            }
            ("POST", path) if path.starts_with("/images/") && path.ends_with("/push") => {
                let name = &path["/images/".len()..path.len() - "/push".len()];
                self.push(&mut exchange, name)
            }
            _ => exchange.answer(404, &json!({"message": "page not found"})),
        }
    }

    fn stall_of(&self, request: &str) -> Option<Stall> {
        let state = self.state();
        state.stalls.iter().find(|(start, _)| request.starts_with(start)).map(|(_, stall)| *stall)
    }

    fn refusal_of(&self, request: &str) -> Option<(u16, String)> {
        let refusals = &mut self.state().refusals;
        let at = refusals.iter().position(|(start, ..)| request.starts_with(start))?;
        let (_, status, message) = refusals.remove(at);
        Some((status, message))
    }

    fn is_silent(&self) -> bool {
        let state = self.state();
        state.falls_silent && !state.builds.is_empty()
    }

    fn keeps_variants(&self) -> bool {
        !self.state().variants.is_empty()
    }

    fn inspect(&self, exchange: &mut Exchange, name: &str) -> io::Result<()> {
        let platform: Option<Value> =
            exchange.query.get("platform").and_then(|text| serde_json::from_str(text).ok());
        let image = {
            let state = self.state();
            let by_id = || state.all_images().find(|image| image.id == name);
            let own = state.images.get(name).or_else(by_id);
            let variants = state.variants.iter().filter(|(of, _)| of == name).map(|(_, image)| image);
            let wanted = |image: &&Image| {
                platform.as_ref().is_none_or(|platform| platform["architecture"] == image.architecture)
            };
            own.into_iter().chain(variants).find(wanted).cloned()
        };
        match image {
            Some(image) => exchange.answer(
                200,
                &json!({"Id": image.id, "Architecture": image.architecture, "Os": "linux", "Size": 1000, "RootFS": {"Type": "layers", "Layers": ["sha256:1", "sha256:2"]}, "RepoDigests": image.repo_digests, "Config": self.config_of(name, &image)}),
            ),
            None => exchange.answer(404, &json!({"message": format!("No such image: {name}")})),
        }
    }

    /// Configuration of an image: its labels, and what a test has said.
    fn config_of(&self, name: &str, image: &Image) -> serde_json::Value {
        let state = self.state();
        let said =
            ["*", name].iter().filter_map(|key| state.machine.image_configs.get(*key)).next_back().cloned();
        drop(state);
        let mut config = said.unwrap_or_else(|| json!({}));
        config["Labels"] = json!(image.labels);
        config
    }

    /// The registry has what is here already, and nothing else.
    fn pull(&self, exchange: &mut Exchange) -> io::Result<()> {
        let reference = exchange.query.get("fromImage").cloned().unwrap_or_default();
        let known = {
            let mut state = self.state();
            state.pulls.push(reference.clone());
            let remote = state.remote.clone();
            let given = remote.and_then(|registry| {
                let (repository, tag) = in_registry(&registry, &reference)?;
                Some(Image::of_config(registry.config(&repository, &tag)?))
            });
            if let Some(image) = given.or(state.registry.get(&reference).cloned()) {
                state.images.insert(reference.clone(), image);
            }
            state.images.contains_key(&reference)
        };
        if !known {
            let message = format!("manifest for {reference} not found: manifest unknown");
            return exchange.answer(404, &json!({"message": message}));
        }
        exchange.begin()?;
        let status = format!("Status: Image is up to date for {reference}{}", self.state().scrawl);
        stream(exchange, &[line(&json!({"status": status}))])
    }

    fn tag(&self, exchange: &mut Exchange, name: &str) -> io::Result<()> {
        let query = |key: &str| exchange.query.get(key).cloned().unwrap_or_default();
        let full = format!("{}:{}", query("repo"), query("tag"));
        let mut state = self.state();
        let by_id = || state.all_images().find(|image| image.id == name);
        let Some(image) = state.images.get(name).or_else(by_id).cloned() else {
            drop(state);
            return exchange.answer(404, &json!({"message": format!("No such image: {name}")}));
        };
        state.images.insert(full, image);
        drop(state);
        exchange.answer(201, &json!({}))
    }

    fn build(&self, exchange: &mut Exchange) -> io::Result<()> {
        let dies = {
            let state = self.state();
            state.dies_after.is_some_and(|builds| state.builds.len() >= builds)
        };
        if dies {
            self.die();
            return Ok(());
        }
        let tag = exchange.query.get("t").cloned().unwrap_or_default();
        let name = image_name(&tag);
        let fault = self.build_fault(&name);
        if let Some(Fault::Refused(status, message)) = &fault {
            return exchange.answer(*status, &json!({"message": message}));
        }
        if let Some(Fault::CutInUpload) = fault {
            return exchange.body().read_exact(&mut [0; 1000]);
        }
        let mut archive = Vec::new();
        exchange.body().read_to_end(&mut archive)?;
        let files = read_tar(&archive)?;
        let build = Build { image: name.clone(), query: exchange.query.clone(), files, archive };
        let delay = {
            let mut state = self.state();
            state.builds.push(build.clone());
            state.running.insert(tag.clone());
            state.most_running = state.most_running.max(state.running.len());
            state.delay
        };
        let result = self
            .gathered(exchange)
            .and_then(|()| exchange.wait(delay))
            .and_then(|()| self.run(exchange, &tag, &build, fault));
        let mut state = self.state();
        state.running.remove(&tag);
        if result.is_err() && !state.dead {
            state.cancelled.push(name);
        }
        result
    }

    /// Waits until as many builds as are to meet have been running at once.
    fn gathered(&self, exchange: &mut Exchange) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && {
            let state = self.state();
            state.most_running < state.company
        } {
            exchange.wait(Duration::from_millis(5))?;
        }
        Ok(())
    }

    fn build_fault(&self, image: &str) -> Option<Fault> {
        match self.state().build_faults.get_mut(image)? {
            (_, Some(0)) => None,
            (fault, left) => {
                *left = left.map(|left| left - 1);
                Some(fault.clone())
            }
        }
    }

    /// Answers a build whose context was read.
    fn run(&self, exchange: &mut Exchange, tag: &str, build: &Build, fault: Option<Fault>) -> io::Result<()> {
        match fault {
            Some(Fault::CutBefore) => return Ok(()),
            Some(Fault::NoHttp) => return exchange.raw(b"\x15\x03\x01 this is another protocol\r\n\r\n"),
            _ => {}
        }
        let is_buildkit = build.query.get("version").is_some_and(|version| version == "2");
        let builder: &dyn Builder = if is_buildkit { &BuildKit } else { &Classic };
        let instructions = dockerfile::parse(&build.dockerfile());
        let from = instructions.first().map(|first| first.arguments.clone()).unwrap_or_default();
        let from =
            from.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default().to_string();
        let parent = self.state().images.get(&from).cloned();
        exchange.begin()?;
        // What needs a registry to answer is not here.
        if parent.is_none() && from.contains('/') {
            let message = format!("pull access denied for {from}, repository does not exist");
            exchange.chunk(&builder.failure(&message))?;
            return exchange.end();
        }
        let mut messages = builder.steps(&instructions);
        if let Some(Fault::Fails { message, log }) = &fault {
            messages.extend(builder.failing_step(&instructions, message, log));
            self.state().running.remove(tag);
            return stream(exchange, &messages);
        }
        let architecture = match &fault {
            Some(Fault::BuiltFor(architecture)) => architecture.clone(),
            _ => build.query["platform"].trim_start_matches("linux/").to_string(),
        };
        let image = image_of(build, &instructions, architecture, from, parent);
        messages.extend(builder.success(&image.id, tag));
        let cut = match &fault {
            Some(Fault::CutAfterMessages(count) | Fault::EndsAfterMessages(count)) => *count,
            Some(Fault::NoJson | Fault::BadChunk | Fault::HalfChunk | Fault::Hangs) => 1,
            _ => messages.len(),
        };
        for message in &messages[..cut.min(messages.len())] {
            exchange.chunk(message)?;
        }
        match fault {
            Some(Fault::CutAfterMessages(_) | Fault::CutAtEnd) => return Ok(()),
            Some(Fault::EndsAfterMessages(_)) => return exchange.end(),
            Some(Fault::NoJson) => {
                exchange.chunk(b"<html>no JSON</html>\n")?;
                return exchange.end();
            }
            Some(Fault::BadChunk) => return exchange.raw(b"many\r\n"),
            Some(Fault::HalfChunk) => return exchange.raw(b"1000\r\n{\"stream\":"),
            Some(Fault::Hangs) => return exchange.wait(FOR_EVER),
            _ => {}
        }
        let mut state = self.state();
        state.name(tag, image);
        // Before the client learns of the end, for it may begin the next build at once.
        state.running.remove(tag);
        drop(state);
        match fault {
            Some(Fault::NeverEnds) => exchange.wait(FOR_EVER),
            _ => exchange.end(),
        }
    }

    fn push(&self, exchange: &mut Exchange, name: &str) -> io::Result<()> {
        let tag = exchange.query.get("tag").cloned().unwrap_or_default();
        let reference = format!("{name}:{tag}");
        if !exchange.headers.contains_key("x-registry-auth") {
            return exchange
                .answer(400, &json!({"message": "Bad parameters and missing X-Registry-Auth: EOF"}));
        }
        let (image, fault) = {
            let mut state = self.state();
            state.pushes.push(reference.clone());
            (state.images.get(&reference).cloned(), state.push_faults.get(&image_name(&reference)).cloned())
        };
        let Some(image) = image else {
            return exchange.answer(
                404,
                &json!({"message": format!("An image does not exist locally with the tag: {name}")}),
            );
        };
        let mut messages = vec![
            line(&json!({"status": format!("The push refers to repository [{name}]")})),
            line(&json!({"status": "Preparing", "progressDetail": {}, "id": "5f70bf18a086"})),
            line(
                &json!({"status": format!("Pushed{}", self.state().scrawl), "progressDetail": {}, "id": "5f70bf18a086"}),
            ),
        ];
        match fault {
            Some(Fault::Refused(status, message)) => {
                return exchange.answer(status, &json!({"message": message}));
            }
            Some(Fault::Fails { message: text, .. }) => {
                messages.truncate(2);
                messages.push(line(&json!({"errorDetail": {"message": text}, "error": text})));
            }
            Some(Fault::CutBefore) => return Ok(()),
            Some(Fault::CutAfterMessages(count)) => {
                exchange.begin()?;
                return messages.iter().take(count).try_for_each(|message| exchange.chunk(message));
            }
            Some(Fault::Hangs) => {
                exchange.begin()?;
                messages.iter().take(2).try_for_each(|message| exchange.chunk(message))?;
                return exchange.wait(FOR_EVER);
            }
            Some(other) => panic!("{other:?} is no fault of a push"),
            None => {
                let remote = self.state().remote.clone();
                let pushed = remote.and_then(|registry| {
                    let (repository, tag) = in_registry(&registry, &reference)?;
                    Some(registry.hold(&repository, &tag, image.config.as_bytes()))
                });
                let digest = pushed.unwrap_or(image.id);
                messages.push(line(&json!({"status": format!("{tag}: digest: {digest} size: 527")})));
            }
        }
        exchange.begin()?;
        stream(exchange, &messages)
    }
}

/// Answers without an end.
fn stall_in(exchange: &mut Exchange, stall: Stall) -> io::Result<()> {
    if stall == Stall::BeforeHead {
        return exchange.wait(FOR_EVER);
    }
    exchange.begin()?;
    exchange.chunk(b"{\"status\": \"")?;
    if stall == Stall::AfterHead {
        return exchange.wait(FOR_EVER);
    }
    loop {
        exchange.chunk(&[b'x'; 1 << 16])?;
    }
}

/// Repository, and tag or digest, of a reference to this registry.
fn in_registry(registry: &FakeRegistry, reference: &str) -> Option<(String, String)> {
    let named = reference.strip_prefix(registry.address())?.strip_prefix('/')?;
    let (repository, name) = named.split_once('@').or_else(|| named.rsplit_once(':'))?;
    Some((repository.to_string(), name.to_string()))
}

/// Sends messages and ends the answer.
fn stream(exchange: &mut Exchange, messages: &[Vec<u8>]) -> io::Result<()> {
    messages.iter().try_for_each(|message| exchange.chunk(message))?;
    exchange.end()
}

/// `keystone` of `127.0.0.1:5000/kolla/keystone:1`.
fn image_name(tag: &str) -> String {
    let last = tag.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().to_string()
}

/// The id of an image with this content.
pub fn id_of(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().fold("sha256:".to_string(), |id, byte| id + &format!("{byte:02x}"))
}

/// The same content gives the same image, as a cache would.
fn image_of(
    build: &Build,
    instructions: &[Instruction],
    architecture: String,
    from: String,
    parent: Option<Image>,
) -> Image {
    let mut labels = parent.as_ref().map(|parent| parent.labels.clone()).unwrap_or_default();
    labels.extend(dockerfile::labels(instructions));
    if let Some(given) = build.query.get("labels") {
        let given: BTreeMap<String, String> = serde_json::from_str(given).expect("labels are a JSON map");
        labels.extend(given);
    }
    let parent_id = parent.map(|parent| parent.id);
    let content = id_of(format!("{parent_id:?} {:?}", build.files).as_bytes());
    let runs = instructions.iter().filter(|instruction| instruction.name == "RUN");
    let history = runs.map(|run| format!("RUN /bin/sh -c {} # buildkit", run.arguments)).collect();
    Image { history, ..Image::new(&content, architecture, labels, Some(from)) }
}

/// The files of a tar archive; symbolic links count as files that hold their target.
fn read_tar(archive: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if let (true, Some(target)) = (kind.is_symlink(), entry.link_name()?) {
            content = target.to_string_lossy().into_owned().into_bytes();
        }
        if kind.is_file() || kind.is_symlink() {
            files.insert(path, content);
        }
    }
    Ok(files)
}
