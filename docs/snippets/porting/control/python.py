from struct import pack, unpack_from

import membuf

SUM = membuf.ControlCode(0x22, 0x800).encode()
device = membuf.Device("sums")


@device.on_ioctl
def control(request):
    if request.code != SUM:
        request.complete(membuf.wdf.STATUS_INVALID_DEVICE_REQUEST)
        return
    first, second = unpack_from("II", request.input_buffer(8))
    request.output_buffer(4)[:4] = pack("I", first + second)
    request.complete(information=4)


with device.open() as handle:
    answer = handle.ioctl(SUM, pack("II", 20, 22), 4)
    assert answer == pack("I", 42)
