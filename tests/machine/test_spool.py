"""Random operations on a spool and its consumer against a list: every appended record is a row, once, in order."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mainspring.testing.logs import LogBench, request


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = LogBench(Path(self.folder.name))
        self.ingest = self.bench.new_ingest(most_records=5)
        self.boots = {"left": 0, "right": 0}
        self.appended: list[str] = []

    def boot(self, side: str) -> str:
        return f"b_{side}_{self.boots[side]}"

    @rule(side=st.sampled_from(["left", "right"]), many=st.integers(1, 4))
    def append(self, side, many):
        first = len(self.appended) + 1
        records = [request(number) for number in range(first, first + many)]
        self.bench.write(*records, boot=self.boot(side))
        self.appended.extend(record.prediction_id for record in records)

    @rule(side=st.sampled_from(["left", "right"]))
    def end_boot(self, side):
        if self.boot(side) in self.bench.writers:
            self.bench.end(self.boot(side))
            self.boots[side] += 1

    @rule()
    def consume(self):
        self.ingest.run()

    @rule()
    def restart_consumer(self):
        self.ingest = self.bench.new_ingest(most_records=5)

    @rule()
    def consume_everything(self):
        while not self.ingest.run().caught_up:
            pass
        assert sorted(self.rows()) == sorted(self.appended)

    @invariant()
    def no_row_is_doubled_or_made_up(self):
        rows = self.rows()
        assert len(rows) == len(set(rows))
        assert set(rows) <= set(self.appended)

    def rows(self):
        return self.bench.log.requests("mod_1")["prediction_id"].to_list()

    def teardown(self):
        self.bench.close()
        self.folder.cleanup()


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
