//! CI systems that a pipeline can be written for.

/// A CI system that `--export` writes jobs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiSystem {
    /// GitHub Actions: a workflow.
    Github,
    /// GitLab CI: jobs to include.
    Gitlab,
    /// Zuul: jobs, a project and playbooks.
    Zuul,
}
