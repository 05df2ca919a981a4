"""Cases of the comparison: each a list of calls of kolla_container, made one after the other.

`C` is put in the place of the container's name, `I` in that of the image's. What follows a call is told apart by it alone.
"""

START = {"action": "start_container", "name": "C", "image": "I:1"}


def start(**more):
    return {**START, **more}


def again(action, **more):
    """Another action with the arguments of a start."""
    return {**START, "action": action, **more}


CHECK = {"test": ["CMD", "true"], "interval": 30, "timeout": "10", "start_period": 5, "retries": 3}

# Arguments that a container can be made with, and others of which each is another value of the same argument.
SETTINGS = {
    "plain": ({}, {"tty": True}),
    "name_with_underscores": ({"name": "C_of_x"}, {"name": "C_of_x"}),
    "command": ({"command": "sleep 60"}, {"command": "sleep 61"}),
    "command_with_quotes": ({"command": "sh -c 'sleep 60; exit 3'"}, {"command": "sh -c \"sleep 60\""}),
    "environment": ({"environment": {"A": "b", "EMPTY": "", "NULL": None}}, {"environment": {"A": "c"}}),
    "environment_less": ({"environment": {"A": "b", "B": "c"}}, {"environment": {"A": "b"}}),
    "timezone": ({"environment": {"TZ": "Europe/Prague"}}, {"environment": {"TZ": "UTC"}}),
    "common_environment": (
        {"common_options": {"environment": {"A": "common", "B": "common"}}, "environment": {"B": "own"}},
        {"common_options": {"environment": {"A": "common", "B": "common"}}, "environment": {"A": "own"}},
    ),
    "common_options": (
        {"common_options": {"graceful_timeout": "5", "client_timeout": "60", "restart_policy": "no"}},
        {"common_options": {"restart_policy": "oneshot"}},
    ),
    "labels": ({"labels": {"a": "b"}}, {"labels": {"a": "c"}}),
    "labels_more": ({"labels": {"a": "b"}}, {"labels": {"a": "b", "c": "d"}}),
    "labels_none": ({"labels": {"a": "b"}}, {"labels": {}}),
    "labels_of_image": ({"labels": {"of_image": "2"}}, {"labels": {"of_image": "1"}}),
    "cap_add": ({"cap_add": ["NET_ADMIN"]}, {"cap_add": ["SYS_PTRACE"]}),
    "cap_add_two": ({"cap_add": ["NET_ADMIN", "SYS_PTRACE"]}, {"cap_add": []}),
    "group_add": ({"group_add": ["daemon"]}, {"group_add": [7]}),
    "group_add_numbers": ({"group_add": [42, "43"]}, {"group_add": [42]}),
    "security_opt": ({"security_opt": ["seccomp=unconfined"]}, {"security_opt": []}),
    "ipc_mode_host": ({"ipc_mode": "host"}, {"ipc_mode": "private"}),
    "ipc_mode_shareable": ({"ipc_mode": "shareable"}, {"ipc_mode": "host"}),
    "ipc_mode_empty": ({"ipc_mode": ""}, {"ipc_mode": "host"}),
    "pid_mode_host": ({"pid_mode": "host"}, {}),
    "pid_mode_empty": ({"pid_mode": ""}, {"pid_mode": "host"}),
    "cgroupns_mode_host": ({"cgroupns_mode": "host"}, {"cgroupns_mode": "private"}),
    "cgroupns_mode_private": ({"cgroupns_mode": "private"}, {"cgroupns_mode": "host"}),
    "security_opt_of_host_ipc": ({"ipc_mode": "host", "security_opt": ["seccomp=unconfined"]}, {"ipc_mode": "host"}),
    "tmpfs": ({"tmpfs": ["/scratch", ""]}, {"tmpfs": ["/other"]}),
    "tmpfs_none": ({"tmpfs": ["/scratch"]}, {"tmpfs": []}),
    "volumes_named": ({"volumes": ["C_v:/v"]}, {"volumes": ["C_w:/v"]}),
    "volumes_named_ro": ({"volumes": ["C_v:/v:ro"]}, {"volumes": ["C_v:/v"]}),
    "volumes_paths": ({"volumes": ["D/a:/a:ro", "D/b/:/b/"]}, {"volumes": ["D/a:/a:rw", "D/b/:/b/"]}),
    "volumes_missing_paths": ({"volumes": ["D/missing/below:/m"]}, {"volumes": ["D/missing/other:/m"]}),
    "volumes_empty": ({"volumes": ["C_v:/v", "", None]}, {"volumes": []}),
    "volumes_shared": ({"volumes": ["/etc/localtime:/etc/localtime:ro", "/dev:/dev"]}, {"volumes": ["/dev:/dev"]}),
    "dimensions_mem": (
        {"dimensions": {"mem_limit": "256m", "memswap_limit": "512m"}},
        {"dimensions": {"mem_limit": 268435457, "memswap_limit": "512M"}},
    ),
    "dimensions_mem_reservation": (
        {"dimensions": {"mem_reservation": 134217728}}, {"dimensions": {"mem_reservation": 67108864}},
    ),
    "dimensions_cpu": (
        {"dimensions": {"cpu_period": 50000, "cpu_quota": 25000, "cpu_shares": 512}},
        {"dimensions": {"cpu_period": 50000, "cpu_quota": 30000, "cpu_shares": 512}},
    ),
    "dimensions_cpuset": ({"dimensions": {"cpuset_cpus": "0"}}, {"dimensions": {"cpuset_cpus": "0-1"}}),
    "dimensions_cpuset_mems": ({"dimensions": {"cpuset_mems": "0"}}, {"dimensions": {}}),
    "dimensions_ulimits": (
        {"dimensions": {"ulimits": {"core": {"soft": 100, "hard": 200}}}},
        {"dimensions": {"ulimits": {"core": {"soft": 100, "hard": 300}}}},
    ),
    "dimensions_ulimits_none": ({"dimensions": {"ulimits": {"core": {"soft": 100, "hard": 200}}}}, {"dimensions": {}}),
    "healthcheck": ({"healthcheck": CHECK}, {"healthcheck": {**CHECK, "retries": 4}}),
    "healthcheck_text": ({"healthcheck": {**CHECK, "test": "true"}}, {"healthcheck": CHECK}),
    "healthcheck_none": ({"healthcheck": {**CHECK, "test": "NONE"}}, {"healthcheck": CHECK}),
    "healthcheck_gone": ({"healthcheck": CHECK}, {}),
    "healthcheck_empty": ({"healthcheck": {}}, {"healthcheck": {**CHECK, "interval": 31}}),
    "image": ({}, {"image": "I:2"}),
    "image_alias": ({}, {"image": "I:alias"}),
}

CASES = {}
for name, (first, second) in SETTINGS.items():
    first, second = {**START, **first}, {**START, **second}
    CASES[f"start_{name}"] = [first]
    CASES[f"again_{name}"] = [first, first]
    CASES[f"compare_{name}"] = [first, {**second, "action": "compare_container"}]
    CASES[f"change_{name}"] = [first, second]

CASES |= {
    "compare_nothing": [again("compare_container")],
    "compare_same": [start(), again("compare_container")],
    "compare_stopped": [start(), again("stop_container"), again("compare_container")],
    "compare_state_exited": [start(), again("compare_container", state="exited")],
    "compare_changed_files": [
        start(environment={"CHECK_CODE": "1"}), again("compare_container", environment={"CHECK_CODE": "1"}),
    ],
    "compare_failing_check": [
        start(environment={"CHECK_CODE": "7"}), again("compare_container", environment={"CHECK_CODE": "7"}),
    ],
    "compare_killed_check": [
        start(environment={"CHECK_CODE": "137"}), again("compare_container", environment={"CHECK_CODE": "137"}),
    ],
    "compare_image_same": [start(), again("compare_image")],
    "compare_image_other": [start(), again("compare_image", image="I:2")],
    "compare_image_alias": [start(), again("compare_image", image="I:alias")],
    "compare_image_missing": [start(), again("compare_image", image="I:nowhere")],
    "compare_image_nothing": [again("compare_image")],
    "create_volume": [{"action": "create_volume", "name": "C_v"}],
    "create_volume_twice": [{"action": "create_volume", "name": "C_v"}] * 2,
    "remove_volume": [{"action": action, "name": "C_v"} for action in ("create_volume", "remove_volume")],
    "remove_volume_missing": [{"action": "remove_volume", "name": "C_v"}],
    "remove_volume_in_use": [start(volumes=["C_v:/v"]), {"action": "remove_volume", "name": "C_v"}],
    "ensure_image": [{"action": "ensure_image", "image": "I:1"}],
    "ensure_image_missing": [{"action": "ensure_image", "image": "127.0.0.1:9/nowhere:1"}],
    "pull_image_missing": [{"action": "pull_image", "image": "127.0.0.1:9/nowhere:1"}],
    "remove_image_missing": [{"action": "remove_image", "image": "I:nowhere"}],
    "start_missing_image": [start(image="127.0.0.1:9/nowhere:1")],
    "start_twice": [start(), start()],
    "start_stopped": [start(), again("stop_container"), start()],
    "start_oneshot": [start(restart_policy="oneshot"), start(restart_policy="oneshot")],
    "wait": [start(command="echo hello", detach=False, restart_policy="oneshot")],
    "wait_kept": [start(command="sh -c 'echo a; echo b >&2'", detach=False, restart_policy="oneshot", remove_on_exit=False)],
    "wait_failing": [start(command="sh -c 'echo a; exit 3'", detach=False, restart_policy="oneshot")],
    "wait_failing_kept": [
        start(command="sh -c 'exit 4'", detach=False, restart_policy="oneshot", remove_on_exit=False),
    ],
    "stop": [start(), again("stop_container")],
    "stop_twice": [start(), again("stop_container"), again("stop_container")],
    "stop_missing": [again("stop_container")],
    "stop_missing_ignored": [again("stop_container", ignore_missing=True)],
    "stop_oneshot": [start(restart_policy="oneshot"), again("stop_container", restart_policy="oneshot")],
    "stop_and_remove": [start(), again("stop_and_remove_container")],
    "stop_and_remove_missing": [again("stop_and_remove_container")],
    "restart": [start(), again("restart_container")],
    "restart_oneshot": [start(restart_policy="oneshot"), again("restart_container", restart_policy="oneshot")],
    "restart_stopped": [start(), again("stop_container"), again("restart_container")],
    "restart_missing": [again("restart_container")],
    "remove": [start(), again("remove_container")],
    "remove_stopped": [start(), again("stop_container"), again("remove_container")],
    "remove_missing": [again("remove_container")],
    "recreate_missing": [again("recreate_or_restart_container")],
    "recreate_same": [start(), again("recreate_or_restart_container")],
    "recreate_differs": [start(), again("recreate_or_restart_container", labels={"a": "b"})],
    "recreate_missing_image": [start(), again("recreate_or_restart_container", image="127.0.0.1:9/nowhere:1")],
    "wrong_action": [{"action": "dance", "name": "C"}],
    "wrong_argument": [start(imagine="x")],
    "wrong_choice": [start(ipc_mode="mine")],
    "wrong_truth": [start(detach="perhaps")],
    "wrong_number": [start(graceful_timeout="soon")],
    "no_name": [{"action": "stop_container"}],
    "no_image": [{"action": "start_container", "name": "C"}],
    "wrong_dimension": [start(dimensions={"mem_limits": 1})],
    "wrong_dimension_unit": [start(dimensions={"mem_limit": "1q"})],
    "wrong_healthcheck": [start(healthcheck={**CHECK, "start_interval": 1})],
    "short_healthcheck": [start(healthcheck={"test": "true"})],
    "wrong_healthcheck_number": [start(healthcheck={**CHECK, "interval": "soon"})],
    "wrong_group": [start(group_add=["no_such_group"])],
}
for strategy in ("COPY_ONCE", "COPY_ALWAYS"):
    env = {"environment": {"KOLLA_CONFIG_STRATEGY": strategy}}
    CASES[f"recreate_{strategy}"] = [start(**env), again("recreate_or_restart_container", **env)]
    CASES[f"recreate_{strategy}_differs"] = [start(**env), again("recreate_or_restart_container", labels={"a": "b"}, **env)]
