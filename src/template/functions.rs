//! Kolla's filter and functions.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::arguments::argument;
use super::list::python_items;
use super::lookups::{Effect, ListLookup, Lookups};
use super::rewrites::TopLevelSets;
use super::shared::SharedList;
use crate::model::template_api::TemplateApi;

/// Adds the functions that do not depend on a run's configuration.
pub fn register(env: &mut Environment<'_>, api: TemplateApi) {
    env.add_filter("customizable", customizable);
    let update = if api.ignores_update_errors() { "apt-get update" } else { "apt-get --error-on=any update" };
    env.add_function("debian_package_install", move |packages, clean, kwargs: Kwargs| {
        debian_package_install(update, packages, clean, kwargs)
    });
    env.add_function("raise_error", raise_error);
}

/// Changes a list as the image's `<image>_<kind>_override`, `_append` and `_remove` variables ask.
///
/// The list itself is changed, so that every later use of it sees the change. An undefined list passes through, because
/// one override file serves images in which the list exists only for some distros.
fn customizable(
    state: &mut State,
    value: Value,
    kind: Option<String>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let kind = match kind {
        Some(kind) => kind,
        None => kwargs.get("call_type")?,
    };
    kwargs.assert_all_used()?;
    let image = state.lookup("image_name").unwrap_or_default().to_string().replace('-', "_");
    let list = format!("{image}_{kind}");
    let (value, effect) =
        if value.is_undefined() { (value, Effect::Undefined) } else { edit(state, value, &list)? };
    state.get_or_insert_extension(Lookups::default()).0.push(ListLookup { list, effect });
    Ok(value)
}

fn edit(state: &State, value: Value, list: &str) -> Result<(Value, Effect), Error> {
    let variable = |action: &str| {
        let name = format!("{list}_{action}");
        state.get_extension::<TopLevelSets>()?.seen_by(state.name(), &name).cloned()
    };
    let (append, remove) = (variable("append"), variable("remove"));
    if let Some(replacement) = variable("override") {
        let others = [("append", append), ("remove", remove)];
        let ignored =
            others.iter().filter(|(_, value)| value.is_some()).map(|(action, _)| format!("{list}_{action}"));
        let by_text = replacement.as_str().is_some() && value.kind() == ValueKind::Seq;
        return Ok((replacement, Effect::Replaced { ignored: ignored.collect(), by_text }));
    }
    let value = SharedList::bind(value)?;
    if append.is_none() && remove.is_none() {
        return Ok((value, Effect::Unchanged));
    }
    let Some(items) = SharedList::of(&value) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("customizable is applied to a {}, not to a list, for {list}", value.kind()),
        ));
    };
    let letters = [("append", &append), ("remove", &remove)];
    let letters =
        letters.into_iter().filter(|(_, value)| value.as_ref().is_some_and(|value| value.as_str().is_some()));
    let letters: Vec<String> = letters.map(|(action, _)| format!("{list}_{action}")).collect();
    let append = append.as_ref().map(python_items).transpose()?.unwrap_or_default();
    let remove = remove.as_ref().map(python_items).transpose()?.unwrap_or_default();
    let appended = texts(&append);
    items.extend(append)?;
    let held = texts(&items.items());
    let (removed, missing): (Vec<Value>, Vec<Value>) =
        remove.into_iter().partition(|item| items.remove_first(item));
    let effect =
        Effect::Edited { appended, removed: texts(&removed), missing: texts(&missing), held, letters };
    Ok((value, effect))
}

fn texts(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item.to_string()).collect()
}

/// The shell command that installs Debian packages: names through apt, URLs of `.deb` files through curl and dpkg.
fn debian_package_install(
    update: &str,
    packages: Option<Value>,
    clean: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let packages = match packages {
        Some(packages) => packages,
        None => kwargs.get("packages")?,
    };
    let clean = match clean {
        Some(clean) => clean,
        None => kwargs.get::<Option<Value>>("clean_package_cache")?.unwrap_or(Value::from(true)),
    };
    kwargs.assert_all_used()?;
    let packages = python_items(&argument(&packages))?;
    let packages = packages.iter().map(|package| {
        let message = || format!("{package} is no package: names are texts");
        package.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, message()))
    });
    let packages = packages.collect::<Result<Vec<&str>, Error>>()?;
    let (urls, names): (Vec<&str>, Vec<&str>) =
        packages.into_iter().partition(|package| package.starts_with("http"));
    let mut commands: Vec<Cow<'_, str>> = Vec::new();
    if !names.is_empty() {
        commands.push(update.into());
        commands.push(format!("apt-get -y install --no-install-recommends {}", names.join(" ")).into());
        if argument(&clean).is_true() {
            commands.extend(["apt-get clean", "rm -rf /var/lib/apt/lists/*"].map(Cow::from));
        }
    }
    for url in urls {
        let file = url.rsplit('/').next().unwrap_or(url);
        commands.push(format!("curl --location {url} -o {file} && dpkg -i {file} && rm -rf {file}").into());
    }
    Ok(commands.join(" && "))
}

/// Fails the rendering with a template's own message.
fn raise_error(message: Rest<Value>) -> Result<Value, Error> {
    let message = message.iter().map(|part| part.to_string()).collect::<Vec<_>>().join(" ");
    Err(Error::new(ErrorKind::InvalidOperation, message))
}
