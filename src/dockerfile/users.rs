//! Whom the steps of a Dockerfile run as [pure].

use std::collections::BTreeMap;

use super::instructions::{Instruction, Instructions, words};

/// Answer to whether root is the user of an image, by its name in FROM.
pub type RootLookup<'a> = &'a dyn Fn(&str) -> bool;

/// For every instruction: whether what follows it runs as root.
pub fn as_root(instructions: &Instructions, is_root_in: RootLookup) -> Vec<bool> {
    let mut stages: BTreeMap<String, bool> = BTreeMap::new();
    let mut stage = None;
    let mut is_root = true;
    let follow = |instruction: &Instruction| {
        match instruction.keyword.as_str() {
            _ if instruction.is_trigger => {}
            "FROM" => {
                let (image, name) = image_and_stage(instruction);
                is_root = stages.get(&image.to_lowercase()).copied().unwrap_or_else(|| is_root_in(image));
                stage = name.map(str::to_lowercase);
            }
            "USER" => is_root = is_root_user(instruction.arguments.trim()),
            _ => {}
        }
        stages.extend(stage.clone().map(|name| (name, is_root)));
        is_root
    };
    instructions.all.iter().map(follow).collect()
}

/// True when the image that a Dockerfile makes runs as root.
pub fn ends_as_root(dockerfile: &str, is_root_in: RootLookup) -> bool {
    as_root(&Instructions::of(dockerfile), is_root_in).last().copied().unwrap_or(true)
}

fn image_and_stage(from: &Instruction) -> (&str, Option<&str>) {
    let mut words = words(&from.arguments).map(|word| &from.arguments[word]);
    let image = words.find(|word| !word.starts_with("--")).unwrap_or_default();
    (image, words.nth(1))
}

/// True for a `USER[:GROUP]` that the text alone shows to be root.
fn is_root_user(text: &str) -> bool {
    let user = text.trim_matches(['"', '\'']).split(':').next().unwrap_or_default();
    matches!(user, "root" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_stays_to_the_end_of_the_stage() {
        let text = "FROM a AS one\nRUN b\nUSER 42401\nRUN c\nFROM --platform=x d\nRUN e\nUSER nova:nova\nONBUILD USER root\n\
                    USER \"root:0\"\nFROM ONE\nRUN f\nUSER $who\n";
        let told = as_root(&Instructions::of(text), &|_| true);
        assert_eq!(told, [true, true, false, false, true, true, false, false, true, false, false, false]);
        assert!(!ends_as_root(text, &|_| true));
    }

    #[test]
    fn an_image_hands_its_user_on() {
        let is_root_in = |image: &str| image != "k/nova:1";
        assert!(!ends_as_root("FROM k/nova:1\nRUN a\n", &is_root_in));
        assert!(ends_as_root("FROM k/nova:1\nUSER 0\n", &is_root_in));
        assert!(ends_as_root("FROM k/base:1\n", &is_root_in));
        assert!(ends_as_root("", &is_root_in));
    }
}
