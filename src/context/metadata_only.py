"""Answers pip's question for a source distribution's metadata, so that nothing of the distribution runs.

pip asks even when it only downloads. This file is on the path as sitecustomize: in the process that pip starts for a
build backend, a module that knows the name and the version takes the backend's place.
"""
import os
import sys
import types

backend = os.environ.get("_PYPROJECT_HOOKS_BUILD_BACKEND") or os.environ.get("PEP517_BUILD_BACKEND")


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name, version = os.environ["KOLLA_BUILD_PYPI_NAME"], os.environ["KOLLA_BUILD_PYPI_VERSION"]
    info = "{}-{}.dist-info".format(name.replace("-", "_"), version)
    os.mkdir(os.path.join(directory, info))
    with open(os.path.join(directory, info, "METADATA"), "w") as metadata:
        metadata.write("Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(name, version))
    return info


if backend:
    module_path, _, attributes = backend.partition(":")
    answering = types.ModuleType(module_path)
    parts = module_path.split(".")
    for depth in range(1, len(parts)):
        parent = types.ModuleType(".".join(parts[:depth]))
        parent.__path__ = []
        sys.modules[parent.__name__] = parent
    sys.modules[module_path] = answering
    for part in filter(None, attributes.split(".")):
        inner = types.SimpleNamespace()
        setattr(answering, part, inner)
        answering = inner
    answering.get_requires_for_build_wheel = get_requires_for_build_wheel
    answering.prepare_metadata_for_build_wheel = prepare_metadata_for_build_wheel
