//! CONTRIBUTING.md's recipe for a new service. That its command runs, `docs` shows.

use std::path::Path;

use crate::docs::blocks::{Block, Run, blocks};
use crate::support::project::Project;
use crate::support::real::{self, Images, run_in};

/// Lines that a new service may take at most, all files together.
const LINES: usize = 40;
const TAG: &str = "new-service";
const IMAGES: [&str; 3] = ["parcel-base", "parcel-api", "parcel-worker"];

fn recipe() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md");
    let text = std::fs::read_to_string(path).expect("a file");
    let (_, from) = text.split_once("\n## A new service\n").expect("the section");
    blocks(from.split("\n## ").next().expect("its text"))
}

/// A project with the recipe's files.
fn followed() -> Project {
    recipe().iter().fold(Project::shipped(), |project, block| match &block.run {
        Run::File(name) => project.file(name, &block.text),
        _ => project,
    })
}

/// The arguments that the recipe gives the program, but for the base, which every project has.
fn arguments() -> Vec<String> {
    let blocks = recipe();
    let [command] = blocks.iter().filter(|block| block.run == Run::Whole).collect::<Vec<_>>()[..] else {
        panic!("not one command: {blocks:?}")
    };
    let rest = command.text.trim().strip_prefix("kolla-build --base debian ").expect("the command");
    rest.split(' ').map(|word| word.trim_matches('\'').to_string()).collect()
}

#[test]
fn it_takes_few_lines() {
    let lines: Vec<usize> = recipe()
        .iter()
        .filter(|block| matches!(block.run, Run::File(_)))
        .map(|block| block.text.lines().filter(|line| !line.is_empty()).count())
        .collect();
    assert!(lines.len() > 4 && lines.iter().sum::<usize>() < LINES, "{lines:?}");
}

#[test]
fn its_images_are_those_of_a_service_and_overrides_reach_them() {
    let project = followed().file("parcel/pyproject.toml", "[project]\n").file(
        "mine.j2",
        "{% extends parent_template %}\n{% set parcel_base_pip_packages_append = ['more'] %}\n\
         {% block parcel_worker_footer %}\nRUN true\n{% endblock %}\n",
    );
    let only = ["--template-only", "--work-dir", "w", "--strict-overrides", "--template-override", "mine.j2"];
    let arguments = [only.map(String::from).to_vec(), arguments()].concat();
    project.run(arguments).exits(0);
    let [base, api, worker] =
        IMAGES.map(|image| project.read(&format!("w/docker/parcel/{image}/Dockerfile")));
    for part in
        ["FROM kolla/openstack-base:", "install -d -o 42600 -g 42600 /var/lib/parcel", " /parcel more\n"]
    {
        assert!(base.contains(part), "{part}: {base}");
    }
    assert!([&api, &worker].iter().all(|text| text.starts_with("FROM kolla/parcel-base:")), "{api}{worker}");
    assert!(worker.trim_end().ends_with("USER parcel") && worker.contains("\nRUN true\n"), "{worker}");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn its_images_are_built_and_start() {
    let project = followed()
        .with_docker_host(&real::endpoint())
        .file(
            "parcel/pyproject.toml",
            "[build-system]\nrequires = ['setuptools']\n[project]\nname = 'parcel'\nversion = '1'\n\
             [project.scripts]\nparcel-worker = 'parcel:worker'\nparcel-manage = 'parcel:manage'\n",
        )
        .file("parcel/parcel.py", "def worker(): print('works')\ndef manage(): print('is made')\n");
    // Its user is made in base, so that base and openstack-base are the recipe's own too.
    let images = [&IMAGES[..], &["openstack-base", "base"]].concat();
    let _images = Images(images.iter().map(|image| format!("kolla/{image}:{TAG}")).collect());
    let here = ["--tag", TAG, "--nopull", "--config-file", "/dev/null"];
    project.run([here.map(String::from).to_vec(), arguments()].concat()).exits(0);
    let start = |step: &str| {
        let setting = "mkdir -p /var/lib/kolla/config_files && cd /var/lib/kolla/config_files \
                       && echo '{\"command\": \"parcel-worker\"}' >config.json";
        run_in(
            &format!("kolla/parcel-worker:{TAG}"),
            &format!("{setting} && {step} KOLLA_CONFIG_STRATEGY=COPY_ONCE kolla_start"),
        )
    };
    assert_eq!(start("KOLLA_BOOTSTRAP=").lines().last(), Some("is made"));
    assert_eq!(start("").lines().last(), Some("works"));
    assert_eq!(
        run_in(&format!("kolla/parcel-api:{TAG}"), "stat -c %U /var/lib/parcel; command -v parcel-worker")
            .lines()
            .count(),
        2
    );
}
