//! Parts that the program's HTTP clients share: time-outs, certificates, and errors in words.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::{Attempt, Policy};

/// A client that gives up after `patience` without progress, and honours the proxy variables, the host's certificates
/// and `SSL_CERT_FILE`. Redirects are followed, but never from https to http.
pub fn builder(patience: Duration) -> ClientBuilder {
    // Fails only when a provider was chosen before, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("kolla-build/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience)
        .read_timeout(patience)
        .redirect(Policy::custom(|attempt: Attempt<'_>| {
            match attempt.previous().last().is_some_and(|from| from.scheme() == "https") {
                true if attempt.url().scheme() != "https" => attempt
                    .error("it leads from https to http, where anybody on the way could change the answer"),
                _ => Policy::default().redirect(attempt),
            }
        }))
}

/// An error with everything that caused it, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

/// Fault of a server's certificate, if that is what is wrong.
pub fn refused_certificate(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(tls @ rustls::Error::InvalidCertificate(_)) = next.downcast_ref() {
            return Some(tls.to_string());
        }
        // The source of an I/O error is that of the error it was made of, not this error itself.
        let inner = next.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => next.source(),
        };
    }
    None
}
