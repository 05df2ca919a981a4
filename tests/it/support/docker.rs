//! A Docker daemon that builds nothing: it reads what it is sent, remembers it, answers as a real one would, and
//! fails where a test tells it to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kolla_build::model::platform::Arch;
use serde_json::{Value, json};

use super::containers::Machine;
use super::http::Socket;
use super::registry::FakeRegistry;
use super::requests::id_of;

/// What images without a parent are built on.
pub const BASE_IMAGE: &str = "debian:trixie";

/// How long tests wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What goes wrong with a build or a push.
#[derive(Debug, Clone)]
pub enum Fault {
    /// A step fails with this message, after this line in its log.
    Fails { message: String, log: String },
    /// The request is refused with a status and a message, before anything is done.
    Refused(u16, String),
    /// The connection is closed while the context is being sent.
    CutInUpload,
    /// The connection is closed before the answer begins.
    CutBefore,
    /// The connection is closed after so many messages of the answer.
    CutAfterMessages(usize),
    /// All messages come, and the connection is closed without the answer's end.
    CutAtEnd,
    /// The answer ends as it should, after so many messages, without the image.
    EndsAfterMessages(usize),
    /// The answer is no HTTP.
    NoHttp,
    /// After the first message comes no JSON.
    NoJson,
    /// After the first message comes a chunk of an impossible size.
    BadChunk,
    /// After the first message comes half of a chunk.
    HalfChunk,
    /// After the first message comes nothing more.
    Hangs,
    /// The image is made, and the answer does not end.
    NeverEnds,
    /// The image comes out for another architecture (`arm64`).
    BuiltFor(String),
}

/// How the daemon never ends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// It does not begin it.
    BeforeHead,
    /// It begins it.
    AfterHead,
    /// It sends without end what is no end of anything.
    Endless,
}

/// A build request as it was received.
#[derive(Debug, Clone)]
pub struct Build {
    /// The image's name: the last component of its tag's path.
    pub image: String,
    pub query: BTreeMap<String, String>,
    /// The context's files, with their paths as in the archive.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The context as it came.
    pub archive: Vec<u8>,
}

impl Build {
    /// The Dockerfile's text.
    pub fn dockerfile(&self) -> String {
        String::from_utf8_lossy(&self.files["Dockerfile"]).into_owned()
    }
}

/// An image that the daemon holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub architecture: String,
    pub labels: BTreeMap<String, String>,
    /// The reference in its Dockerfile's FROM.
    pub parent: Option<String>,
    /// `repository@digest` of an image that a registry gave.
    pub repo_digests: Vec<String>,
    /// The configuration that registries get; its digest is the id.
    pub config: String,
    /// What has made it, in BuildKit's words.
    pub history: Vec<String>,
}

/// A record of BuildKit's cache.
#[derive(Debug, Clone)]
pub struct CacheRecord {
    pub id: String,
    pub description: String,
    /// When a build had it last; none when it was not said.
    pub last_used: Option<String>,
    /// The id of the image that has it as a layer.
    pub layer_of: Option<String>,
}

/// What the daemon has been told and asked.
#[derive(Debug, Default)]
pub struct State {
    pub images: BTreeMap<String, Image>,
    /// By name, for other platforms than the daemon's own; only one that keeps images as containerd does has them, and
    /// tells each when it is asked for it.
    pub variants: Vec<(String, Image)>,
    /// Those that have lost their last name.
    pub untagged: Vec<Image>,
    /// Names of containers, each with the id of its image.
    pub containers: BTreeMap<String, String>,
    pub cache: Vec<CacheRecord>,
    /// What the registry gives under `repository@digest`.
    pub registry: BTreeMap<String, Image>,
    pub builds: Vec<Build>,
    pub pushes: Vec<String>,
    pub requests: Vec<String>,
    pub cancelled: Vec<String>,
    /// With how often it still strikes; none for always.
    pub build_faults: HashMap<String, (Fault, Option<usize>)>,
    pub push_faults: HashMap<String, Fault>,
    /// By the beginning of requests (`GET /info`), without the version.
    pub stalls: Vec<(String, Stall)>,
    /// By the beginning of requests as well: what is answered once, in place of the answer.
    pub refusals: Vec<(String, u16, String)>,
    /// Stands in everything that it says of itself and others.
    pub scrawl: String,
    pub delay: Duration,
    /// Once a build was asked for, the daemon no longer says what it is.
    pub falls_silent: bool,
    /// Opens sessions, over which it asks for nothing.
    pub opens_sessions: bool,
    /// Where images with its address in their names are pushed to and pulled from.
    pub remote: Option<FakeRegistry>,
    /// So many builds must be running at once before any of them goes on.
    pub company: usize,
    pub pulls: Vec<String>,
    /// Tags of the builds whose end was not told yet.
    pub running: BTreeSet<String>,
    pub most_running: usize,
    pub dies_after: Option<usize>,
    /// Where it says that it keeps images.
    pub data_root: String,
    pub dead: bool,
    /// Containers that run, and what they have.
    pub machine: Machine,
}

/// The daemon; it dies with this value.
pub struct FakeDocker {
    endpoint: String,
    shared: Arc<Shared>,
    _directory: tempfile::TempDir,
}

/// The daemon as its exchanges know it.
pub struct Shared {
    state: Mutex<State>,
    /// The open ones, by the order of their coming.
    connections: Mutex<BTreeMap<usize, Box<dyn Socket>>>,
    address: Address,
    listening: Mutex<Option<JoinHandle<()>>>,
}

enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl FakeDocker {
    /// Starts a daemon on a Unix socket.
    pub fn start() -> FakeDocker {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let endpoint = format!("unix://{}", path.display());
        let accept = move || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Socket>);
        FakeDocker::serve(endpoint, Address::Unix(path), directory, accept)
    }

    /// Starts one that holds the base image that projects build on, for this machine.
    pub fn with_base_image() -> FakeDocker {
        FakeDocker::start().hold(BASE_IMAGE, Arch::host().debian())
    }

    /// Starts a daemon on a loopback port.
    pub fn start_on_tcp() -> FakeDocker {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let accept = move || listener.accept().map(|(stream, _)| Box::new(stream) as Box<dyn Socket>);
        FakeDocker::serve(format!("tcp://{address}"), Address::Tcp(address), directory, accept)
    }

    fn serve(
        endpoint: String,
        address: Address,
        directory: tempfile::TempDir,
        accept: impl Fn() -> io::Result<Box<dyn Socket>> + Send + 'static,
    ) -> FakeDocker {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            connections: Mutex::default(),
            address,
            listening: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let listening = std::thread::spawn(move || serving.listen(accept));
        *shared.listening.lock().expect("nothing has panicked") = Some(listening);
        FakeDocker { endpoint, shared, _directory: directory }
    }

    /// For `DOCKER_HOST`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Every build of the image goes wrong.
    pub fn fail(self, image: &str, fault: Fault) -> FakeDocker {
        self.state().build_faults.insert(image.to_string(), (fault, None));
        self
    }

    /// The image's next builds go wrong, so many of them.
    pub fn fail_times(self, image: &str, times: usize, fault: Fault) -> FakeDocker {
        self.state().build_faults.insert(image.to_string(), (fault, Some(times)));
        self
    }

    /// Every push of the image goes wrong.
    pub fn fail_push(self, image: &str, fault: Fault) -> FakeDocker {
        self.state().push_faults.insert(image.to_string(), fault);
        self
    }

    /// Requests that begin so (`GET /info`) get an answer that does not end.
    pub fn stall(self, request: &str, stall: Stall) -> FakeDocker {
        self.state().stalls.push((request.to_string(), stall));
        self
    }

    /// The next request that begins so is refused with a status and a message, and those after it are not.
    pub fn refuse_once(self, request: &str, status: u16, message: &str) -> FakeDocker {
        self.state().refusals.push((request.to_string(), status, message.to_string()));
        self
    }

    /// Puts this into everything that it says.
    pub fn scrawl(self, text: &str) -> FakeDocker {
        self.state().scrawl = text.to_string();
        self
    }

    /// Images are pushed to this registry and pulled from there.
    pub fn with_registry(self, registry: &FakeRegistry) -> FakeDocker {
        self.state().remote = Some(registry.clone());
        self
    }

    /// Every build takes so long.
    pub fn delay(self, delay: Duration) -> FakeDocker {
        self.state().delay = delay;
        self
    }

    /// Nobody learns what the daemon is once a build was asked for.
    pub fn fall_silent(self) -> FakeDocker {
        self.state().falls_silent = true;
        self
    }

    /// The daemon opens sessions, over which it asks for nothing.
    pub fn open_sessions(self) -> FakeDocker {
        self.state().opens_sessions = true;
        self
    }

    /// No build goes on before so many have been running at once.
    pub fn gather(self, builds: usize) -> FakeDocker {
        self.state().company = builds;
        self
    }

    /// The daemon takes so many builds and dies of the next: no more answers, no more connections.
    pub fn die_after(self, builds: usize) -> FakeDocker {
        self.state().dies_after = Some(builds);
        self
    }

    /// Says that it keeps images there.
    pub fn keep_in(self, directory: &str) -> FakeDocker {
        self.state().data_root = directory.to_string();
        self
    }

    /// An image that was there before, and that no registry gave.
    pub fn hold(self, reference: &str, architecture: &str) -> FakeDocker {
        let image = image(reference.as_bytes(), architecture);
        self.state().images.insert(reference.to_string(), image);
        self
    }

    /// Holds another platform's image under a name that may stand for one of its own platform too. From now on it keeps
    /// images as containerd does, as the newest do.
    pub fn hold_beside(self, reference: &str, architecture: &str) -> FakeDocker {
        let image = image(reference.as_bytes(), architecture);
        self.state().variants.push((reference.to_string(), image));
        self
    }

    /// The registry has this content under this name now, and so has the daemon; gives the digest. What the registry
    /// had before it still gives by digest.
    pub fn publish(&self, reference: &str, content: &str) -> String {
        let repository = reference.split(':').next().expect("a name");
        let digest = id_of(format!("manifest of {content}").as_bytes());
        let exact = format!("{repository}@{digest}");
        let mut image = image(content.as_bytes(), Arch::host().debian());
        image.repo_digests.push(exact.clone());
        let mut state = self.state();
        state.registry.insert(exact, image.clone());
        state.images.insert(reference.to_string(), image);
        digest
    }

    /// The builds that were asked for, in order.
    pub fn builds(&self) -> Vec<Build> {
        self.state().builds.clone()
    }

    /// The names of the images that were asked for, in order.
    pub fn order(&self) -> Vec<String> {
        self.state().builds.iter().map(|build| build.image.clone()).collect()
    }

    /// The images whose builds the client has left before their end.
    pub fn cancelled(&self) -> Vec<String> {
        self.state().cancelled.clone()
    }

    /// The most builds that ever ran at once.
    pub fn most_running(&self) -> usize {
        self.state().most_running
    }

    /// Forgets the builds so far, and no build goes wrong any more.
    pub fn forget(&self) {
        let mut state = self.state();
        state.builds.clear();
        state.build_faults.clear();
    }

    /// Another image under a name that is there already, with the same labels.
    pub fn replace(&self, reference: &str) {
        let mut state = self.state();
        let image = state.images.get_mut(reference).expect("an image of this name");
        let mut config: Value = serde_json::from_str(&image.config).expect("a configuration");
        config["content"] = json!(id_of(image.id.as_bytes()));
        image.config = config.to_string();
        image.id = id_of(image.config.as_bytes());
    }

    /// The image under this name is for this architecture from now on.
    pub fn make_for(&self, reference: &str, architecture: &str) {
        let mut state = self.state();
        let image = state.images.get_mut(reference).expect("an image of this name");
        image.architecture = architecture.to_string();
    }

    /// Takes a name away.
    pub fn remove(&self, reference: &str) {
        self.state().images.remove(reference).expect("an image of this name");
    }

    /// The references that were pushed, in order.
    pub fn pushes(&self) -> Vec<String> {
        self.state().pushes.clone()
    }

    /// The references that were pulled, in order.
    pub fn pulls(&self) -> Vec<String> {
        self.state().pulls.clone()
    }

    /// Every request, as `METHOD /v1.41/path`.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// An image by its full name.
    pub fn image(&self, reference: &str) -> Option<Image> {
        self.state().images.get(reference).cloned()
    }

    /// Waits until something is so, for a test that would otherwise go on too early.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(&self.state()) {
            assert!(Instant::now() < end, "waited in vain for {what}: {:?}", self.state());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Closes every connection and takes no more.
    pub fn die(&self) {
        self.shared.die();
    }

    /// The daemon's own mind, to be changed by tests.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

fn image(content: &[u8], architecture: &str) -> Image {
    Image::new(&id_of(content), architecture.to_string(), BTreeMap::new(), None)
}

impl Image {
    /// An image of this content, which stands for all that the other values do not tell.
    pub fn new(
        content: &str,
        architecture: String,
        labels: BTreeMap<String, String>,
        parent: Option<String>,
    ) -> Image {
        let config = json!({"architecture": architecture, "os": "linux", "config": {"Labels": labels}, "content": content});
        let config = config.to_string();
        Image {
            id: id_of(config.as_bytes()),
            architecture,
            labels,
            parent,
            repo_digests: Vec::new(),
            config,
            history: Vec::new(),
        }
    }

    /// The image that a registry holds under this configuration.
    pub fn of_config(config: Vec<u8>) -> Image {
        let config = String::from_utf8(config).expect("text");
        let known: Value = serde_json::from_str(&config).expect("a configuration");
        let labels = serde_json::from_value(known["config"]["Labels"].clone()).expect("labels");
        let architecture = known["architecture"].as_str().expect("text").to_string();
        Image {
            id: id_of(config.as_bytes()),
            architecture,
            labels,
            parent: None,
            repo_digests: Vec::new(),
            config,
            history: Vec::new(),
        }
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.die();
    }
}

impl Shared {
    /// What the daemon has been told and asked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no exchange panics while it holds the state")
    }

    /// Closes every connection and takes no more; comes back when nothing listens any longer.
    pub fn die(&self) {
        if std::mem::replace(&mut self.state().dead, true) {
            return;
        }
        // Wakes the listener, which then goes.
        let _ = match &self.address {
            Address::Unix(path) => UnixStream::connect(path).map(drop),
            Address::Tcp(address) => TcpStream::connect(address).map(drop),
        };
        let listening = self.listening.lock().expect("nothing panics while it holds this").take();
        if let Some(listening) = listening {
            listening.join().expect("the listener does not panic");
        }
        for connection in self.connections().values() {
            connection.close();
        }
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<usize, Box<dyn Socket>>> {
        self.connections.lock().expect("nothing panics while it holds the connections")
    }

    fn listen(self: Arc<Self>, accept: impl Fn() -> io::Result<Box<dyn Socket>>) {
        for number in 0.. {
            let Ok(socket) = accept() else { break };
            if self.state().dead {
                break;
            }
            self.connections().insert(number, socket.duplicate().expect("a socket"));
            let shared = Arc::clone(&self);
            std::thread::spawn(move || {
                // A client that goes away ends its exchange; tests look at what was remembered.
                let _ = shared.exchange(socket);
                if let Some(connection) = shared.connections().remove(&number) {
                    connection.close();
                }
            });
        }
    }
}
