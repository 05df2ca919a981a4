//! The ready-made overrides in images that a real Docker daemon builds.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{fixture, ironic, run};
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images, docker, inspect, run_in};

const NAMESPACE: &str = "kolla-build-test";
const WHEEL: &str = "kolla_probe-1.0-py3-none-any.whl";

/// A mirror that sends everyone on to Debian, and a Python index with one package; it ends with the process.
struct Mirror {
    address: String,
    asked_for: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn start() -> Mirror {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked_for = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked_for);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || drop(serve(stream, &log)));
            }
        });
        Mirror { address, asked_for }
    }

    /// How many requests began with this path since the last time.
    fn take(&self, path: &str) -> usize {
        let mut asked_for = self.asked_for.lock().expect("no panic");
        std::mem::take(&mut *asked_for).iter().filter(|asked| asked.starts_with(path)).count()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let head: Vec<String> =
        BufReader::new(&stream).lines().map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let Some(path) = head.first().and_then(|request| request.split(' ').nth(1)) else { return Ok(()) };
    log.lock().expect("no panic").push(path.to_string());
    let (head, body) = match path {
        "/simple/kolla-probe/" => {
            let page = format!("<a href=\"/files/{WHEEL}\">{WHEEL}</a>");
            ("200 OK\r\nContent-Type: text/html".to_string(), page.into_bytes())
        }
        file if file.starts_with("/files/") => ("200 OK".to_string(), std::fs::read(fixture(WHEEL))?),
        debian if debian.starts_with("/debian/") => {
            (format!("302 Found\r\nLocation: http://deb.debian.org{debian}"), Vec::new())
        }
        _ => ("404 Not Found".to_string(), Vec::new()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn copy(project: &Project, from: &str, to: &str) {
    let to = project.path(to);
    std::fs::create_dir_all(to.parent().expect("a path below the project")).expect("a directory");
    std::fs::copy(fixture(from), to).expect("a copy");
}

fn build(project: &Project, tag: &str, overrides: &[&str], variables: &[(&str, &str)], more: &[&str]) -> Run {
    let arguments = ["--nopull", "--config-file", "c.conf", "--namespace", NAMESPACE, "--tag", tag];
    run(project, overrides, variables, &[&arguments, more].concat())
}

#[test]
#[ignore = "needs a real Docker engine"]
fn base_has_a_mirror_an_index_authorities_and_tools() {
    let endpoint = real::endpoint();
    let mirror = Mirror::start();
    let project = Project::shipped()
        .with_docker_host(&endpoint)
        .file("c.conf", "[base-additions-ca]\ntype = local\nlocation = given\n");
    copy(&project, "authority-one.crt", "given/one.crt");
    copy(&project, "authority-two.crt", "overlay/base/additions/two.pem");
    let image = format!("{NAMESPACE}/base:overrides");
    let _images = Images(vec![image.clone()]);

    let (debian, index) = (format!("{}/debian", mirror.address), format!("{}/simple/", mirror.address));
    let overrides = ["apt-mirror.j2", "corporate-ca.j2", "pip-index.j2", "puppet-tools.j2"];
    let variables = [("APT_MIRROR", debian.as_str()), ("PIP_INDEX_URL", index.as_str())];
    build(&project, "overrides", &overrides, &variables, &["--docker-dir", "overlay", "^base$"]).exits(0);
    assert!(mirror.take("/debian/pool/main/p/puppet-agent/") > 0, "the packages came from elsewhere");

    let env = inspect(&image)["Config"]["Env"].to_string();
    assert!(env.contains(&format!("PIP_INDEX_URL={index}")), "{env}");
    assert!(env.contains("REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt"), "{env}");
    assert_eq!(
        run_in(&image, "puppet --version && which crudini jq rsync | wc -l").lines().last(),
        Some("3")
    );
    // No certificate is left where it came from, and other additions would have stayed.
    assert_eq!(run_in(&image, "find /additions -type f"), "");

    let signed = ["one", "two"]
        .map(|name| std::fs::read_to_string(fixture(&format!("signed-by-{name}.pem"))).expect("a file"));
    for certificate in signed {
        let verify = format!(
            "echo '{certificate}' >/tmp/c; openssl verify -no-CAfile -CApath /etc/ssl/certs /tmp/c; \
             openssl verify -no-CApath -CAfile $REQUESTS_CA_BUNDLE /tmp/c"
        );
        assert_eq!(run_in(&image, &verify), "/tmp/c: OK\n/tmp/c: OK");
    }

    let later = "apt-get update && apt-get -y install --no-install-recommends python3-venv && python3 -m venv /v \
         && /v/bin/pip install kolla-probe && /v/bin/python -c 'import kolla_probe; print(kolla_probe.found)'";
    let told = docker(&[
        "run",
        "--rm",
        "--network",
        "host",
        "--user",
        "root",
        "--entrypoint",
        "sh",
        &image,
        "-c",
        later,
    ]);
    assert!(told.ends_with("True"), "{told}");
    assert!(mirror.take("/debian/") > 0, "the image does not keep the mirror");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn what_is_no_certificate_is_refused() {
    let endpoint = real::endpoint();
    for (content, told) in [
        (None, "no *.crt or *.pem is among the additions of the image base"),
        (Some("-----BEGIN PRIVATE KEY-----\n"), "/additions/given/x.crt holds a private key"),
        (Some("0\n"), "/additions/given/x.crt is no certificate in PEM"),
    ] {
        let project = Project::empty()
            .with_docker_host(&endpoint)
            .image("base", None, "{% block base_header %}{% endblock %}\n")
            .file("c.conf", "[base-additions-ca]\ntype = local\nlocation = given\n")
            .file("given/other", "");
        let project = match content {
            Some(content) => project.file("given/x.crt", content),
            None => project,
        };
        let run = build(&project, "refused", &["corporate-ca.j2"], &[], &[]).exits(1);
        assert!(run.stderr.contains(&format!("corporate-ca.j2: {told}")), "{run}");
    }
}

/// The beginning of an EFI program for a machine.
fn program(machine: u16) -> Vec<u8> {
    let mut program = vec![0; 128];
    program[..2].copy_from_slice(b"MZ");
    program[60..64].copy_from_slice(&64u32.to_le_bytes());
    program[64..68].copy_from_slice(b"PE\0\0");
    program[68..70].copy_from_slice(&machine.to_le_bytes());
    program
}

#[test]
#[ignore = "needs a real Docker engine"]
fn an_ipxe_is_put_where_the_image_serves_it_from_when_it_is_for_aarch64() {
    let endpoint = real::endpoint();
    let image = format!("{NAMESPACE}/ironic-pxe:overrides-ironic");
    let _images = Images(vec![image.clone(), format!("{NAMESPACE}/base:overrides-ironic")]);
    let project = ironic()
        .with_docker_host(&endpoint)
        .file("c.conf", "[ironic-pxe-additions-ipxe]\ntype = local\nlocation = given\n")
        .file("given/sub/ipxe-snponly-aarch64.efi", "");
    let file = project.path("given/sub/ipxe-snponly-aarch64.efi");
    let build = || build(&project, "overrides-ironic", &["ipxe-aarch64.j2"], &[], &["^ironic-pxe$"]);

    std::fs::write(&file, program(0x8664)).expect("a file");
    let refused = build().exits(1);
    let told = "ipxe-snponly-aarch64.efi is a program for x86_64, not for aarch64";
    assert!(refused.stderr.contains(told), "{refused}");

    std::fs::write(&file, program(0xaa64)).expect("a file");
    build().exits(0);
    assert_eq!(
        run_in(
            &image,
            "cd /usr/lib/ipxe && stat -c '%a %s' ipxe-snponly-aarch64.efi ipxe-arm64.efi; find /additions -type f"
        ),
        "644 128\n644 128"
    );
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_conductor_whose_hardware_cannot_be_loaded_is_not_built() {
    let endpoint = real::endpoint();
    let entry_points = |module: &str| format!("[ironic.hardware.types]\nmine = {module}:loads\n");
    let _images = Images(vec![
        format!("{NAMESPACE}/ironic-conductor:overrides-hardware"),
        format!("{NAMESPACE}/base:overrides-hardware"),
    ]);
    for (module, status) in [("json", 0), ("no_such_module", 1)] {
        let project = ironic()
            .with_docker_host(&endpoint)
            .image(
                "base",
                None,
                "RUN apt-get update && apt-get -y install --no-install-recommends python3\n\
                 COPY entry_points.txt METADATA /usr/lib/python3/dist-packages/mine-1.dist-info/\n",
            )
            .file("images/base/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
            .file("images/base/entry_points.txt", &entry_points(module))
            .file("c.conf", "");
        let run =
            build(&project, "overrides-hardware", &["ironic-hardware.j2"], &[], &["^ironic-conductor$"]);
        let run = run.exits(status);
        // A step that the builder remembers tells nothing.
        for told in
            ["ironic-hardware.j2: loading ironic.hardware.types mine", "No module named 'no_such_module'"]
        {
            assert!(status == 0 || run.stderr.contains(told), "{run}");
        }
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn those_for_some_images_do_what_they_say_in_the_shipped_tree() {
    let images =
        ["ironic-conductor", "ironic-pxe", "ironic-base", "mariadb-server", "openstack-base", "base"];
    let tag = "overrides-tree";
    let name = |image: &str| format!("{NAMESPACE}/{image}:{tag}");
    let _images = Images(images.map(name).to_vec());
    let project = Project::shipped()
        .with_docker_host(&real::endpoint())
        .file(
            "c.conf",
            "[ironic-pxe-additions-ipxe]\ntype = local\nlocation = given\n\
             [ironic-conductor-plugin-mine]\ntype = local\nlocation = mine\n",
        )
        .file("given/ipxe-snponly-aarch64.efi", "")
        .file("mine/mine.py", "class Mine: pass\n")
        .file(
            "mine/pyproject.toml",
            "[build-system]\nrequires = ['setuptools']\n[project]\nname = 'mine'\nversion = '1'\n\
             [project.entry-points.'ironic.hardware.types']\nmine = 'mine:Mine'\n",
        );
    std::fs::write(project.path("given/ipxe-snponly-aarch64.efi"), program(0xaa64)).expect("a file");
    let overrides = ["build-tools.j2", "ipxe-aarch64.j2", "ironic-hardware.j2", "puppet-tools.j2"];
    build(&project, tag, &overrides, &[], &["^ironic-conductor$", "^ironic-pxe$", "^mariadb-server$"])
        .exits(0);

    let compiled = "echo '#include <Python.h>\nint main() { return 0; }' >/tmp/m.c \
                    && gcc $(python3-config --includes) -o /tmp/m /tmp/m.c && /tmp/m && echo compiled";
    assert_eq!(run_in(&name("openstack-base"), compiled), "compiled");
    let loaded = "python3 -W ignore -c 'import importlib.metadata as m; \
                  print(*sorted(it.name for it in m.entry_points(group=\"ironic.hardware.types\")))'";
    let types = run_in(&name("ironic-conductor"), loaded);
    for expected in ["idrac", "mine", "redfish"] {
        assert!(types.split_whitespace().any(|it| it == expected), "{types}");
    }
    let served = "mkdir -p /var/lib/kolla/config_files && cd /var/lib/kolla/config_files \
                  && echo '{\"command\": \"true\"}' >config.json \
                  && export KOLLA_CONFIG_STRATEGY=COPY_ONCE \
                  && KOLLA_BOOTSTRAP= kolla_start >/dev/null 2>&1; kolla_start >/dev/null 2>&1; \
                  in.tftpd --listen --user nobody --address 127.0.0.1:6969 --map-file /map-file /tftpboot; \
                  for name in ipxe-snponly-aarch64 ipxe-arm64; do \
                  curl -q -s --max-time 20 tftp://127.0.0.1:6969/$name.efi | cmp - /usr/lib/ipxe/ipxe-snponly-aarch64.efi && \
                  cmp /httpboot/$name.efi /usr/lib/ipxe/ipxe-snponly-aarch64.efi && echo $name served; done; \
                  ls /tftpboot; mdir -b -i /httpboot/esp.img ::EFI/BOOT";
    // With no network at all in.tftpd finds no address to listen on.
    let pxe = name("ironic-pxe");
    let programs = docker(&["run", "--rm", "--user", "0", "--entrypoint", "sh", &pxe, "-c", served]);
    for expected in [
        "ipxe-snponly-aarch64 served",
        "ipxe-arm64 served",
        "bootaa64.efi",
        "bootx64.efi",
        "grubaa64.efi",
        "grubx64.efi",
        "snponly.efi",
        "::/EFI/BOOT/bootaa64.efi",
        "::/EFI/BOOT/bootx64.efi",
    ] {
        assert!(programs.lines().any(|it| it == expected), "{expected}: {programs}");
    }
    let project = project.file("mine/mine.py", "class Other: pass\n");
    let refused = build(&project, tag, &[], &[], &["^ironic-conductor$"]).exits(1);
    let told = "ironic-conductor: the plugin mine (mine): mine = mine:Mine of ironic.hardware.types can't be loaded: \
                AttributeError:";
    assert!(refused.stderr.contains(told), "{refused}");
    let pacemaker = "which pcs pacemaker-remoted puppet | wc -l";
    assert_eq!(run_in(&name("mariadb-server"), pacemaker), "3");
}
