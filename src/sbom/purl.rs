//! Package URLs (<https://github.com/package-url/purl-spec>) [pure].

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that stand for themselves.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Makes one. Parts of the namespace are given apart; qualifiers without a value are left out.
pub(super) fn purl(
    kind: &str,
    namespace: &[&str],
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let mut purl = format!("pkg:{kind}/");
    for part in namespace.iter().filter(|part| !part.is_empty()) {
        purl.push_str(&encoded(part));
        purl.push('/');
    }
    purl.push_str(&encoded(name));
    if !version.is_empty() {
        purl.push('@');
        purl.push_str(&encoded(version));
    }
    let mut separator = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        purl.push_str(&format!("{separator}{key}={}", encoded(value)));
        separator = '&';
    }
    purl
}

/// Kind, name with its namespace, and version of one; none of a text that is none.
pub(super) fn parts(purl: &str) -> Option<(String, String, String)> {
    let rest = purl.strip_prefix("pkg:")?;
    let rest = rest.split(['?', '#']).next()?;
    let (kind, path) = rest.split_once('/')?;
    let (name, version) = path.rsplit_once('@').unwrap_or((path, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((kind.to_string(), decoded(name), decoded(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_encoded() {
        let deb =
            purl("deb", &["debian"], "libstdc++6", "1:14.2+dfsg-1~x", &[("arch", "amd64"), ("upstream", "")]);
        assert_eq!(deb, "pkg:deb/debian/libstdc%2B%2B6@1:14.2%2Bdfsg-1~x?arch=amd64");
        assert_eq!(purl("npm", &["@s"], "x", "1", &[]), "pkg:npm/%40s/x@1");
        assert_eq!(
            parts(&deb),
            Some(("deb".to_string(), "debian/libstdc++6".to_string(), "1:14.2+dfsg-1~x".to_string()))
        );
        assert_eq!(parts("pkg:npm/%40s/x@1?a=b").map(|parts| parts.1), Some("@s/x".to_string()));
        assert_eq!(parts("https://x"), None);
    }
}
