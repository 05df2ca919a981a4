//! What property tests share.

use proptest::prelude::*;

use crate::model::reference::Reference;

/// The usual number of cases, or PROPTEST_CASES. What fails becomes a test with a name, not a file of seeds.
pub fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Text put together from a language's own words and any others: most of it nearly makes sense.
pub fn text_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        9 => prop::sample::select(words).prop_map(str::to_string),
        1 => "\\PC{0,4}",
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// A reference that is in order.
pub fn named(text: &str) -> Reference {
    text.parse().expect("a reference")
}
