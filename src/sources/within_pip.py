"""What pip does otherwise while it downloads a source. This file is on Python's path as sitecustomize.

- Nothing of a source distribution runs: pip asks for its metadata even when it only downloads. In the process that it
  starts for a build backend, a module that knows the name and the version takes the backend's place.
- No redirect leads from https to http, where anybody on the way could change the answer.
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


def refuse_redirects_to_http():
    """Replaces what requests, which pip brings, follows redirects by; without it pip must not run."""
    try:
        from pip._internal.exceptions import InstallationError
        from pip._vendor.requests import sessions
        from urllib.parse import urljoin, urlsplit

        redirect_target = sessions.SessionRedirectMixin.get_redirect_target
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and error.name == "pip":
            # Python says itself that there is none.
            return
        sys.exit("this pip's requests can't be kept from http: {}".format(error))

    def guarded(session, response):
        target = redirect_target(session, response)
        if target and urlsplit(response.url).scheme == "https":
            if urlsplit(urljoin(response.url, target)).scheme != "https":
                raise InstallationError("it leads from https to http, where anybody on the way could change the answer")
        return target

    sessions.SessionRedirectMixin.get_redirect_target = guarded


if not backend:
    refuse_redirects_to_http()
else:
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
