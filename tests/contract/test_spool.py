from pathlib import Path

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.settings import Settings
from mainspring.adapters.spools import spool_opener, spool_reader
from mainspring.adapters.streams.kafka.place import place_of
from mainspring.adapters.streams.kafka.topic import make_topic
from mainspring.log.ports import Disk, Spool, SpoolReader
from mainspring.log.spool import Acknowledgement
from mainspring.testing.contracts.spool import SegmentsContract, SpoolContract
from mainspring.testing.disk import FaultyDisk


class Place:
    """A spool by its URL, or a folder where that is empty."""

    def __init__(self, url: str, folder: Path) -> None:
        self._open = spool_opener(Settings(spool=url), folder, LocalDisk())
        self._url, self._folder = url, folder

    def writer(self, boot: str, policy: Acknowledgement) -> Spool:
        return self._open(boot, policy)

    def reader(self) -> SpoolReader:
        return spool_reader(Settings(spool=self._url), self._folder, LocalDisk())


class TestSpoolInAFolder(SpoolContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place("", tmp_path / "spool")


class TestSpoolInAKafkaTopic(SpoolContract):
    @pytest.fixture
    def place(self, new_topic: str, tmp_path: Path) -> Place:
        return Place(new_topic, tmp_path / "spool")

    def test_a_topic_that_is_made_takes_messages_of_80_mib(self, new_topic: str) -> None:
        from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

        asked = place_of(new_topic)
        make_topic(asked)
        topic, admin = (
            ConfigResource(ResourceType.TOPIC, asked.topic),
            AdminClient({"bootstrap.servers": asked.servers}),
        )
        (told,) = admin.describe_configs([topic]).values()
        assert told.result(30)["max.message.bytes"].value == "83886080"


class TestSegmentsOnTheLocalDisk(SegmentsContract):
    @pytest.fixture
    def disk(self) -> Disk:
        return LocalDisk()

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        return tmp_path / "spool"


class TestSegmentsOnTheFaultyDisk(SegmentsContract):
    @pytest.fixture
    def disk(self) -> Disk:
        return FaultyDisk(LocalDisk())

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        return tmp_path / "spool"
