from typing import final

@final
class Regions:
    @property
    def registered_bytes(self) -> int: ...
    @property
    def refusal(self) -> int: ...
