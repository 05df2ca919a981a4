//! Sources from the Python package index, fetched by the host's own pip with the host's own configuration.
//!
//! A pinned hash names one file of the release, wheel or source distribution, and pip picks the one it fits. Without one it
//! takes the source distribution, which depends on neither this machine's Python nor its architecture, from an index that
//! pip trusts: over TLS, or named as trusted by its user. No redirect leads from https to http.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::command::run;
use super::error::SourceProblem;
use crate::context::archive::ArchiveWriter;
use crate::util::input;
use crate::util::input::with_path;
use crate::util::write::write_whole;

const MISSING: &str = "install python3 with pip, which sources of type = pypi need";

/// Where pip puts what it downloads, below the directory that it is given.
const FILES: &str = "files";

/// Program that runs pip's own parts, see its own words.
const WITHIN_PIP: &str = include_str!("within_pip.py");

/// Downloads the file of this hash, or the source distribution, into the new directory `dir` and gives its path.
pub(super) async fn download(
    package: &str,
    version: &str,
    sha256: Option<&str>,
    dir: &Path,
    patience: Duration,
) -> Result<PathBuf, SourceProblem> {
    run_pip(&mut pip(package, version, sha256, dir, patience)?, dir, patience)
        .await
        .map_err(|problem| explain(problem, package, version, sha256.is_some()))
}

/// Makes `dir` ready and gives the command that downloads into it.
fn pip(
    package: &str,
    version: &str,
    sha256: Option<&str>,
    dir: &Path,
    patience: Duration,
) -> Result<Command, SourceProblem> {
    let is_word =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+!".contains(&byte));
    if !is_word(package) || !is_word(version) {
        return Err(SourceProblem::Configuration(format!(
            "'{package}=={version}' is not a package and an exact version"
        )));
    }
    let (hash, which) = match sha256 {
        Some(sha256) => (format!(" --hash=sha256:{sha256}"), "--require-hashes"),
        None => (String::new(), "--no-binary=:all:"),
    };
    // The programs that pip starts run elsewhere, and must find what stands in for build backends all the same.
    let dir = &std::path::absolute(dir).map_err(SourceProblem::local(dir))?;
    if dir.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(SourceProblem::Configuration(format!(
            "{}: Python can't be told of a directory with a colon in its name: give another --source-cache",
            dir.display()
        )));
    }
    let (path, requirements) = (dir.join("path"), dir.join("requirements"));
    fs::create_dir_all(&path)
        .and_then(|()| write_whole(&path.join("sitecustomize.py"), WITHIN_PIP))
        .and_then(|()| write_whole(&requirements, format!("{package}=={version}{hash}\n")))
        .map_err(SourceProblem::local(dir))?;
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--progress-bar=off"])
        .args(["--no-deps", which, "--ignore-requires-python"])
        // The backend is replaced, so there is nothing that it could need.
        .args(["--use-pep517", "--no-build-isolation"])
        .arg(format!("--timeout={}", patience.as_secs().max(1)))
        // Tries are counted in one place, ours.
        .arg("--retries=0")
        .arg("--requirement")
        .arg(&requirements)
        .arg("--dest")
        .arg(dir.join(FILES))
        .env("PYTHONPATH", &path)
        .env("KOLLA_BUILD_PYPI_NAME", package)
        .env("KOLLA_BUILD_PYPI_VERSION", version);
    Ok(command)
}

async fn run_pip(command: &mut Command, dir: &Path, patience: Duration) -> Result<PathBuf, SourceProblem> {
    // pip counts time-outs itself, and is silent while it loads and while it looks into what it has loaded.
    run(command, patience * 6, MISSING).await?;
    let files = dir.join(FILES);
    let mut found = fs::read_dir(&files).map_err(SourceProblem::local(&files))?.filter_map(Result::ok);
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file.path()),
        _ => Err(SourceProblem::Command("pip did not download exactly one file".to_string())),
    }
}

/// Puts what to do beside pip's words.
fn explain(problem: SourceProblem, package: &str, version: &str, is_pinned: bool) -> SourceProblem {
    let SourceProblem::Command(message) = problem else { return problem };
    let advice = if message.contains("No module named pip") {
        MISSING.to_string()
    } else if message.contains("DO NOT MATCH THE HASHES") {
        "the pinned sha256 is of no file that the index has for this version: correct the section's sha256, or leave \
         it empty for the source distribution, whatever its content"
            .to_string()
    } else if !is_pinned {
        format!(
            "check that the index of the host's pip configuration has a source distribution of {package} {version}; a \
             wheel is taken when the section names its sha256"
        )
    } else {
        format!("check that the index of the host's pip configuration has {package} {version}")
    };
    SourceProblem::Command(format!("{message}\n{advice}"))
}

/// True for a wheel, which unlike a source distribution is no tar archive.
pub(super) fn is_wheel(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "whl")
}

/// Packs a wheel into an archive of the shape that source distributions have.
pub(super) fn pack_wheel(wheel: &Path, top: &str, out: &Path) -> io::Result<()> {
    let mut archive = ArchiveWriter::new(BufWriter::new(File::create_new(out)?));
    archive.append_directory(Path::new(top), 0o755)?;
    let mut content = input::open(wheel).map_err(|error| with_path(wheel, error))?;
    let size = content.metadata()?.len();
    let name = Path::new(top).join(wheel.file_name().unwrap_or_default());
    archive.append_file(&name, 0o644, size, &mut content)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::util::hex::hex;

    /// A package index with these files of one release; gives its address.
    fn index(package: &str, files: &[(String, Vec<u8>)]) -> String {
        let links = files.iter().map(|(name, bytes)| {
            format!("<a href=\"/files/{name}#sha256={}\">{name}</a>", hex(&Sha256::digest(bytes)))
        });
        let page = format!("<!DOCTYPE html><html><body>{}</body></html>", links.collect::<String>());
        let mut pages = HashMap::from([(format!("/simple/{package}/"), ("text/html", page.into_bytes()))]);
        for (name, bytes) in files {
            pages.insert(format!("/files/{name}"), ("application/octet-stream", bytes.clone()));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/simple/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let path = request.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
                let (status, (kind, body)) = match pages.get(path) {
                    Some((kind, body)) => ("200 OK", (*kind, body.as_slice())),
                    None => ("404 Not Found", ("text/plain", &b""[..])),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                // A client that has gone away is its own affair.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            }
        });
        address
    }

    /// A source distribution whose every file of code leaves a trace when it runs.
    fn sdist(trace: &Path) -> Vec<u8> {
        let code = format!("open({trace:?}, 'w').write('ran')\nraise SystemExit('must not run')\n");
        let project = "[build-system]\nrequires = ['no-such-requirement']\nbuild-backend = 'pbr.build'\n";
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = ArchiveWriter::new(gzip);
        for (name, content) in
            [("setup.py", code.as_str()), ("pbr/build.py", &code), ("pyproject.toml", project)]
        {
            let name = Path::new("the-service-1.0").join(name);
            archive.append_file(&name, 0o644, content.len() as u64, &mut content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn wheel(dir: &Path) -> Vec<u8> {
        let file = dir.join("wheel.zip");
        let script = "import sys, zipfile\n\
            with zipfile.ZipFile(sys.argv[1], 'w') as z:\n\
            \x20   i = 'the_service-1.0.dist-info/'\n\
            \x20   z.writestr(i + 'METADATA', 'Metadata-Version: 2.1\\nName: the-service\\nVersion: 1.0\\n')\n\
            \x20   z.writestr(i + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
            \x20   z.writestr(i + 'RECORD', '')\n";
        let made = std::process::Command::new("python3").args(["-c", script]).arg(&file).status().unwrap();
        assert!(made.success());
        fs::read(file).unwrap()
    }

    #[test]
    fn the_pinned_file_is_downloaded_and_nothing_of_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let trace = dir.path().join("trace");
        let (sdist, wheel) = (sdist(&trace), wheel(dir.path()));
        let files = [
            ("the-service-1.0.tar.gz".to_string(), sdist),
            ("the_service-1.0-py3-none-any.whl".to_string(), wheel),
        ];
        let address = index("the-service", &files);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let patience = Duration::from_secs(20);
        let fetch = |sha256: Option<&str>, name: &str| {
            let into = dir.path().join(name);
            let mut command = pip("the-service", "1.0", sha256, &into, patience).unwrap();
            command
                .env("PIP_INDEX_URL", &address)
                .env("PIP_NO_CACHE_DIR", "1")
                .env("PIP_CONFIG_FILE", "/dev/null");
            command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
            let result = runtime.block_on(run_pip(&mut command, &into, patience));
            result.map_err(|problem| explain(problem, "the-service", "1.0", sha256.is_some()))
        };
        for (name, bytes) in &files {
            let file = fetch(Some(&hex(&Sha256::digest(bytes))), name).unwrap();
            assert_eq!(file.file_name().unwrap().to_str(), Some(name.as_str()));
            assert_eq!(fs::read(&file).unwrap(), *bytes);
        }
        // Of what is not pinned it is the source distribution.
        assert_eq!(fs::read(fetch(None, "unpinned").unwrap()).unwrap(), files[0].1);
        assert!(!trace.exists(), "code of the source distribution has run");

        let Err(SourceProblem::Command(message)) = fetch(Some(&"0".repeat(64)), "wrong") else {
            panic!("a wrong hash passed")
        };
        assert!(message.contains("the pinned sha256 is of no file"), "{message}");
    }

    #[test]
    fn what_stands_in_for_backends_is_found_from_everywhere() {
        let pip = |dir: &str| pip("x", "1", None, Path::new(dir), Duration::from_secs(1));
        // Nothing is written below it.
        assert!(
            matches!(pip("/nowhere:x/y"), Err(SourceProblem::Configuration(message)) if message.contains("colon"))
        );
        let dir = tempfile::tempdir_in("target").unwrap();
        let command = pip(dir.path().to_str().unwrap()).unwrap();
        let path =
            command.as_std().get_envs().find(|(name, _)| *name == "PYTHONPATH").and_then(|(_, path)| path);
        assert!(Path::new(path.unwrap()).is_absolute());
    }

    #[test]
    fn requirements_can_not_be_smuggled_in() {
        let dir = tempfile::tempdir().unwrap();
        let refused = pip("x --index-url=http://evil/", "1", None, dir.path(), Duration::from_secs(1));
        assert!(matches!(refused, Err(SourceProblem::Configuration(_))));
    }

    #[test]
    fn a_wheel_is_packed_like_a_source_distribution() {
        let dir = tempfile::tempdir().unwrap();
        let (wheel, packed) = (dir.path().join("a-1-py3-none-any.whl"), dir.path().join("packed"));
        fs::write(&wheel, "zip").unwrap();
        pack_wheel(&wheel, "a-1", &packed).unwrap();
        let mut names = Vec::new();
        crate::sources::unpack::Inspector::new()
            .read(&packed, |member, _| {
                names.push(member.name.display().to_string());
                Ok(())
            })
            .unwrap();
        assert_eq!(names, ["a-1", "a-1/a-1-py3-none-any.whl"]);
    }
}
