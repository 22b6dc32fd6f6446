"""The command line, called in this process."""

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

import pytest

from smidgen.cli import main


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def smidgen(*arguments: object) -> Outcome:
    """Run one command as the console script does."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["smidgen", *map(str, arguments)]),
        mock.patch.object(sys, "warnoptions", ["error"]),  # here warnings are wanted, and are errors
        mock.patch("smidgen.cli.leave", sys.exit),  # the end of a command is not that of the tests
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return Outcome(ended.value.code, out.getvalue(), err.getvalue())
