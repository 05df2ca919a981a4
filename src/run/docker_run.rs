//! A container as a `docker run` line, for people who want to try it by hand [pure].

use super::units::quoted_line;
use crate::engine::container::{ContainerSpec, NumericLimit, RestartPolicy};

/// A command line that makes a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLine {
    /// The program and its options, the words of each together.
    options: Vec<Vec<String>>,
    /// The image and the words of the command.
    command: Vec<String>,
}

impl RunLine {
    /// On several lines of a shell.
    pub fn shell(&self) -> String {
        let options = self.options.iter().map(|words| quoted_line(words) + " \\\n  ");
        options.collect::<String>() + &quoted_line(&self.command) + "\n"
    }

    /// Its words: the first is the program.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.options.iter().flatten().chain(&self.command).map(String::as_str)
    }

    /// With another option.
    pub fn with(mut self, option: &str, value: &str) -> RunLine {
        self.options.push(vec![option.to_string(), value.to_string()]);
        self
    }
}

/// The command line of this program, `docker` or `podman`, that makes the same container.
pub fn docker_run(program: &str, name: &str, spec: &ContainerSpec, detach: bool) -> RunLine {
    let mut line = Line(vec![vec![program.to_string(), "run".to_string()]]);
    line.option("--name", Some(name));
    line.switch("--detach", detach);
    line.switch("--rm", spec.auto_remove);
    line.switch("--tty", spec.tty);
    line.switch("--interactive", spec.interactive);
    line.switch("--privileged", spec.privileged);
    let namespaces = &spec.namespaces;
    for (option, value) in [
        ("--user", &spec.user),
        ("--hostname", &spec.hostname),
        ("--network", &namespaces.network),
        ("--ipc", &namespaces.ipc),
        ("--pid", &namespaces.pid),
        ("--uts", &namespaces.uts),
        ("--cgroupns", &namespaces.cgroup),
        ("--stop-signal", &spec.stop_signal),
        ("--cpuset-cpus", &spec.limits.cpuset_cpus),
        ("--cpuset-mems", &spec.limits.cpuset_mems),
    ] {
        line.option(option, value.as_deref());
    }
    if spec.restart != RestartPolicy::No {
        line.option("--restart", Some(&spec.restart.to_string()));
    }
    let grace = spec.stop_grace.map(|grace| grace.as_secs().to_string());
    line.option("--stop-timeout", grace.as_deref());
    line.option("--log-opt", spec.log_tag.as_ref().map(|tag| format!("tag={tag}")).as_deref());
    for (option, values) in [
        ("--group-add", &spec.group_add),
        ("--add-host", &spec.extra_hosts),
        ("--cap-add", &spec.cap_add),
        ("--cap-drop", &spec.cap_drop),
        ("--security-opt", &spec.security_opt),
        ("--volumes-from", &spec.volumes_from),
    ] {
        line.options(option, values);
    }
    line.options("--volume", spec.volumes.iter().map(|volume| volume.bind()));
    line.options(
        "--tmpfs",
        spec.tmpfs.iter().map(|(place, options)| match options.as_str() {
            "" => place.clone(),
            options => format!("{place}:{options}"),
        }),
    );
    line.options("--ulimit", spec.limits.ulimits.iter().map(ToString::to_string));
    for (limit, number) in &spec.limits.numbers {
        line.option(option_of(*limit), Some(&number.to_string()));
    }
    line.healthcheck(spec);
    let pair = |(name, value): (&String, &String)| format!("{name}={value}");
    line.options("--env", spec.environment.iter().map(pair));
    line.options("--label", spec.labels.iter().map(pair));
    let command = std::iter::once(&spec.image).chain(&spec.command).cloned();
    RunLine { options: line.0, command: command.collect() }
}

struct Line(Vec<Vec<String>>);

impl Line {
    fn switch(&mut self, name: &str, on: bool) {
        self.0.extend(on.then(|| vec![name.to_string()]));
    }

    fn option(&mut self, name: &str, value: Option<&str>) {
        self.0.extend(value.map(|value| vec![name.to_string(), value.to_string()]));
    }

    fn options<S: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) {
        self.0.extend(values.into_iter().map(|value| vec![name.to_string(), value.as_ref().to_string()]));
    }

    fn healthcheck(&mut self, spec: &ContainerSpec) {
        let Some(check) = &spec.healthcheck else { return };
        if check.test == ["NONE"] {
            return self.switch("--no-healthcheck", true);
        }
        // The option takes one text, for a shell.
        let command = match check.test.split_first() {
            Some((kind, [command])) if kind == "CMD-SHELL" => command.clone(),
            _ => quoted_line(&check.command()),
        };
        self.option("--health-cmd", Some(&command).filter(|command| !command.is_empty()).map(String::as_str));
        // What is zero is the engine's default.
        for (name, duration) in [
            ("--health-interval", check.interval),
            ("--health-timeout", check.timeout),
            ("--health-start-period", check.start_period),
        ] {
            let duration = Some(duration).filter(|duration| !duration.is_zero());
            self.option(name, duration.map(|duration| format!("{}s", duration.as_secs_f64())).as_deref());
        }
        let retries = Some(check.retries).filter(|retries| *retries > 0);
        self.option("--health-retries", retries.map(|retries| retries.to_string()).as_deref());
    }
}

fn option_of(limit: NumericLimit) -> &'static str {
    match limit {
        NumericLimit::BlkioWeight => "--blkio-weight",
        NumericLimit::CpuPeriod => "--cpu-period",
        NumericLimit::CpuQuota => "--cpu-quota",
        NumericLimit::CpuShares => "--cpu-shares",
        NumericLimit::Memory => "--memory",
        NumericLimit::MemoryReservation => "--memory-reservation",
        NumericLimit::MemorySwap => "--memory-swap",
        NumericLimit::MemorySwappiness => "--memory-swappiness",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::testing::stack;

    #[test]
    fn every_setting_is_an_option() {
        let text = r#"{"a": {"image": "kolla/x:1", "command": "bash -c 'a b'", "environment": {"A": "b c", "E": ""},
            "volumes": ["/a:/b:ro", "logs:/var/log", "/x"], "net": "host", "user": "nova", "restart": "always",
            "healthcheck": {"test": ["CMD", "test", "a b"], "interval": 5}, "mem_limit": "1m", "ulimit": "nofile=1:2",
            "cap_add": ["NET_ADMIN"], "tmpfs": ["/run:size=1m"], "privileged": true, "stop_grace_period": 20}}"#;
        let spec = &stack(text).containers[0].settings.spec;
        insta::assert_snapshot!(docker_run("docker", "a", spec, true).shell());
    }
}
