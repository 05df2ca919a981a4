//! How images are signed and signatures are checked: `cosign`, with a key or with what else it is told [pure].

use std::str::FromStr;

/// The program that signs.
pub const COSIGN: &str = "cosign";

/// Options of cosign's that would show a secret to everybody who can list processes, and what to use in their place.
const SECRET_OPTIONS: [(&str, &str); 4] = [
    ("--identity-token", "set SIGSTORE_ID_TOKEN"),
    ("--registry-password", "log in with docker login"),
    ("--registry-token", "log in with docker login"),
    ("--sk-pin", "leave it out: cosign asks"),
];

/// What cosign is told: `cosign`, `cosign=KEY`, `cosign=KEY --option...` or `cosign=--option...`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CosignOptions {
    /// A file, or the URI of a key that is kept elsewhere; none without one, as for keyless signing.
    pub key: Option<String>,
    /// Further options, as they are given to it.
    pub options: Vec<String>,
}

impl FromStr for CosignOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<CosignOptions, String> {
        let words = match text.split_once('=') {
            None if text == COSIGN => "",
            Some((COSIGN, words)) => words,
            _ => {
                return Err(format!(
                    "'{text}' does not begin with {COSIGN}: expected cosign, cosign=KEY or cosign=OPTIONS"
                ));
            }
        };
        if words.contains("-----BEGIN") {
            return Err("a key stands there itself: name its file".to_string());
        }
        let mut words = words.split_whitespace().map(String::from).peekable();
        let key = words.next_if(|word| !word.starts_with('-'));
        let options: Vec<String> = words.collect();
        for option in &options {
            let name = option.split('=').next().unwrap_or_default();
            if let Some((secret, instead)) = SECRET_OPTIONS.iter().find(|(secret, _)| *secret == name) {
                return Err(format!("{secret} would be seen by everybody who lists processes: {instead}"));
            }
            if !option.starts_with("--") {
                return Err(format!(
                    "'{option}' is no option: expected --NAME or --NAME=VALUE after the key"
                ));
            }
        }
        Ok(CosignOptions { key, options })
    }
}

impl CosignOptions {
    /// The file of the key, when it is one.
    pub fn key_file(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| !key.contains("://"))
    }

    /// Arguments that sign what a reference names by its digest.
    pub fn sign(&self, reference: &str) -> Vec<String> {
        self.arguments(&["sign", "--yes"], reference)
    }

    /// Arguments that check the signatures of what a reference names by its digest.
    pub fn verify(&self, reference: &str) -> Vec<String> {
        self.arguments(&["verify"], reference)
    }

    fn arguments(&self, command: &[&str], reference: &str) -> Vec<String> {
        let key = self.key.iter().map(|key| format!("--key={key}"));
        let words = command.iter().map(|word| (*word).to_string());
        words.chain(key).chain(self.options.iter().cloned()).chain([reference.to_string()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_options_are_told_apart() {
        let read = |text: &str| text.parse::<CosignOptions>();
        assert_eq!(read("cosign"), Ok(CosignOptions::default()));
        let key = read("cosign=c.key --tlog-upload=false").expect("valid");
        assert_eq!(
            key.sign("r/i@sha256:1"),
            ["sign", "--yes", "--key=c.key", "--tlog-upload=false", "r/i@sha256:1"]
        );
        assert_eq!(key.key_file(), Some("c.key"));
        let remote = read("cosign=awskms:///alias/x").expect("valid");
        assert_eq!((remote.key_file(), remote.verify("r").len()), (None, 3));
        assert_eq!(read("cosign=--fulcio-url=https://f").expect("valid").key, None);
    }

    #[test]
    fn what_would_show_a_secret_is_refused() {
        for (text, told) in [
            ("gpg", "does not begin with cosign"),
            ("cosign=k --identity-token=abc", "set SIGSTORE_ID_TOKEN"),
            ("cosign=k --registry-password x", "docker login"),
            ("cosign=-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----", "name its file"),
            ("cosign=k --a b", "'b' is no option"),
        ] {
            let refused = text.parse::<CosignOptions>().expect_err(text);
            assert!(refused.contains(told), "{refused}");
        }
    }
}
