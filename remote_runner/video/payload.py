"""What packets of copied streams carry, apart from how a container wraps it."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field

from av.packet import Packet
from av.stream import Stream


def payload(packet: Packet[Stream], codec: str) -> bytes:
    """The bytes of a packet that must survive a copy into any container.

    AAC loses its ADTS header (ISO/IEC 14496-3 1.A.2) outside MPEG-TS, timed text of MP4 has a
    length in front and styles behind (3GPP TS 26.245 5.17) that no other container knows.
    """
    data = bytes(packet)
    if codec == "aac":
        return _without_adts(data)
    if codec == "mov_text":
        return mov_text_as_subrip(data)
    return data


def mov_text_as_subrip(data: bytes) -> bytes:
    """The text of a timed text sample, without its styles; empty for a gap filler."""
    if len(data) < 2:
        return b""
    return data[2 : 2 + int.from_bytes(data[:2], "big")]


def _without_adts(data: bytes) -> bytes:
    """ADTS: twelve set bits, layer 0, and a header of 7 bytes, or 9 with a checksum."""
    if len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]
    return data


@dataclass(slots=True)
class Print:
    """A running fingerprint of one stream; where packets are cut does not change it."""

    codec: str
    kind: str
    packets: int = 0
    bytes: int = 0
    times: array[float] = field(default_factory=lambda: array("d"))
    """When each packet is presented, seconds."""
    end_s: float = 0.0
    _hash: object = field(default_factory=hashlib.sha256)

    def add(self, packet: Packet[Stream]) -> None:
        """Take in one more packet."""
        data = payload(packet, self.codec)
        self._hash.update(data)  # type: ignore[attr-defined]
        self.packets += bool(data)
        self.bytes += len(data)
        if data and packet.pts is not None:
            self.times.append(float(packet.pts * packet.time_base))
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_s = max(self.end_s, end_s)

    @property
    def first_s(self) -> float | None:
        return self.times[0] if self.times else None

    @property
    def sha256(self) -> str:
        return str(self._hash.hexdigest())  # type: ignore[attr-defined]
