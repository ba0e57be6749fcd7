"""Where gateways put records and control takes them from, by settings: the home's folder, or a broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from mainspring.kernel.errors import Refused
from mainspring.log.ports import Disk, Keeping, Kept, Spool, SpoolReader
from mainspring.log.segments import Damage, FolderReader, Position, Reading
from mainspring.log.spool import Acknowledgement, SpoolWriter

Opening = Callable[[str, Acknowledgement], Spool]


def spool_opener(url: str, folder: Path, disk: Disk) -> Opening:
    """Return what opens the writing side for a boot under a policy."""
    if not url:
        return lambda boot, acknowledgement: SpoolWriter(folder, boot, disk, acknowledgement)
    _demand_client()
    from mainspring.adapters.streams.kafka import KafkaSpool, place_of

    place = place_of(url)
    return lambda boot, acknowledgement: KafkaSpool(place, boot, acknowledgement)


def spool_reader(url: str, folder: Path, disk: Disk) -> SpoolReader:
    """Return the reading side. A broker's is read beside the folder, where gateways may have left records before."""
    here = FolderReader(disk, folder)
    if not url:
        return here
    _demand_client()
    from mainspring.adapters.streams.kafka import KafkaReader, place_of

    return Both(here, KafkaReader(place_of(url)))


class Both:
    """Two readers as one."""

    def __init__(self, first: SpoolReader, second: SpoolReader) -> None:
        self._readers = (first, second)

    def read(self, at: Mapping[str, Position], most_records: int) -> list[Reading]:
        found: list[Reading] = []
        for reader in self._readers:
            found += reader.read(at, max(0, most_records - sum(len(one.records) for one in found)))
        return found

    def raw(self, damage: Damage) -> bytes:
        first, second = self._readers
        return second.raw(damage) or first.raw(damage)

    def clean(self, readings: Sequence[Reading]) -> None:
        for reader in self._readers:
            reader.clean(readings)

    def drop(self, at: Mapping[str, Position], now_us: int) -> tuple[Kept, ...]:
        return tuple(one for reader in self._readers if isinstance(reader, Keeping) for one in reader.drop(at, now_us))

    def close(self) -> None:
        for reader in self._readers:
            reader.close()


def _demand_client() -> None:
    if find_spec("confluent_kafka") is None:
        raise Refused("needs a package", field="spool", remedy='pip install "mainspring[kafka]"')
