//! Building for another architecture than the engine's own, whose programs the host emulates.

use crate::support::project::Project;
use crate::support::real;

#[test]
#[ignore = "needs a real Docker engine, and emulation of aarch64"]
fn a_chain_for_aarch64_runs_its_steps() {
    let (endpoint, busybox) = (real::endpoint(), real::named("REAL_AARCH64_BUSYBOX"));
    let namespace = "kolla-build-test/emulated";
    let image = |name: &str| format!("{namespace}/{name}:1");
    for builder in ["--buildkit", "--nobuildkit"] {
        let _images = real::Images(["base", "service"].map(image).to_vec());
        let project = Project::empty()
            .file(
                "images/base/Dockerfile.j2",
                "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n\
                 RUN /bin/busybox --install /bin && uname -m >/arch\n",
            )
            .file("images/base/nonce", &real::nonce())
            .image("service", Some("base"), "RUN echo {{ base_arch }} >>/arch\n")
            .with_docker_host(&endpoint);
        std::fs::copy(&busybox, project.path("images/base/busybox")).expect("busybox");
        let common =
            ["--base-arch=aarch64", "--nopull", "--nocache", "--namespace", namespace, "--tag=1", builder];
        project.run(common).exits(0);
        for name in ["base", "service"] {
            assert_eq!(real::inspect(&image(name))["Architecture"], "arm64", "{builder}");
        }
        assert_eq!(real::run_in(&image("service"), "cat /arch"), "aarch64\naarch64", "{builder}");
    }
}
