//! Smoke tests: what was asked of an image once it was there, and what was found.

use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureKind};

/// Result of an image's smoke test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeResult {
    /// Name of the stack that it was started in; none when it has a place in none.
    pub stack: Option<String>,
    /// Everything that was asked, in order.
    pub checks: Vec<SmokeCheck>,
}

/// One thing that was asked of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeCheck {
    /// Name of the check, for people.
    pub name: String,
    /// Fault that was found; none when the check was passed.
    pub fault: Option<String>,
}

impl SmokeCheck {
    /// A check with its fault, if it has found one.
    pub fn new(name: impl Into<String>, fault: Option<String>) -> SmokeCheck {
        SmokeCheck { name: name.into(), fault }
    }
}

impl SmokeResult {
    /// True when nothing was found wrong.
    pub fn is_passed(&self) -> bool {
        self.checks.iter().all(|check| check.fault.is_none())
    }

    /// Everything that was found wrong, as a failure of the image; none when nothing was.
    pub fn failure(&self) -> Option<Failure> {
        let fault = |check: &SmokeCheck| Some(format!("{}: {}", check.name, check.fault.as_ref()?));
        let faults: Vec<String> = self.checks.iter().filter_map(fault).collect();
        (!faults.is_empty()).then(|| Failure::permanent(FailureKind::Smoke, faults.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_with_its_check() {
        let mut result = SmokeResult { stack: None, checks: vec![SmokeCheck::new("user", None)] };
        assert_eq!((result.is_passed(), result.failure()), (true, None));
        result.checks.push(SmokeCheck::new("file /a", Some("there is none".to_string())));
        result.checks.push(SmokeCheck::new("etcd --version", Some("exit code 1".to_string())));
        let failure = result.failure().expect("two faults");
        assert_eq!(failure.message, "file /a: there is none\netcd --version: exit code 1");
        assert!(!result.is_passed() && !failure.transient);
    }
}
