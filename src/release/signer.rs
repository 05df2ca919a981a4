//! Signing: cosign is called for what the registry has, by its digest [I/O].

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::process::Command;

use crate::model::failure::{Failure, FailureKind};
use crate::model::reference::Reference;
use crate::model::signing::{COSIGN, CosignOptions};
use crate::util::plain;
use crate::util::process::{self, ProcessError};
use crate::util::transient::has_network_symptoms;

/// Calls of cosign at once, for one image.
const AT_ONCE: usize = 4;

/// Bytes that cosign may write: it prints every signature that it has found.
const LONGEST_OUTPUT: usize = 16 << 20;

/// Lines of its errors that are told.
const SHOWN_LINES: usize = 8;

/// Who signs, or checks signatures.
#[derive(Debug, Clone)]
pub struct Cosign {
    /// What it is told.
    pub options: CosignOptions,
    /// File of certificate authorities for registries.
    pub registry_ca: Option<PathBuf>,
    /// The longest silence.
    pub patience: Duration,
}

impl Cosign {
    /// Makes sure that it is there; gives its version.
    pub async fn check(&self) -> Result<(), Failure> {
        self.run(&["version".to_string()]).await
    }

    /// Signs all of these; each names its content by digest.
    pub async fn sign(&self, references: &[Reference]) -> Result<(), Failure> {
        self.each(references, |reference| self.options.sign(reference)).await
    }

    /// Checks that all of these are signed.
    pub async fn verify(&self, references: &[Reference]) -> Result<(), Failure> {
        self.each(references, |reference| self.options.verify(reference)).await
    }

    async fn each(
        &self,
        references: &[Reference],
        arguments: impl Fn(&str) -> Vec<String>,
    ) -> Result<(), Failure> {
        let calls: Vec<_> = references.iter().map(|reference| arguments(&reference.to_string())).collect();
        let calls = stream::iter(calls).map(async |arguments| self.run(&arguments).await);
        calls.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn run(&self, arguments: &[String]) -> Result<(), Failure> {
        let mut command = Command::new(COSIGN);
        command.args(arguments).env("LC_ALL", "C");
        if let Some(file) = &self.registry_ca
            && arguments.len() > 1
        {
            command.arg("--registry-cacert").arg(file);
        }
        let permanent = |message: String| Failure::permanent(FailureKind::Sign, message);
        let ended = process::run(&mut command, b"", self.patience, LONGEST_OUTPUT).await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(error @ ProcessError::Missing(_)) => {
                return Err(permanent(format!("images can't be signed: {error}"))
                    .hinted("install Debian's package cosign, or sigstore's own"));
            }
            Err(error @ ProcessError::Stalled { .. }) => {
                return Err(Failure { transient: true, ..permanent(error.to_string()) });
            }
            Err(error) => return Err(permanent(error.to_string())),
        };
        if ended.status.success() {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&ended.errors);
        let lines: Vec<&str> = errors.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        let verb = arguments.first().map_or("run", String::as_str);
        let message = format!("cosign {verb} failed ({}):\n{}", ended.status, plain::lines(&last));
        Err(Failure { transient: has_network_symptoms(errors.lines()), ..permanent(message) })
    }
}
