"""What the build finds in a module, without building a component of it."""

import contextlib
import io
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from hostel import build

HANDLER = "import hostel\n\n@hostel.handler\ndef handle(event: hostel.Event) -> None: ...\n"
INIT = "\n@hostel.init\ndef prepare() -> None: ...\n"


class Building(unittest.TestCase):
    def inspected(self, name: str, source: str) -> build.Uses:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / f"{name}.py").write_text(source)
            return build.inspect_module(name, Path(folder))

    def test_an_init_is_noticed_and_exported(self) -> None:
        without, with_init = self.inspected("bare", HANDLER), self.inspected("prepared", HANDLER + INIT)
        self.assertEqual((without.has_init, with_init.has_init), (False, True))
        self.assertNotIn("lifecycle", build.world(without) + build.entry("bare", without))
        self.assertIn("export hostel:handler/lifecycle@0.1.0;", build.world(with_init))
        self.assertIn("class HostelHandlerLifecycle010", build.entry("prepared", with_init))

    def test_key_value_stores_are_imported_only_by_who_uses_them(self) -> None:
        nothing = build.Uses(has_init=False, has_key_value=False, has_http=False)
        self.assertNotIn("wasi:keyvalue", build.world(nothing))
        self.assertIn("import wasi:keyvalue/store@", build.world(replace(nothing, has_key_value=True)))

    def test_requests_are_imported_only_by_who_sends_them(self) -> None:
        nothing = build.Uses(has_init=False, has_key_value=False, has_http=False)
        self.assertNotIn("wasi:http", build.world(nothing))
        self.assertIn("import wasi:http/outgoing-handler@", build.world(replace(nothing, has_http=True)))

    def test_a_module_without_a_handler_is_refused(self) -> None:
        with self.assertRaisesRegex(build.BuildError, "module `empty` has no function with @hostel.handler"):
            self.inspected("empty", "import hostel\n")

    def test_a_module_that_cannot_be_imported_is_refused_with_the_place(self) -> None:
        with self.assertRaisesRegex(build.BuildError, r"cannot import `broken`:[^$]*broken\.py\", line 1"):
            self.inspected("broken", "1 / 0\n")

    def test_two_handlers_in_one_module_are_refused(self) -> None:
        second = HANDLER + "\n@hostel.handler\ndef other(event: hostel.Event) -> None: ...\n"
        with self.assertRaisesRegex(build.BuildError, "two functions with @hostel.handler: `handle` and `other`"):
            self.inspected("twice", second)

    def test_the_command_tells_misuse_from_failure(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as misused:
            build.main([])
        self.assertEqual(misused.exception.code, 2)
        with contextlib.redirect_stderr(said):
            self.assertEqual(build.main(["no_such_module"]), 1)
        self.assertIn("error: cannot import `no_such_module`", said.getvalue())


class Contract(unittest.TestCase):
    def test_the_copy_of_the_contract_is_current(self) -> None:
        def files(root: Path) -> dict[str, str]:
            return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.wit")}

        here = Path(__file__).parent
        contract = files(here.parents[2] / "wit")
        self.assertIn("handler.wit", contract)
        copy = files(here.parent / "src/hostel/wit")
        self.assertEqual(copy, contract, "copy wit/ of the repository to guest-sdk/python/src/hostel")
