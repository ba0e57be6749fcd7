"""Open a platform on a home: construct every part and hand each what it needs. Nothing is decided here."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from mainspring.adapters.ciphers import cipher, home_secret
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.environments.builder import EnvironmentBuilder
from mainspring.adapters.erased import ErasedFile
from mainspring.adapters.heads import HeadsFile
from mainspring.adapters.home import Home
from mainspring.adapters.jobs.local import LocalJobs
from mainspring.adapters.jobs.understudy import WorkerUnderstudy
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.notifiers.outbound import Outbound
from mainspring.adapters.notifiers.webhook import Webhook
from mainspring.adapters.places import open_blobs, open_tables
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.runtimes.recompute import WorkerRecompute
from mainspring.adapters.settings import Settings, read_settings
from mainspring.adapters.sources import readers
from mainspring.adapters.spools import spool_opener, spool_reader
from mainspring.adapters.stores.opening import open_store
from mainspring.adapters.tables.delta import DeltaPublication
from mainspring.adapters.tables.shapes import StoredPersonalFields, StoredSourceShapes
from mainspring.adapters.traces import parts_with, traces_of
from mainspring.adapters.trackers.mlflow import MlflowTracker
from mainspring.checks.service import CheckService
from mainspring.features.service import FeatureService
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import Refused
from mainspring.ledger.queries import newest_head
from mainspring.log.ingest import Ingest
from mainspring.log.parts import listed
from mainspring.log.personal import Personal
from mainspring.log.queries import PredictionLog
from mainspring.log.retention import Retention
from mainspring.loop.act import Acknowledged, Loop
from mainspring.loop.erasing import Erasure
from mainspring.loop.mirror import Mirror, Tracker
from mainspring.loop.publish import Publisher
from mainspring.loop.retaining import Keeping
from mainspring.monitoring.ports import Notifier
from mainspring.monitoring.service import MonitoringService
from mainspring.project.service import ProjectService
from mainspring.registry.service import Registry
from mainspring.release.approvers import Approvers
from mainspring.release.offpolicy.service import OffPolicyService
from mainspring.release.rehearsal.service import RehearsalService
from mainspring.release.service import ReleaseService
from mainspring.serving.keys import Keys
from mainspring.serving.service import ReplayService
from mainspring.training.backtesting import BacktestService
from mainspring.training.intake import Intake
from mainspring.training.ordering import Ordering
from mainspring.training.ports import Folders
from mainspring.training.service import TrainingService


class Platform:
    """Every service of one open home. One process at a time holds it, under the home's lock.

    ``purpose`` and ``wait_s`` tell others that share its database who holds it, and how long to stand by for it.
    """

    def __init__(self, home: Home, *, purpose: str = "mainspring", wait_s: float = 0.0) -> None:
        self.home = home
        self.settings, self.settings_shown = read_settings(home.root)
        self.clock = home.clock()
        self.disk = LocalDisk()
        self.store = open_store(home, self.settings, self.clock, purpose=purpose, wait_s=wait_s)
        self.heads = HeadsFile(self.settings.ledger_heads)
        self.erased = ErasedFile(self.settings.erased_subjects)
        try:
            self.blobs = open_blobs(home, self.settings, owner=True)
            self.tables = open_tables(home, self.settings)
        except BaseException:
            self.store.close()
            raise
        self.latest = LmdbLatest(home.latest)
        self.routing = RoutingFile(home.routing, self.disk)
        self.jobs = LocalJobs(home.staging)
        self._open_log(StoredSourceShapes(self.store))
        self.registry = Registry(store=self.store, blobs=self.blobs, clock=self.clock)
        self.features = FeatureService(
            store=self.store, log=self.log, latest=self.latest, readers=readers(), clock=self.clock
        )
        self.checks = CheckService(store=self.store, registry=self.registry, log=self.log)
        self.keys = Keys(store=self.store, clock=self.clock)
        self.releases = self._releases()
        self.folders = Folders(str(home.blobs), str(home.environments))
        self._ask_the_log()
        self.projects = ProjectService(
            store=self.store,
            registry=self.registry,
            features=self.features,
            blobs=self.blobs,
            jobs=self.jobs,
            clock=self.clock,
            forecast=self.releases.forecast,
            check_approval=self.releases.check_approval,
        )
        self._make_versions()
        self.monitoring = MonitoringService(
            store=self.store,
            registry=self.registry,
            log=self.log,
            notifiers=notifiers_of(self.settings),
            clock=self.clock,
        )
        self.replay = self._replay(WorkerRecompute(self.jobs, self.blobs, home.blobs, home.environments))
        self.environments = EnvironmentBuilder(
            folder=home.environments,
            store=self.store,
            environments=self.registry.environments,
            blobs=self.blobs,
            jobs=self.jobs,
        )
        self.publisher = self._publisher()
        self.publication = self._publication()
        self.mirror = Mirror(registry=self.registry, tracker=tracker_of(self.settings, home.file.id))
        self.loop = self._loop()

    def _make_versions(self) -> None:
        """Construct what makes versions, takes those that were made elsewhere, and asks whether more are wanted."""
        ordering = Ordering(
            registry=self.registry,
            features=self.features,
            blobs=self.blobs,
            folders=self.folders,
            root_of=self.projects.root_of,
        )
        self.training = TrainingService(
            store=self.store,
            registry=self.registry,
            features=self.features,
            ordering=ordering,
            log=self.log,
            blobs=self.blobs,
            jobs=self.jobs,
            clock=self.clock,
        )
        self.backtests = BacktestService(
            store=self.store,
            registry=self.registry,
            ordering=ordering,
            log=self.log,
            jobs=self.jobs,
            clock=self.clock,
        )
        self.intake = Intake(
            store=self.store,
            registry=self.registry,
            features=self.features,
            ordering=ordering,
            log=self.log,
            blobs=self.blobs,
            jobs=self.jobs,
            clock=self.clock,
        )

    def _releases(self) -> ReleaseService:
        return ReleaseService(
            store=self.store,
            registry=self.registry,
            log=self.log,
            clock=self.clock,
            passed=self.checks.passed,
            approvers=Approvers(self.settings.roles, self.keys.standing),
        )

    def _loop(self) -> Loop:
        return Loop(
            store=self.store,
            registry=self.registry,
            features=self.features,
            ingest=self.ingest,
            training=self.training,
            backtests=self.backtests,
            checks=self.checks,
            releases=self.releases,
            monitoring=self.monitoring,
            publisher=self.publisher,
            acknowledged=self.acknowledged,
            keep_head=self.keep_head,
            clock=self.clock,
            read_every_us=parse_duration(self.settings.read_sources_every) // timedelta(microseconds=1),
            retention=Retention(self.store, self.tables),
            erasure=self._erasure(),
            publish_log=self.publication.publish if self.publication is not None else None,
            publish_every_us=parse_duration(self.settings.publish_every) // timedelta(microseconds=1),
            keeping=Keeping(_span_us(self.settings.keep_predictions), _span_us(self.settings.park_outcomes)),
            watch_every_us=parse_duration(self.settings.watch_every) // timedelta(microseconds=1),
        )

    def _replay(self, recompute: WorkerRecompute) -> ReplayService:
        return ReplayService(registry=self.registry, features=self.features, log=self.log, recompute=recompute)

    def _open_log(self, shapes: StoredSourceShapes) -> None:
        self.personal = Personal(self.store, cipher(), home_secret(self.home.secret, self.disk))
        self.log = PredictionLog(self.store, self.tables, self.personal, shapes)
        self.ingest = Ingest(
            store=self.store,
            tables=self.tables,
            disk=self.disk,
            spool=self.home.spool,
            clock=self.clock,
            shapes=shapes,
            personal=self.personal,
            fields=StoredPersonalFields(self.store),
            reader=spool_reader(self.settings, self.home.spool, self.disk),
        )
        self.new_spool = spool_opener(self.settings, self.home.spool, self.disk)

    def _publication(self) -> DeltaPublication | None:
        """Return where the log is published, if it is."""
        place = self.settings.publish.removeprefix("delta://")
        if not self.settings.publish:
            return None
        if find_spec("deltalake") is None:
            raise Refused("needs a package", field="publish", remedy='pip install "mainspring[delta]"')
        root = Path(place) if place else self.home.root / "delta"
        return DeltaPublication(root, store=self.store, tables=self.tables, disk=self.disk, clock=self.clock)

    def _publish_erased(self) -> None:
        if self.publication is not None:
            self.publication.publish(at_once=True)

    def _look(self, word: str) -> list[str]:
        """Return the files of the home, and of what is published from it, in which a word stands."""
        found = traces_of(self.home.root, word, without=(self.home.erasing.name,))
        place = Path(self.settings.publish.removeprefix("delta://"))
        if place.is_absolute() and not place.is_relative_to(self.home.root):
            found += [str(place / name) for name in traces_of(place, word)]
        if self.settings.tables:  # in a bucket: the home has copies of some
            with self.store.read() as connection:
                found += parts_with(self.tables, listed(connection), word)
        return found

    def _erasure(self) -> Erasure:
        return Erasure(
            store=self.store,
            tables=self.tables,
            disk=self.disk,
            spool=self.home.spool,
            folder=self.home.erasing,
            ingest=self.ingest,
            features=self.features,
            personal=self.personal,
            clock=self.clock,
            look=self._look,
            publish=self._publish_erased,
            keep=self.erased.keep,
        )

    def _publisher(self) -> Publisher:
        return Publisher(
            store=self.store,
            registry=self.registry,
            releases=self.releases,
            features=self.features,
            routing=self.routing,
            clock=self.clock,
            acknowledgement=self.settings.acknowledgement,
            max_rows=self.settings.limits.rows,
            invocations=self.settings.invocations_model,
            keys=self.keys.routes,
        )

    def _ask_the_log(self) -> None:
        """Construct what answers from the log what would have been."""
        self.values = OffPolicyService(registry=self.registry, log=self.log, releases=self.releases, clock=self.clock)
        self.rehearsals = RehearsalService(
            registry=self.registry,
            log=self.log,
            features=self.features,
            releases=self.releases,
            understudy=WorkerUnderstudy(self.jobs, self.folders),
            store=self.store,
            clock=self.clock,
        )

    def acknowledged(self) -> Acknowledged:
        """Return what the gateways that still live say of the routing."""
        said = self.routing.living()
        disabled = {version: reason for worker in said for version, reason in worker.disabled.items()}
        return Acknowledged(min((worker.generation for worker in said), default=None), disabled)

    @property
    def lost(self) -> bool:
        """Say whether another control has taken over this home's database: nothing can be done here any more."""
        return bool(getattr(self.store, "lost", False))

    def keep_head(self) -> None:
        """Write the ledger's newest head where the settings say that heads are kept."""
        with self.store.read() as connection:
            head = newest_head(connection)
        self.heads.keep(head, self.clock.now_us())

    def stop_jobs(self) -> None:
        """End running jobs and start no more; what the loop wanted from them it plans again after the next start."""
        self.loop.stop_jobs()
        self.jobs.stop()

    def close(self) -> None:
        """End jobs, and let go of files and connections."""
        self.stop_jobs()
        self.loop.close()
        self.ingest.close()
        self.latest.close()
        self.store.close()


def _span_us(text: str) -> int | None:
    return parse_duration(text) // timedelta(microseconds=1) if text else None


def tracker_of(settings: Settings, home: str) -> Tracker | None:
    """Return where versions and aliases are mirrored by these settings."""
    if not settings.mlflow:
        return None
    return MlflowTracker(settings.mlflow, home=home, token=settings.mlflow_token)


def notifiers_of(settings: Settings) -> tuple[Notifier, ...]:
    """Return where alarms are sent by these settings."""
    if not settings.webhook_url:
        return ()
    outbound = Outbound(
        hosts=settings.webhook_hosts,
        allow_private=settings.webhook_allow_private,
        allow_plain=settings.webhook_allow_plain,
    )
    webhook = Webhook(name="webhook", url=settings.webhook_url, secret=settings.webhook_secret, outbound=outbound)
    return (webhook,)


def open_platform(home: Home, *, purpose: str = "mainspring", wait_s: float = 0.0) -> Platform:
    """Open the platform of a home; the caller holds the home's lock."""
    return Platform(home, purpose=purpose, wait_s=wait_s)
