#!/usr/bin/env python3
"""Writes a tree of small stand-in images in the shape of Kolla's graph: levels of 1, 28, 54, 103 and 2 images, 188 in all.

Each copies one file and runs one command on top of its parent. Python Kolla and our program render and build the tree alike:

    generate.py DIR --content "$(date)"
    kolla-build -b debian --images-dir DIR/docker ...
    target/parity/kolla-23.0.0/bin/python tests/stand_ins/python_kolla.py DIR -b debian ...

The root is called base, as Kolla wants it. All others have names that Kolla does not know, so that it has no sources and
no opinion on them. Other content makes other images, which no build cache holds.
"""

import argparse
import pathlib

GRAPH = pathlib.Path(__file__).resolve().parent / "graph.txt"
ROOT_IMAGE = "base"

FROM_BASE = "{{ base_image }}:{{ base_distro_tag }}"
FROM_PARENT = "{{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}"
DOCKERFILE = """\
FROM {origin}
COPY content /stand-ins/{image}
RUN test -s /stand-ins/{image} && touch /stand-ins/{image}.done
"""


def stand_in(name):
    """The stand-in's name of one of Kolla's images."""
    return name if name == ROOT_IMAGE else f"stand-in-{name}"


def graph():
    """Every stand-in and its parent, None for the root; parents before children."""
    for line in GRAPH.read_text().splitlines():
        if not line.startswith("#"):
            image, *parent = (stand_in(name) for name in line.split())
            yield image, (parent[0] if parent else None)


def generate(directory, content="", images=None):
    """Writes DIR/docker, and DIR/common/sources.yaml, which says that there are no sources.

    Images other than those of the graph are pairs of a name and a parent, None for the root.
    """
    directory = pathlib.Path(directory)
    for image, parent in images or graph():
        context = directory / "docker" / image
        context.mkdir(parents=True, exist_ok=True)
        origin = FROM_PARENT.format(parent=parent) if parent else FROM_BASE
        (context / "Dockerfile.j2").write_text(DOCKERFILE.format(origin=origin, image=image))
        (context / "content").write_text(f"{image} {content}\n")
    sources = directory / "common/sources.yaml"
    sources.parent.mkdir(exist_ok=True)
    sources.write_text("{}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", help="where to write")
    parser.add_argument("--content", default="", help="what every image's file holds beside its name")
    args = parser.parse_args()
    generate(args.directory, args.content)


if __name__ == "__main__":
    main()
