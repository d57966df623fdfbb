"""A file beside its later place, for as long as it is not complete."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path


class StagedFile:
    """A new regular file that gets its name when it is complete, or never.

    Where the file system can, it has no name until then: even a killed copy leaves nothing behind.
    Elsewhere it has a hidden name in the same directory. A file that has the name is replaced, in
    one step; its permissions stay, and its owner where we may set it.

    Args:
        name: the later name.
        existing: the file that has it now.
        permissions: of the new file.

    Attributes:
        path: under this name the file can be opened meanwhile.

    Raises:
        OSError: the directory is missing or takes no new file.
    """

    def __init__(self, name: str, existing: os.stat_result | None, permissions: int) -> None:
        self.name = name
        self._existing = existing
        self._permissions = permissions
        folder, self._final = os.path.split(os.path.realpath(name))
        self._hidden: str | None = None
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fd = self._open(folder)
        except BaseException:
            os.close(self._folder)
            raise
        if self._hidden is None:
            self.path = f"/proc/self/fd/{self._fd}"
        else:
            self.path = f"{folder}/{self._hidden}"

    def _open(self, folder: str) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        # A file without a name is opened again, and named, by way of /proc.
        if Path("/proc/self/fd").is_dir():
            try:
                return os.open(folder, flags | os.O_TMPFILE, 0o600)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
        self._hidden = _hidden_name()
        return os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)

    def publish(self) -> None:
        """Name the file; when this returns, name and bytes survive a crash."""
        if self._existing is not None:
            with contextlib.suppress(PermissionError):
                os.fchown(self._fd, -1, self._existing.st_gid)
                os.fchown(self._fd, self._existing.st_uid, -1)
        os.fchmod(self._fd, self._permissions)
        os.fsync(self._fd)
        if self._hidden is None:
            hidden = _hidden_name()
            # Only linkat() follows the link in /proc; a directory descriptor selects it.
            os.link(self.path, hidden, dst_dir_fd=self._folder, follow_symlinks=True)
            self._hidden = hidden
        os.replace(self._hidden, self._final, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._hidden = None
        os.fsync(self._folder)

    def close(self) -> None:
        """Drop the file, unless it was published."""
        os.close(self._fd)
        if self._hidden is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._folder)
        os.close(self._folder)


def _hidden_name() -> str:
    return f".membuf-{os.urandom(8).hex()}"
