"""The least that can be done to build a graph of images: a loop that sends each build to the daemon once its parent is there."""

import concurrent.futures
import http.client
import io
import json
import os
import socket
import tarfile
import time
import urllib.parse

DEFAULT_SOCKET = "/var/run/docker.sock"


class Connection(http.client.HTTPConnection):
    """A connection to the daemon's socket."""

    def __init__(self):
        super().__init__("localhost")

    def connect(self):
        address = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or DEFAULT_SOCKET
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(address)


def archive(directory):
    """A directory as a tar archive."""
    out = io.BytesIO()
    # BuildKit of Docker 20.10 does not take an archive that begins with a PAX header for one.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(directory, arcname=".")
    return out.getvalue()


def build(context, reference, version):
    """One build, to the end of its answer. The version is 1 for the classic builder, 2 for BuildKit."""
    query = {"t": reference, "version": version, "rm": "1", "forcerm": "1", "networkmode": "host"}
    connection = Connection()
    headers = {"Content-Type": "application/x-tar"}
    connection.request("POST", f"/build?{urllib.parse.urlencode(query)}", context, headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    messages = [json.loads(line) for line in said.splitlines()]
    errors = [message for message in messages if "error" in message or "message" in message]
    if answer.status != http.HTTPStatus.OK or errors:
        raise RuntimeError(f"{reference}: {answer.status} {errors or said[-500:]}")


def build_all(graph, contexts, reference, version, threads):
    """Builds every image, a parent before its children; how many seconds it took. Contexts are archived before."""
    children, archives = {}, {}
    for image, parent in graph:
        children.setdefault(parent, []).append(image)
        archives[image] = archive(contexts / image)
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        def submit(images):
            return {pool.submit(build, archives[image], reference(image), version): image for image in images}

        running = submit(children[None])
        while running:
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                future.result()
                running |= submit(children.get(running.pop(future), []))
    return time.perf_counter() - started
