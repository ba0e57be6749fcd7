"""Where gateways put records and control takes them from, by settings: the home's folder, or a broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from mainspring.adapters.settings import Settings
from mainspring.adapters.streams.kafka.place import Access, Place, place_of
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.log.ports import Disk, Keeping, Kept, Spool, SpoolReader
from mainspring.log.segments import Damage, FolderReader, Position, Reading
from mainspring.log.spool import Acknowledgement, SpoolWriter

Opening = Callable[[str, Acknowledgement], Spool]


def spool_opener(settings: Settings, folder: Path, disk: Disk) -> Opening:
    """Return what opens the writing side for a boot under a policy."""
    if not settings.spool:
        return lambda boot, acknowledgement: SpoolWriter(folder, boot, disk, acknowledgement)
    _demand_client()
    from mainspring.adapters.streams.kafka.writer import KafkaSpool

    place = _place(settings)
    return lambda boot, acknowledgement: KafkaSpool(place, boot, acknowledgement)


def spool_reader(settings: Settings, folder: Path, disk: Disk) -> SpoolReader:
    """Return the reading side. A broker's is read beside the folder, where gateways may have left records before."""
    here = FolderReader(disk, folder)
    if not settings.spool:
        return here
    _demand_client()
    from mainspring.adapters.streams.kafka.reader import KafkaReader

    return Both(here, KafkaReader(_place(settings)))


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


def _place(settings: Settings) -> Place:
    password = settings.kafka_password or _password_in(settings.kafka_password_file)
    if settings.kafka_user and not password:
        remedy = "set MAINSPRING_KAFKA_PASSWORD, or kafka_password_file"
        raise InvalidInput("is needed for kafka_user", field="kafka_password", remedy=remedy)
    access = Access(
        tls=settings.kafka_tls,
        ca=settings.kafka_ca,
        cert=settings.kafka_cert,
        key=settings.kafka_key,
        user=settings.kafka_user,
        mechanism=settings.kafka_mechanism,
        password=password,
    )
    return place_of(settings.spool, access)


def _password_in(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot be read: {why}", field="kafka_password_file", value=path) from None


def _demand_client() -> None:
    if find_spec("confluent_kafka") is None:
        raise Refused("needs a package", field="spool", remedy='pip install "mainspring[kafka]"')
