"""Builds a component out of a handler's module: ``python -m hostel.build MODULE``.

It imports the module to see what it uses, writes the world of that, and hands both to componentize-py. Imported means
run: what a module does at its top level happens at the build, and the component starts from what that left.
"""

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hostel import _handler

_CONTRACT = Path(__file__).parent / "wit"
_PACKAGES = Path(__file__).parent.parent

_IMPORTS = ("hostel:handler/publisher@0.1.0", "wasi:logging/logging@0.1.0-draft", "wasi:config/store@0.2.0-rc.1")
_KEY_VALUE = ("wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/atomics@0.2.0-draft")
_HTTP = ("wasi:http/outgoing-handler@0.2.12",)


class BuildError(Exception):
    """A mistake that the author can cure."""


@dataclass(frozen=True)
class Uses:
    """What a module uses of the contract."""

    has_init: bool
    has_key_value: bool
    has_http: bool


def build(module: str, output: Path, *, folder: Path = Path()) -> None:
    """Builds the module of that name in ``folder`` and writes the component to ``output``."""
    uses = inspect_module(module, folder)
    with tempfile.TemporaryDirectory(prefix="hostel-build-") as name:
        work = Path(name)
        lay_out(work / "wit", uses)
        (work / "hostel_component.py").write_text(entry(module, uses))
        made = work / "component.wasm"
        _componentize(work, folder, made)
        output.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a host may be reading the old one.
        whole = output.with_name(f"{output.name}.new")
        shutil.copyfile(made, whole)
        os.replace(whole, output)


def inspect_module(module: str, folder: Path) -> Uses:
    """Imports a module as a test would and looks at what it defines and what it imported."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        importlib.import_module(module)
    except Exception as error:
        raise BuildError(f"cannot import `{module}`:\n{traceback.format_exc()}") from error
    finally:
        sys.path.pop(0)
    if module not in _handler.handlers:
        raise BuildError(f"module `{module}` has no function with @hostel.handler")
    return Uses(
        has_init=module in _handler.inits,
        has_key_value="hostel.keyvalue" in sys.modules,
        has_http="hostel.http" in sys.modules,
    )


def world(uses: Uses) -> str:
    """The text of a module's world."""
    imports = _IMPORTS + (_KEY_VALUE if uses.has_key_value else ()) + (_HTTP if uses.has_http else ())
    lines = [f"    import {name};" for name in imports]
    lines.append("    export hostel:handler/subscriber@0.1.0;")
    if uses.has_init:
        lines.append("    export hostel:handler/lifecycle@0.1.0;")
    return "package hostel:sdk;\n\nworld component {\n" + "\n".join(lines) + "\n}\n"


def entry(module: str, uses: Uses) -> str:
    """The text of the module that componentize-py runs. The classes' names are those that it looks for."""
    # First of all: what the interpreter in the component would write beside the sources is of no use to anybody.
    text = "import sys\n\nsys.dont_write_bytecode = True\n\n"
    # Now, as a module that is first imported inside a function is not in the component.
    text += "from hostel import _component_http\n" if uses.has_http else ""
    text += f"from hostel import _exports\nimport {module}\n\n\n"
    text += f"class HostelHandlerSubscriber010(_exports.Subscriber):\n    module = {module!r}\n"
    if uses.has_init:
        text += f"\n\nclass HostelHandlerLifecycle010(_exports.Lifecycle):\n    module = {module!r}\n"
    return text


def lay_out(folder: Path, uses: Uses) -> None:
    """Lays out a folder of WIT whose world ``component`` is that of a module."""
    shutil.copytree(_CONTRACT / "deps", folder / "deps")
    handler = folder / "deps" / "hostel-handler"
    handler.mkdir()
    shutil.copyfile(_CONTRACT / "handler.wit", handler / "handler.wit")
    (folder / "component.wit").write_text(world(uses))


def _componentize(work: Path, folder: Path, made: Path) -> None:
    program = Path(sys.executable).with_name("componentize-py")
    found = str(program) if program.is_file() else shutil.which("componentize-py")
    if found is None:
        raise BuildError(
            "componentize-py is not installed; cure: pip install --require-hashes -r requirements-build.txt, "
            "in guest-sdk/python"
        )
    # Where Python finds them, so that the component has what the tests had.
    paths = [str(work), str(folder.resolve()), str(_PACKAGES), sysconfig.get_path("purelib")]
    command = [found, "--quiet", "--full-names", "--wit-path", str(work / "wit"), "--world", "component"]
    command += ["componentize", "--output", str(made)]
    for path in paths:
        command += ["--python-path", path]
    ran = subprocess.run([*command, "hostel_component"], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise BuildError(f"componentize-py could not build it:\n{(ran.stdout + ran.stderr).strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0 done, 1 not done, 2 misused, as the command ``hostel`` has it."""
    parser = argparse.ArgumentParser(prog="hostel-build", description="Builds a component for Hostel.")
    parser.add_argument("module", metavar="MODULE", help="the module with @hostel.handler, such as `orders`")
    parser.add_argument("-o", "--output", type=Path, help="where to write it; target/MODULE.wasm unless given")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the module is; here unless given")
    options = parser.parse_args(arguments)
    output = options.output or Path("target") / f"{options.module}.wasm"
    began = time.monotonic()
    print(f"building {options.module}: running it up to its first event and keeping the snapshot …", file=sys.stderr)
    try:
        build(options.module, output, folder=options.folder)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = -(-output.stat().st_size // 1024)
    print(f"built {output}: {size} KiB in {time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
