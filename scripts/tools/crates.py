"""What cargo knows of the crates that polyarch is made of, for scripts/sbom and scripts/dependencies."""
import functools
import json
import pathlib
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def checksums():
    """The SHA-256 of each crate's archive, by name and version."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


class Tree:
    """The crates of one target, without those that only tests need."""

    def __init__(self, target):
        self._target = target
        command = ["metadata", "--format-version=1", f"--filter-platform={target}"]
        metadata = json.loads(cargo(*command))
        self._packages = {package["id"]: package for package in metadata["packages"]}
        self._nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        self.root = self._packages[metadata["resolve"]["root"]]

    def direct(self):
        """What Cargo.toml asks for, for the binary."""
        return sorted({package["name"] for package in self._of(self.root)})

    def linked_of(self, package):
        """What is linked because of a crate."""
        linked = {other["id"] for other in self.linked()}
        return [other for other in self._of(package) if other["id"] in linked]

    def linked(self):
        """Everything that is linked, polyarch included: no macros."""
        return self._listed("normal,no-proc-macro")

    def built(self):
        """Everything that is compiled to make the binary: macros and what build scripts use, too."""
        return self._listed("normal,build")

    def _of(self, package):
        for dependency in self._nodes[package["id"]]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                yield self._packages[dependency["pkg"]]

    @functools.cache
    def _listed(self, edges):
        # Metadata knows every feature that anything asks for; only `tree` leaves out what tests ask for.
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
