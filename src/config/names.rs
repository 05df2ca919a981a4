//! Names of images, put together from the parts that options give [pure].

use super::layer::{Layers, ValueError};
use crate::model::ids::ImageName;
use crate::model::reference::Reference;
use crate::model::reference::parts::{NamePrefix, Namespace, Registry, Tag};

/// The parts that every image's name has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Registry in front of the namespace.
    pub registry: Option<Registry>,
    /// The namespace, without registry and prefix.
    pub namespace: Namespace,
    /// Text in front of every image's name.
    pub prefix: NamePrefix,
    /// The tag that was asked for.
    pub tag: Tag,
    /// An image's full name without the image's own part.
    start: Reference,
}

impl Names {
    /// Reads the parts; `prefix` is for releases that put the names together themselves.
    pub fn read(layers: &Layers, prefix: Option<String>) -> Result<Names, ValueError> {
        let given = |key: &str| Ok::<_, ValueError>(layers.option(key)?.unwrap_or_default());
        let registry = match layers.option("registry")? {
            Some(text) => Some(part(layers, "registry", &text)?),
            None => None,
        };
        let prefix = match prefix {
            Some(prefix) => prefix,
            None => given("image_name_prefix")?,
        };
        let namespace: Namespace = part(layers, "namespace", &given("namespace")?)?;
        let prefix: NamePrefix = part(layers, "image_name_prefix", &prefix)?;
        let tag = part(layers, "tag", &given("tag")?)?;
        let space = space(registry.as_ref(), &namespace);
        let Ok(name) = format!("{space}/{prefix}a").parse::<Reference>() else {
            // Each is in order by itself, so that both name a registry, or the whole is too long.
            let reason = format!(
                "'{namespace}' makes no names behind --registry {}: a registry belongs in one of them alone, and a name \
                 has 255 characters at most",
                given("registry")?
            );
            return Err(ValueError::of(layers, "namespace", reason));
        };
        let path = name.path.strip_suffix('a').unwrap_or(&name.path).to_string();
        Ok(Names { registry, namespace, prefix, tag, start: Reference { path, ..name } })
    }

    /// The namespace with the registry in front, when there is one.
    pub fn space(&self) -> String {
        space(self.registry.as_ref(), &self.namespace)
    }

    /// The full name of an image under a tag. Not [valid](Reference::is_valid) when no image can have this name.
    pub fn reference(&self, image: &ImageName, tag: &str) -> Reference {
        let path = format!("{}{image}", self.start.path);
        Reference { path, tag: Some(tag.to_string()), ..self.start.clone() }
    }
}

fn space(registry: Option<&Registry>, namespace: &Namespace) -> String {
    match registry {
        Some(registry) => format!("{registry}/{namespace}"),
        None => namespace.to_string(),
    }
}

fn part<T: std::str::FromStr<Err: std::fmt::Display>>(
    layers: &Layers,
    key: &str,
    text: &str,
) -> Result<T, ValueError> {
    text.parse().map_err(|error: T::Err| ValueError::of(layers, key, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::DEFAULT;
    use crate::config::layer::{Entry, SetAt};

    fn names(given: &[(&str, &str)]) -> Result<Names, String> {
        let defaults = [("namespace", "kolla"), ("tag", "t")];
        let mut layers = Layers::default();
        layers.push(defaults.iter().chain(given).map(|(key, text)| Entry {
            section: DEFAULT.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: SetAt::CommandLine,
        }));
        Names::read(&layers, None).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_make_a_name() {
        let reference = |given: &[(&str, &str)]| {
            names(given).map(|names| names.reference(&"nova-api".into(), names.tag.as_str()).to_string())
        };
        assert_eq!(reference(&[]), Ok("kolla/nova-api:t".to_string()));
        let all =
            [("registry", "[::1]:5000"), ("namespace", "a/b"), ("image_name_prefix", "x-"), ("tag", "1")];
        assert_eq!(reference(&all), Ok("[::1]:5000/a/b/x-nova-api:1".to_string()));
        let registry_in_namespace = [("registry", ""), ("namespace", "r.example:5000/kolla")];
        assert_eq!(reference(&registry_in_namespace), Ok("r.example:5000/kolla/nova-api:t".to_string()));
    }

    #[test]
    fn two_registries_are_one_too_many() {
        let told =
            names(&[("registry", "r.example"), ("namespace", "s.example:5000/kolla")]).expect_err("two");
        assert!(told.starts_with("--namespace: 's.example:5000/kolla' makes no names behind"), "{told}");
        assert!(names(&[("namespace", &"a/".repeat(127)[..253])]).is_ok());
        assert!(names(&[("registry", "r.x/y"), ("namespace", &"a/".repeat(127)[..253])]).is_err());
    }
}
