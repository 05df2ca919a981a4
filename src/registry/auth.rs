//! Authentication that a registry asks for: Basic credentials, or a token from the server that it names
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::credentials::Credential;

/// Who asks for a token with an identity token.
const CLIENT_ID: &str = "kolla-build";

/// Kind of credentials that a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic,
    /// A token, which another server gives.
    Bearer {
        /// URL of the server that gives tokens.
        realm: String,
        /// The token server's name of the registry.
        service: Option<String>,
        /// Actions that the token must allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the answer's challenges; a token is preferred.
    pub(super) fn read(headers: &HeaderMap) -> Option<Challenge> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<_> =
            texts.filter_map(|text| http_auth::parse_challenges(text).ok()).flatten().collect();
        let bearer = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer"));
        if let Some(challenge) = bearer {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            return Some(Challenge::Bearer {
                realm: param("realm")?,
                service: param("service"),
                scope: param("scope"),
            });
        }
        let is_basic = challenges.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("Basic"));
        is_basic.then_some(Challenge::Basic)
    }
}

/// A request for a token.
pub(super) enum TokenRequest {
    /// GET this URL, with Basic credentials if there are any.
    Get {
        /// Address of the realm, with its query.
        url: String,
        /// User name and password.
        basic: Option<(String, String)>,
    },
    /// POST this form to this URL.
    Post {
        /// Address of the realm alone.
        url: String,
        /// Content of the request, URL-encoded.
        form: String,
    },
}

impl TokenRequest {
    /// How a token is asked for.
    pub(super) fn new(
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        credential: Option<&Credential>,
    ) -> TokenRequest {
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("service", service), ("scope", scope)] {
            if let Some(value) = value {
                parameters.append_pair(name, value);
            }
        }
        if let Some(token) = credential.and_then(|credential| credential.identity_token.as_deref()) {
            parameters.append_pair("grant_type", "refresh_token");
            parameters.append_pair("client_id", CLIENT_ID);
            parameters.append_pair("refresh_token", token);
            return TokenRequest::Post { url: realm.to_string(), form: parameters.finish() };
        }
        let basic = credential.and_then(Credential::basic);
        if let Some((user, _)) = &basic {
            parameters.append_pair("account", user);
        }
        let query = parameters.finish();
        let separator = if realm.contains('?') { '&' } else { '?' };
        TokenRequest::Get { url: format!("{realm}{separator}{query}"), basic }
    }
}

/// Reads the token in a token server's answer.
pub(super) fn token(answer: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    bearer(&answer.token.or(answer.access_token)?)
}

/// The header that shows a token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    secret(format!("Bearer {token}"))
}

/// The header that shows a user name and a password.
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    secret(format!("Basic {text}"))
}

fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Challenge::read(&headers)
    }

    #[test]
    fn a_token_is_preferred_and_its_scope_may_hold_commas() {
        let bearer = r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".to_string(),
            service: Some("r.example".to_string()),
            scope: Some("repository:a/b:pull,push".to_string()),
        };
        assert_eq!(read(&[bearer]), Some(expected.clone()));
        assert_eq!(read(&["Basic realm=\"r\"", bearer]), Some(expected));
        assert_eq!(read(&["basic realm=\"r\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Negotiate"]), None);
        assert_eq!(read(&["Bearer service=\"no realm\""]), None);
    }

    #[test]
    fn an_identity_token_is_posted_and_never_in_a_url() {
        let credential = Credential { identity_token: Some("secret".to_string()), ..Credential::default() };
        let TokenRequest::Post { url, form } =
            TokenRequest::new("https://a/t", Some("s"), None, Some(&credential))
        else {
            panic!("not posted")
        };
        assert_eq!(url, "https://a/t");
        assert_eq!(form, "service=s&grant_type=refresh_token&client_id=kolla-build&refresh_token=secret");
    }

    #[test]
    fn a_password_is_shown_in_a_header() {
        let credential = Credential {
            username: Some("u".to_string()),
            password: Some("secret".to_string()),
            ..Credential::default()
        };
        let request =
            TokenRequest::new("https://a/t?x=1", Some("s"), Some("repository:a:pull"), Some(&credential));
        let TokenRequest::Get { url, basic: Some((user, password)) } = request else { panic!("not that") };
        assert_eq!(url, "https://a/t?x=1&service=s&scope=repository%3Aa%3Apull&account=u");
        assert_eq!((user.as_str(), password.as_str()), ("u", "secret"));
    }

    #[test]
    fn tokens_are_called_by_two_names() {
        for answer in [r#"{"token": "t"}"#, r#"{"access_token": "t", "expires_in": 60}"#] {
            assert_eq!(token(answer.as_bytes()).unwrap().to_str().unwrap(), "Bearer t");
        }
        assert!(token(b"{}").is_none() && token(br#"{"token": "a\nb"}"#).is_none());
        assert!(!format!("{:?}", bearer("secret")).contains("secret"));
    }
}
