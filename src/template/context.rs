//! The variables that templates see: those of Kolla's render context.

use std::collections::BTreeMap;

use minijinja::value::Value;

use crate::config::layer::ValueError;
use crate::config::resolved::Config;
use crate::config::sections::User;
use crate::model::platform::Platform;
use crate::model::template_api::TemplateApi;

/// Variables that came later, each with the last release before it.
const NOT_BEFORE: &[(&str, u32)] = &[
    ("openstack_release_codename", 20),
    ("patches_path", 19),
    ("docker_healthchecks", 9),
    ("openstack_branch", 9),
    ("openstack_branch_slashed", 9),
    ("repos_yaml", 9),
    ("supported_distro_name", 9),
];

/// The variables that are the same for every image of a platform.
#[derive(Debug, Clone, Default)]
pub struct RenderContext {
    /// The variables by name.
    pub values: BTreeMap<String, Value>,
    /// Names of the `ARG`s that are declared after the first FROM.
    pub pip_args: Vec<&'static str>,
}

impl RenderContext {
    /// The variables of one platform. `env` is the process environment, which templates may read; `build_date` is the
    /// day, as older templates print it.
    pub fn new(
        config: &Config,
        platform: Platform,
        env: &BTreeMap<String, String>,
        build_date: &str,
    ) -> Result<RenderContext, ValueError> {
        let templates = &config.templates;
        let text = |text: &str| Value::from(text);
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let users = config.users()?;
        let values = [
            ("base_distro", text(&config.base)),
            ("base_image", text(&config.base_image)),
            ("base_distro_tag", text(&config.base_tag)),
            ("base_arch", text(platform.arch.kolla())),
            ("debian_arch", text(platform.arch.debian())),
            ("repos_yaml", Value::from(path(&templates.repos_yaml).unwrap_or_default())),
            ("use_dumb_init", Value::from(templates.use_dumb_init)),
            ("base_package_type", text(&config.package_type)),
            ("docker_healthchecks", Value::from(templates.docker_healthchecks)),
            ("supported_distro_name", text(&config.pretty_name)),
            ("image_prefix", text(config.names.prefix.as_str())),
            ("namespace", text(&config.names.space())),
            ("openstack_release", text(&templates.openstack_release)),
            ("openstack_release_codename", text(&templates.openstack_release_codename)),
            ("openstack_branch", text(&templates.openstack_branch)),
            ("openstack_branch_slashed", text(&templates.openstack_branch_slashed)),
            ("tag", text(&config.platform_tag(platform))),
            ("maintainer", text(&config.maintainer)),
            ("kolla_version", text(&templates.kolla_version)),
            ("users", users_value(&users, templates.api)),
            ("distro_package_manager", text(&config.package_manager)),
            ("rpm_setup", Value::from(templates.rpm_setup.clone())),
            ("clean_package_cache", Value::from(templates.clean_package_cache)),
            ("patches_path", Value::from(path(&templates.patches_path))),
            ("env", Value::from_pairs(env.iter().map(|(name, value)| (name.as_str(), value.as_str())))),
        ];
        let api = templates.api;
        let mut values: BTreeMap<String, Value> =
            values.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        for (name, last) in NOT_BEFORE {
            if api.up_to(*last) {
                values.remove(*name);
            }
        }
        let mut add = |name: &str, value: &str| values.insert(name.to_string(), Value::from(value));
        if api.up_to(22) {
            add("build_date", build_date);
        }
        if let Some(version) = api.python_version(&config.base, &config.base_tag) {
            add("distro_python_version", version);
        }
        if let Some(install_type) = config.install_type {
            add("install_type", install_type.name());
            add("install_metatype", install_type.metatype());
            add("supported_distro_release", &config.pretty_name);
        }
        Ok(RenderContext { values, pip_args: templates.pip_args.iter().map(|(name, _)| *name).collect() })
    }

    /// The variables for one image; `parent` is the environment's name of its own template.
    pub(super) fn for_image(&self, image: &str, parent: &str) -> BTreeMap<String, Value> {
        let mut values = self.values.clone();
        values.insert("image_name".to_string(), Value::from(image));
        values.insert("parent_template".to_string(), Value::from(parent));
        values
    }
}

fn users_value(users: &BTreeMap<String, User>, api: TemplateApi) -> Value {
    let user_value = |user: &User| {
        let mut values = vec![("uid", Value::from(user.uid)), ("gid", Value::from(user.gid))];
        if api.has_user_groups() {
            values.push(("group", Value::from(user.group.as_str())));
        }
        Value::from_pairs(values)
    };
    Value::from_pairs(users.iter().map(|(name, user)| (name.as_str(), user_value(user))))
}
