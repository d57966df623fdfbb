"""What a device receives and passes on: as it is, for good, to devices and to files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import local_target
from membuf.request import RequestType
from membuf.testing.expecting import Told
from tests.lower import Lower, ended


@pytest.fixture
def lower() -> Iterator[Lower]:
    yield from ended(Lower())


def test_a_received_request_is_passed_on_as_it_is(lower: Lower) -> None:
    upper = Lower(lower=local_target(lower.device))
    with upper.device.open() as handle:
        data = bytearray(8)
        pending = handle.start_read(data)
        above = upper.one()
        told = Told()
        above.format_current_type()
        above.send(told)
        below = lower.one()
        below.output_buffer()[:] = b"from low"
        below.complete(information=8)
        params = told.one()[2]
        assert (params.type, params.status) == (RequestType.NO_FORMAT, st.STATUS_SUCCESS)
        assert not pending.done
        above.complete(information=8)
        assert pending.wait() == (st.STATUS_SUCCESS, 8)
        assert data == b"from low"
        told.forget()
    upper.device.delete()


def test_a_forgotten_request_ends_below(lower: Lower) -> None:
    events: list[str] = []
    upper = Lower(lower=local_target(lower.device))
    with upper.device.open() as handle:
        pending = handle.start_write(b"onward")
        above = upper.one()
        above.add_context(dict, on_cleanup=lambda _: events.append("cleanup"))
        memory = above.input_memory()
        above.send(send_and_forget=True)
        assert events == ["cleanup"]
        with pytest.raises(membuf.MembufError):
            memory.copy_to(bytearray(1))
        below = lower.one()
        assert bytes(below.input_buffer()) == b"onward"
        below.complete(st.STATUS_DISK_FULL, 0)
        assert pending.wait()[0] == st.STATUS_DISK_FULL
    upper.device.delete()


def test_a_device_over_a_file_passes_on_what_it_receives(tmp_path: Any) -> None:
    (tmp_path / "image").write_bytes(b"in the file")
    for uri in ("file:", "log+stats+file:"):
        with membuf.open_target(f"{uri}{tmp_path / 'image'}") as file:
            device = membuf.Device(lower=file)

            @device.on_default
            def pass_on(request: Any) -> None:
                request.send(send_and_forget=True)

            @device.on_read
            def read(request: Any) -> None:
                request.format_read(request.output_memory(), request.offset)
                request.send(
                    lambda r, _t, params, _c: r.complete(params.status, params.information)
                )

            with device.open() as handle:
                assert handle.read(4, 7) == b"file"
                assert handle.write(b"FILE", 7) == 4
                assert handle.read(11, 0) == b"in the FILE"
                handle.flush()
                with pytest.raises(membuf.MembufError) as caught:
                    handle.ioctl(0x222000, b"x", 4)
                assert caught.value.status == st.STATUS_INVALID_DEVICE_REQUEST
            device.delete()
        (tmp_path / "image").write_bytes(b"in the file")


def test_function_over_filter_over_device_over_file(tmp_path: Any) -> None:
    (tmp_path / "image").write_bytes(bytes(64))
    file = membuf.open_target(f"stats+file:{tmp_path / 'image'}")
    disk = membuf.Device("stacked-disk", lower=file, filter=True)
    middle = membuf.Device(lower=local_target(disk), filter=True)
    top = membuf.Device("stacked-top", lower=local_target(middle), filter=True)
    with membuf.open_target("log+device:stacked-top") as target:
        assert target.write(b"all the way down", 8) == 16
        memory = membuf.Memory(16)
        assert asyncio.run(read_once(target, memory)) == 16
        assert bytes(memory) == b"all the way down"
        assert memory.reference_count == 1
    assert file.figures["write"].bytes == 16  # type: ignore[attr-defined]
    for thing in (top, middle, disk, file):
        thing.delete()


async def read_once(target: Any, memory: Any) -> int:
    return int(await target.read_async(memory, 8))


def test_a_cancelled_originator_cancels_the_file_below() -> None:
    import os

    reading, writing = os.pipe()
    with membuf.open_target(f"fd:{reading}") as pipe:
        device = membuf.Device(lower=pipe, filter=True)
        with device.open() as handle:
            pending = handle.start_read(bytearray(8))
            assert pending.cancel()
            assert pending.wait() == (st.STATUS_CANCELLED, 0)
        device.delete()
    os.close(reading)
    os.close(writing)


def test_a_filter_between_two_devices_passes_everything_on(lower: Lower) -> None:
    from membuf.target.filters import Stats

    between = Stats(local_target(lower.device))
    upper = membuf.Device(lower=between, filter=True)
    with upper.open() as handle:
        pending = handle.start_write(b"onward")
        below = lower.one()
        assert bytes(below.input_buffer()) == b"onward"
        below.complete(information=6)
        assert pending.wait() == (st.STATUS_SUCCESS, 6)
        pending = handle.start_ioctl(0x222000, b"in", bytearray(4))
        lower.one().complete(st.STATUS_DISK_FULL, 0)
        assert pending.wait() == (st.STATUS_DISK_FULL, 0)
        pending = handle.start_read(bytearray(4))
        below = lower.one()
        below.mark_cancelable(lambda request: request.complete(st.STATUS_CANCELLED))
        assert pending.cancel()
        assert pending.wait() == (st.STATUS_CANCELLED, 0)
        assert between.figures["write"].count == between.figures["read"].errors == 1
    upper.delete()
    between.close()
