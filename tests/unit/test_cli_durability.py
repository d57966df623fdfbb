"""A copy is claimed when it is durable: what reaches the system, and in which order."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from membuf.bus.file import FileTarget
from membuf.cli.copying import Job, Result, Silent, copy
from membuf.cli.copying.staging import StagedFile
from membuf.cli.failure import CommandError, ExitCode
from membuf.cli.signals import Signals
from tests.cli import make_data


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the system is asked to do, in order."""
    made: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **options: Any) -> Any:
            what = name
            if name == "fsync":
                directory = stat.S_ISDIR(os.fstat(first).st_mode)
                what = "fsync of the directory" if directory else "fsync of the file"
            made.append(what)
            return real(first, *rest, **options)

        return call

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noting("rename", os.replace))
    monkeypatch.setattr(FileTarget, "write", noting("write", FileTarget.write))
    monkeypatch.setattr(FileTarget, "read", noting("read", FileTarget.read))
    monkeypatch.setattr(FileTarget, "flush", noting("flush", FileTarget.flush))
    return made


def run(folder: Path, **options: Any) -> Result:
    """Copy src to dst."""
    job = Job(source=str(folder / "src"), destination=str(folder / "dst"), **options)
    with Signals() as signals:
        return copy(job, Silent(), signals)


def test_the_name_comes_after_the_bytes_and_its_directory_after_the_name(
    tmp_path: Path, calls: list[str]
) -> None:
    make_data(tmp_path / "src", 100)
    result = run(tmp_path, verify=True)
    assert result.durable
    assert calls == [
        "read",
        "write",
        "flush",
        "read",
        "fsync of the file",
        "rename",
        "fsync of the directory",
    ]


def test_a_file_that_cannot_be_made_durable_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path / "src", 100)
    (tmp_path / "dst").write_bytes(b"precious")

    def fail(self: FileTarget, **options: Any) -> None:
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(FileTarget, "flush", fail)
    with pytest.raises(
        CommandError, match="dst could not be made durable: Input/output"
    ) as failure:
        run(tmp_path)
    assert failure.value.code == ExitCode.FAILED
    assert (tmp_path / "dst").read_bytes() == b"precious"


@pytest.mark.parametrize("call", ["link", "replace", "fchmod"])
def test_a_name_that_cannot_be_given_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    make_data(tmp_path / "src", 100)
    (tmp_path / "dst").write_bytes(b"precious")

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EDQUOT, "planted")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CommandError, match="dst could not be made durable") as failure:
        run(tmp_path)
    assert failure.value.code == ExitCode.FULL
    monkeypatch.undo()
    assert (tmp_path / "dst").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dst", "src"]


@pytest.mark.parametrize("unnamed", [True, False])
def test_a_staged_file_appears_when_it_is_published_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    if not unnamed:
        refuse_unnamed_files(monkeypatch)
    for publish in (False, True):
        staged = StagedFile(str(tmp_path / "dst"), None, 0o640)
        Path(staged.path).write_bytes(b"complete")
        hidden = [path.name for path in tmp_path.iterdir()]
        assert len(hidden) == (0 if unnamed else 1)
        if publish:
            staged.publish()
        staged.close()
        assert [path.name for path in tmp_path.iterdir()] == (["dst"] if publish else [])
    assert (tmp_path / "dst").read_bytes() == b"complete"
    assert stat.S_IMODE((tmp_path / "dst").stat().st_mode) == 0o640


def refuse_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system be one that has no files without a name."""
    real = os.open

    def refuse(path: str, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "planted")
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)


def test_the_owner_is_kept_where_we_may_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path / "src", 100)
    (tmp_path / "dst").write_bytes(b"old")
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda fd, user, group: asked.append((user, group)))
    run(tmp_path)
    before = (tmp_path / "src").stat()
    assert asked == [(-1, before.st_gid), (before.st_uid, -1)]

    def refuse(fd: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "planted")

    monkeypatch.setattr(os, "fchown", refuse)
    assert run(tmp_path).durable
