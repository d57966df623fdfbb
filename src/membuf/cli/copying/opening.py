"""The source and the destination that a job names, each by the kind that it is of."""

from __future__ import annotations

from contextlib import AbstractContextManager

from membuf.cli.copying.destination import Destination
from membuf.cli.copying.file_destination import open_file_destination
from membuf.cli.copying.file_source import open_file_source
from membuf.cli.copying.job import Job
from membuf.cli.copying.naming import place_of
from membuf.cli.copying.source import Source


def open_source(job: Job) -> AbstractContextManager[Source]:
    """What opens what a job reads.

    Raises:
        CommandError: it has no name that means anything; opening it raises others.
    """
    place = place_of(job.source)
    if place.is_file:
        return open_file_source(job, place)
    from membuf.cli.copying.disks import open_disk_source

    return open_disk_source(job, place)


def open_destination(job: Job, source: Source) -> AbstractContextManager[Destination]:
    """What opens what a job writes; see `open_source`."""
    place = place_of(job.destination, output=True)
    if place.is_file:
        return open_file_destination(job, place, source)
    from membuf.cli.copying.disks import open_disk_destination

    return open_disk_destination(job, place, source)
