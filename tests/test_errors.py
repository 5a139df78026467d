"""The line that a user reads of an error of the disk."""

from __future__ import annotations

import errno
import os

import pytest

from ssl_zoo.errors import ADVICE, DiskError, describe_os_error


@pytest.mark.parametrize("number", ADVICE)
def test_an_error_of_the_disk_comes_with_the_file_and_what_to_do_next(number: int) -> None:
    line = describe_os_error(OSError(number, os.strerror(number), "out/file"))
    assert line == f"'out/file': {os.strerror(number)}; {ADVICE[number]}"


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES]
)
def test_errors_of_a_disk_have_advice(number: int) -> None:
    assert number in ADVICE


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENAMETOOLONG])
def test_a_folder_that_is_gone_and_a_name_that_is_too_long_have_advice(number: int) -> None:
    assert "; " in describe_os_error(OSError(number, os.strerror(number), "out/file"))


def test_what_is_kept_comes_last() -> None:
    line = describe_os_error(DiskError(OSError(errno.EIO, "Input/output error", "x"), "the rest is kept"))
    assert line == "'x': Input/output error; check the disk; the rest is kept"
