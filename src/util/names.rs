//! Names of files as text, so that no two names have the same one [pure].

use std::ffi::OsStr;
use std::path::Path;

/// Beginning of the text of a name that is not UTF-8, and of one that looks as if it were.
const ESCAPED: &str = "b\"";

/// A relative path as text: as it is where that is possible, otherwise with the names in it that are not UTF-8 as
/// `b"caf\xe9"`. Two paths never have the same text.
pub fn text(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.contains(ESCAPED) => text.to_string(),
        _ => path.iter().map(part).collect::<Vec<_>>().join("/"),
    }
}

fn part(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) if !text.starts_with(ESCAPED) => text.to_string(),
        _ => format!("{ESCAPED}{}\"", name.as_encoded_bytes().escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_no_text_looks_different() {
        let shown = |bytes: &[u8]| text(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(shown(b"a/b.txt"), "a/b.txt");
        assert_eq!(shown("caf\u{e9} \u{fffd}".as_bytes()), "caf\u{e9} \u{fffd}");
        assert_eq!(shown(b"a/caf\xe9/b"), r#"a/b"caf\xe9"/b"#);
        assert_eq!(shown(br#"b"caf\xe9""#), r#"b"b\"caf\\xe9\"""#);
    }

    proptest! {
        #[test]
        fn two_names_are_never_the_same_text(
            one in names(),
            other in names(),
        ) {
            prop_assert_eq!(one == other, text(&one) == text(&other));
        }
    }

    /// Relative paths of bytes that are likely to be mistaken for each other.
    fn names() -> impl Strategy<Value = PathBuf> {
        let byte = prop::sample::select(&b"b\"\\xe9\xe9\xea\xff"[..]);
        let name = prop::collection::vec(byte, 1..6);
        prop::collection::vec(name, 1..3)
            .prop_map(|names| names.iter().map(|name| OsStr::from_bytes(name)).collect())
    }
}
