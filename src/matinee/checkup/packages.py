"""Python, the C library, and the packages that each part of Matinee needs, against what its own metadata asks for.

PyTorch and ONNX Runtime are loaded as well: both bring libraries of their own, and what they can use is this machine's.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from collections import defaultdict
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.version import Version

from matinee.checkup.finding import Finding, note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["extras", "packages"]

_CORE: Final = ""
_NEEDED_GLIBC: Final = (2, 28)  # the oldest that the wheels of NumPy, pyarrow and Numba run on
_PYTHON: Final = "Programming Language :: Python :: 3."
# What a person is missing without it; an extra that is not here is for those who work on Matinee.
_EXTRAS: Final = {
    "stack": "services on this machine",
    "cloud": "machines in the cloud",
    "train": "training",
    "serve": "serving",
    "dashboard": "the live page",
    "spark": "the Spark engine",
}

_LOAD_TIMEOUT_S: Final = 120
_ENGINES: Final = (
    (
        "torch",
        "PyTorch",
        (
            "import torch; gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())];"
            "print(', '.join(gpus) or f'CPU, {torch.get_num_threads()} threads')"
        ),
    ),
    (
        "onnxruntime",
        "ONNX Runtime",
        (
            "import onnxruntime; found = onnxruntime.get_available_providers();"
            "print(', '.join(name.removesuffix('ExecutionProvider') for name in found))"
        ),
    ),
)


def packages() -> Iterator[Finding]:
    """Python, the C library, Matinee itself, each extra, and what trains and asks models."""
    yield _python(sys.version_info[:3])
    yield _libc(*platform.libc_ver())
    yield from extras(_requirements())
    yield from engines()


def engines() -> Iterator[Finding]:
    """PyTorch and ONNX Runtime, where they are installed, with the processors that they can use."""
    for package, name, look in _ENGINES:
        if importlib.util.find_spec(package) is not None:  # what is missing is told with its extra
            yield _engine(package, name, look)


def extras(requirements: Mapping[str, list[Requirement]]) -> Iterator[Finding]:
    """One finding for the core and for each extra: the versions that are there, against those asked for."""
    yield _part("matinee", f"matinee {metadata.version('matinee')}", requirements[_CORE], "")
    for extra, purpose in _EXTRAS.items():
        if extra in requirements:
            yield _part(f"extra {extra}", purpose, requirements[extra], f"[{extra}]")


def _engine(package: str, name: str, look: str) -> Finding:
    """Loaded in a process of its own: a broken library may end more than an import."""
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=_LOAD_TIMEOUT_S, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return problem(name, f"{package} {metadata.version(package)}: {last}", f"install {package} again")
    return ok(name, f"{metadata.version(package)}, {done.stdout.strip()}")


def _python(version: tuple[int, int, int]) -> Finding:
    text = ".".join(map(str, version))
    said = metadata.metadata("matinee").get_all("Classifier") or []
    newest = max(int(line.removeprefix(_PYTHON)) for line in said if line.startswith(_PYTHON))
    if version[1] > newest:
        return note("Python", text, f"tested with 3.{newest} and older; if something breaks, use one of those")
    return ok("Python", f"{text}, {sys.executable}")


def _libc(name: str, version: str) -> Finding:
    found = f"{name or 'not glibc'} {version}".strip() + f", {platform.machine()}"
    needed = ".".join(map(str, _NEEDED_GLIBC))
    if name != "glibc":
        return problem("C library", found, f"the packages are built for glibc {needed}; use such a system, not Alpine")
    if tuple(int(part) for part in version.split(".")[:2]) < _NEEDED_GLIBC:
        return problem("C library", found, f"the packages need glibc {needed}; use a newer system (Debian 10 has it)")
    return ok("C library", found)


def _requirements() -> dict[str, list[Requirement]]:
    """What Matinee's own metadata asks for, by extra; '' is the core."""
    wanted: dict[str, list[Requirement]] = defaultdict(list)
    for line in metadata.requires("matinee") or ():
        requirement = Requirement(line)
        for extra in (_CORE, *_EXTRAS):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted[extra].append(requirement)
                break
    return wanted


def _part(check: str, purpose: str, requirements: list[Requirement], suffix: str) -> Finding:
    """The state of one set of packages."""
    there: list[str] = []
    missing: list[str] = []
    wrong: list[str] = []
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        there.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(Version(version), prereleases=True):
            wrong.append(f"{requirement.name} {version} (asked for {requirement.specifier})")
    install = f"{sys.executable} -m pip install 'matinee{suffix}'"
    if wrong:
        return problem(check, f"not what is asked for: {', '.join(wrong)}", install)
    if missing and suffix:
        return note(check, f"not installed: {', '.join(missing)}", f"only for {purpose}: {install}")
    if missing:
        return problem(check, f"not installed: {', '.join(missing)}", install)
    return ok(check, ", ".join(there) if suffix else f"{purpose}; {', '.join(there)}")
