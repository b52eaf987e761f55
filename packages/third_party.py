#!/usr/bin/env python3
"""Prints the libraries that are part of a program, with their licences: `third_party.py CRATE`, and `cargo metadata` on stdin."""

import json
import pathlib
import sys


def parts(metadata, root):
    """The ids of the packages that a crate is linked with, its own workspace's left out."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, ahead = set(), [package["id"] for package in metadata["packages"] if package["name"] == root]
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            linked = [d["pkg"] for d in nodes[one]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
            ahead.extend(linked)
    return found - set(metadata["workspace_members"])


def licence_texts(package):
    """What stands in the licence files of a package, with those of the C library in it."""
    folder = pathlib.Path(package["manifest_path"]).parent
    for file in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")):
            yield file.read_text(errors="replace").strip()


def main():
    metadata = json.load(sys.stdin)
    wanted = parts(metadata, sys.argv[1])
    texts = {}
    for package in sorted(metadata["packages"], key=lambda package: package["name"]):
        if package["id"] in wanted:
            name = f"{package['name']} {package['version']}"
            print(f"{name}: {package['license'] or 'see below'}")
            for text in licence_texts(package):
                texts.setdefault(text, []).append(name)
    for text, names in texts.items():
        unique = ", ".join(dict.fromkeys(names))
        print(f"\n{'=' * 80}\n{unique}\n{'=' * 80}\n\n{text}")


if __name__ == "__main__":
    main()
