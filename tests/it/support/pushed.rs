//! A tree that was built and pushed to a registry.

use super::docker::FakeDocker;
use super::project::{Project, Run};
use super::registry::FakeRegistry;

/// `base -> openstack-base -> (keystone, nova)`, all of it pushed.
pub struct Pushed {
    pub registry: FakeRegistry,
    pub daemon: FakeDocker,
    pub project: Project,
}

/// The tag that it was pushed with.
pub const TAG: &str = "1";

impl Pushed {
    pub fn new() -> Pushed {
        let registry = FakeRegistry::start();
        let daemon = FakeDocker::with_base_image().with_registry(&registry);
        let project = Project::empty()
            .image("base", None, "RUN true\n")
            .image("openstack-base", Some("base"), "RUN true\n")
            .image("keystone", Some("openstack-base"), "RUN true\n")
            .image("nova", Some("openstack-base"), "RUN true\n")
            .with_engine(&daemon);
        let pushed = Pushed { registry, daemon, project };
        pushed.run(&["--push"]).exits(0);
        assert_eq!(pushed.daemon.pushes().len(), 4);
        pushed.registry.take_requests();
        pushed
    }

    /// With an engine that has nothing but the base image.
    pub fn with_fresh_engine(self) -> Pushed {
        let daemon = FakeDocker::with_base_image().with_registry(&self.registry);
        Pushed { project: self.project.with_engine(&daemon), daemon, ..self }
    }

    /// With another Dockerfile of an image.
    pub fn change(self, image: &str, parent: &str) -> Pushed {
        Pushed { project: self.project.image(image, Some(parent), "RUN something else\n"), ..self }
    }

    /// An image in the registry was built anew from the same inputs.
    pub fn build_anew(&self, image: &str) {
        let repository = format!("kolla/{image}");
        let config = self.registry.config(&repository, TAG).expect("pushed");
        let mut config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
        config["content"] = "the same inputs, with newer packages in it".into();
        self.registry.hold(&repository, TAG, config.to_string().as_bytes());
    }

    /// Runs the binary on it.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let common =
            ["--registry", self.registry.address(), "--tag", TAG, "-r", "1", "--report", "report.json"];
        self.project.run(common.iter().chain(arguments))
    }
}
