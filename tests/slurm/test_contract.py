"""What every executor owes its caller, owed by a real cluster; and what one that does not wait owes beyond that."""

from __future__ import annotations

from pathlib import Path

import pytest

from scq.model import Limits
from tests.contract.test_executor_contract import ExecutorContract
from tests.slurm.cluster import Cluster
from tests.slurm.sites import SlurmSite

LONG = "exec sleep 600"


class TestSlurmExecutor(ExecutorContract):
    @pytest.fixture
    def site(self, tmp_path: Path, shared_dir: Path, cluster: Cluster) -> SlurmSite:
        return SlurmSite(tmp_path / "runs", shared_dir, cluster)

    def test_it_does_not_wait(self, site: SlurmSite) -> None:
        assert site.executor().remote
        assert list(site.executor().check()) == []

    def test_a_run_is_one_job_of_the_cluster_and_alive_until_it_ended(self, site: SlurmSite) -> None:
        task = site.begun("until [ -e go ]; do sleep 0.05; done; exit 5")
        assert site.executor().outcome(task.directory) is None
        assert site.executor().began(task.directory)
        assert site.log("stdout") == b""
        Path(task.work, "go").touch()
        ending = site.ending(task)
        assert (ending.exit_code, ending.cause) == (5, "exit")
        assert ending.node in ("n1", "n2")
        names = [row.name for row in site.cluster.jobs()]
        assert names.count(site.tag(task)) == 1

    def test_output_can_be_read_while_it_runs_and_nothing_is_left_of_a_run_that_is_stopped(self, site: SlurmSite) -> None:
        task = site.begun(f"(setsid sleep 600 &); echo early; {LONG}")
        site.cluster.wait_for(lambda: site.log("stdout") == b"early\n", "its first line")
        site.executor().stop(task.directory)
        assert site.ending(task).cause == "cancelled"
        assert site.log("stdout").startswith(b"early\n")
        site.cluster.wait_until_empty()

    def test_where_a_run_is_can_be_asked(self, site: SlurmSite) -> None:
        task = site.begun(LONG)
        place = site.executor().whereabouts([task.directory])[task.directory]
        row = site.cluster.job(site.tag(task))
        assert row is not None
        assert (place.state, place.node, place.id, place.partition) == ("running", row.node, str(row.id), "main")
        site.executor().stop(task.directory)
        site.ending(task)
        assert site.executor().whereabouts([task.directory])[task.directory].state == "ending"

    def test_jobs_that_wait_know_their_place(self, site: SlurmSite) -> None:
        first = site.begun(LONG, "first", limits=Limits(memory=10 << 30))
        second = site.begun(LONG, "second", limits=Limits(memory=10 << 30))
        third = site.hand_over(LONG, "third", limits=Limits(memory=10 << 30))
        fourth = site.hand_over(LONG, "fourth", limits=Limits(memory=10 << 30))
        both = [third.directory, fourth.directory]

        def explained() -> bool:
            found = site.executor().whereabouts(both)
            return all(found[directory].why in ("Resources", "Priority") for directory in both)

        site.cluster.wait_for(explained, "the reason why they wait")
        places = site.executor().whereabouts(both)
        assert [places[directory].state for directory in both] == ["waiting", "waiting"]
        assert [places[directory].position for directory in both] == [1, 2]
        for task in (fourth, third, second, first):
            site.executor().stop(task.directory)
        endings = [site.ending(task) for task in (first, second, third, fourth)]
        assert [ending.cause for ending in endings] == ["cancelled"] * 4
        assert not site.executor().began(third.directory)
