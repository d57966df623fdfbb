r"""A disk whose sectors are encrypted, over any other target: AES in XTS mode, as dm-crypt uses it.

    pip install "membuf[examples]"
    head -c 64 /dev/urandom > disk.key           # 64 bytes are AES-256, 32 bytes are AES-128
    truncate -s 1G disk.img
    membuf serve examples/encrypted_disk.py --nbd "nbd+unix:///?socket=vault.sock" \
        --set below=file:disk.img --set keyfile=disk.key
    qemu-img convert -n debian.qcow2 "nbd+unix:///?socket=vault.sock"
    strings disk.img | head                      # nothing of it is to be seen

The handlers are coroutines: while the target below reads or writes, others are served.

What it does not protect against: who can write to the target below can put an old sector back or
turn one into noise, and nobody notices (XTS encrypts, it does not authenticate). Who sees it twice
sees which sectors have changed, and trimmed ones. A wrong key is not noticed either: with it the
disk is noise. There is no header, no passphrase and no way to change the key; lose the file, and
the data are gone.

To try next: another disk for the target below (`--set below=ram:64MiB`, `nbd://...`), or a header
with a salt, so that the key can come from a passphrase (`cryptography` has scrypt).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import membuf
from membuf.request import ReceivedRequest
from membuf.target import Target

SECTORS = {"512": 512, "4096": 4096}
KEY_SIZES = (32, 64)


class SectorCipher:
    """AES-XTS, sector by sector: the number of each sector is its tweak."""

    def __init__(self, key: bytes, sector: int) -> None:
        if len(key) not in KEY_SIZES:
            raise ValueError(
                f"the file of the key must have 32 bytes (AES-128) or 64 bytes (AES-256); it has "
                f"{len(key)}"
            )
        if key[: len(key) // 2] == key[len(key) // 2 :]:
            raise ValueError("the halves of the key are equal: it does not come from a good source")
        self._key, self._sector = algorithms.AES(key), sector

    def encrypt(self, data: memoryview, offset: int) -> bytearray:
        """The encrypted bytes of whole sectors."""
        return self._each(data, offset, lambda cipher: cipher.encryptor().update)

    def decrypt(self, data: memoryview, offset: int) -> bytearray:
        """What `encrypt` was given."""
        return self._each(data, offset, lambda cipher: cipher.decryptor().update)

    def _each(
        self,
        data: memoryview,
        offset: int,
        turn: Callable[[Cipher[modes.XTS]], Callable[[memoryview], bytes]],
    ) -> bytearray:
        size, result = self._sector, bytearray()
        for begin in range(0, len(data), size):
            tweak = ((offset + begin) // size).to_bytes(16, "little")
            result += turn(Cipher(self._key, modes.XTS(tweak)))(data[begin : begin + size])
        return result


def open(below: str, keyfile: str, sector: str = "4096") -> membuf.Disk:  # noqa: A001
    """Make the disk: `below=` a target's name, `keyfile=` a path, `sector=` 512 or 4096."""
    if sector not in SECTORS:
        raise ValueError(f"sector is 512 or 4096; got {sector!r}")
    block = SECTORS[sector]
    cipher = SectorCipher(Path(keyfile).read_bytes(), block)
    lower = membuf.open_target(below)
    size = lower.size // block * block
    if not size:
        lower.close()
        raise ValueError(f"{below} is shorter than a sector of {block} bytes")
    disk = membuf.Disk("vault", size=size, block_size=block, on_cleanup=lambda _: lower.close())
    attach(disk, lower, cipher)
    return disk


def attach(disk: membuf.Disk, lower: Target, cipher: SectorCipher) -> None:
    """Give the disk its handlers."""

    @disk.on_read
    async def read(request: ReceivedRequest) -> None:
        try:
            memory = request.output_memory()
            count = await lower.read_async(memory, request.offset)
        except membuf.MembufError as error:
            request.complete(error.status)
            return
        memory.copy_from(cipher.decrypt(memory.buffer[:count], request.offset))
        request.complete(information=count)

    @disk.on_write
    async def write(request: ReceivedRequest) -> None:
        data = cipher.encrypt(request.input_buffer(), request.offset)
        try:
            count = await lower.write_async(data, request.offset)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=count)

    @disk.on_flush
    async def flush(request: ReceivedRequest) -> None:
        try:
            await asyncio.to_thread(lower.flush)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete()

    @disk.on_trim
    async def trim(offset: int, length: int) -> None:
        await asyncio.to_thread(lower.trim, offset, length)
