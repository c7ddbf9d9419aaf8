"""Reads the dependency tree from cargo, for scripts/supply/sbom and scripts/supply/dependencies."""
import functools
import json
import pathlib
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def checksums():
    """Returns the SHA-256 of each crate archive by name and version."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


class Tree:
    """The crates of one target, without development dependencies."""

    def __init__(self, target):
        self._target = target
        command = ["metadata", "--format-version=1", f"--filter-platform={target}"]
        metadata = json.loads(cargo(*command))
        self._packages = {package["id"]: package for package in metadata["packages"]}
        self._nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        self.root = self._packages[metadata["resolve"]["root"]]

    def direct(self):
        """Returns the names of the direct dependencies of the binary."""
        return sorted({package["name"] for package in self._of(self.root)})

    def linked_of(self, package):
        """Returns the dependencies of a crate that are linked."""
        linked = {other["id"] for other in self.linked()}
        return [other for other in self._of(package) if other["id"] in linked]

    def linked(self):
        """Returns all linked crates including polyarch, without procedural macros."""
        return self._listed("normal,no-proc-macro")

    def built(self):
        """Returns all compiled crates, including procedural macros and build dependencies."""
        return self._listed("normal,build")

    def _of(self, package):
        for dependency in self._nodes[package["id"]]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                yield self._packages[dependency["pkg"]]

    @functools.cache
    def _listed(self, edges):
        # `cargo metadata` includes the features of development dependencies; `cargo tree` omits them.
        command = ["tree", f"--target={self._target}", f"--edges={edges}", "--prefix=none", "--format={p}"]
        listed = {tuple(line.split()[:2]) for line in cargo(*command).splitlines()}
        found = [
            package
            for package in self._packages.values()
            if (package["name"], f"v{package['version']}") in listed
        ]
        return sorted(found, key=lambda package: (package["name"], package["version"]))


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def has_build_script(package):
    return any("custom-build" in target["kind"] for target in package["targets"])
