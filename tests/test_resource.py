"""What the resource room promises."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from wideevents import fields
from wideevents.resource import NAMES, REVISIONS, VALUE_LENGTH, attributes, describe, identify, revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
NONE_GIVEN: Mapping[str, str | None] = {}


def checkout(folder: Path, head: str, **references: str) -> Path:
    """Lay a Git folder as `git` does, without needing git."""
    git = folder / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text(f"{head}\n")
    for name, commit in references.items():
        reference = git / "refs" / "heads" / name
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(f"{commit}\n")
    return folder


class TestDescribe:
    def test_a_service_nobody_named_is_unknown_as_opentelemetry_says(self, tmp_path: Path) -> None:
        """Without any setting the line still says where it comes from, under OpenTelemetry's default name."""
        expected = {
            "service.name": "unknown_service",
            "host.name": socket.gethostname()[:VALUE_LENGTH],
            "process.runtime.version": platform.python_version(),
        }

        assert expected == describe(NONE_GIVEN, {}, tmp_path)

    def test_code_goes_before_the_environment(self, tmp_path: Path) -> None:
        """What a person wrote in code was meant for this service; the environment may be meant for several."""
        environ = {"OTEL_SERVICE_NAME": "from-environment"}

        assert describe({"service.name": "from-code"}, environ, tmp_path)["service.name"] == "from-code"
        assert describe({"service.name": None}, environ, tmp_path)["service.name"] == "from-environment"

    def test_the_service_name_goes_before_the_resource_attributes(self, tmp_path: Path) -> None:
        """OpenTelemetry: OTEL_SERVICE_NAME takes precedence over service.name in OTEL_RESOURCE_ATTRIBUTES."""
        environ = {"OTEL_SERVICE_NAME": "name", "OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}

        assert describe(NONE_GIVEN, environ, tmp_path)["service.name"] == "name"
        del environ["OTEL_SERVICE_NAME"]
        assert describe(NONE_GIVEN, environ, tmp_path)["service.name"] == "attribute"

    def test_an_empty_variable_says_nothing(self, tmp_path: Path) -> None:
        """A deployment that sets a variable to nothing has not named its service the empty text."""
        environ = {"OTEL_SERVICE_NAME": "", "GIT_COMMIT": "", "OTEL_RESOURCE_ATTRIBUTES": ""}
        described = describe(NONE_GIVEN, environ, tmp_path)

        assert described["service.name"] == "unknown_service"
        assert "vcs.ref.head.revision" not in described

    def test_every_value_is_bounded(self, tmp_path: Path) -> None:
        """These fields stand on every line, so that none of them may grow."""
        described = describe({"owner.team": "x" * 1_000}, {"OTEL_SERVICE_NAME": "y" * 1_000}, tmp_path)

        assert max(map(len, described.values())) == VALUE_LENGTH

    @pytest.mark.parametrize("variable", REVISIONS)
    def test_the_commit_is_read_where_builders_leave_it(self, variable: str, tmp_path: Path) -> None:
        """A container has no .git, but its builder has said what is in it."""
        described = describe(NONE_GIVEN, {variable: COMMIT}, tmp_path)

        assert described["vcs.ref.head.revision"] == COMMIT

    def test_a_builders_commit_goes_before_the_checkout(self, tmp_path: Path) -> None:
        """What was built is known better by the builder than by a .git that came along."""
        checkout(tmp_path, OTHER)

        assert describe(NONE_GIVEN, {"GIT_COMMIT": COMMIT}, tmp_path)["vcs.ref.head.revision"] == COMMIT

    def test_a_resource_attribute_goes_before_a_builders_commit(self, tmp_path: Path) -> None:
        """OpenTelemetry's own variable names the field itself; the others have to be guessed at."""
        environ = {"GIT_COMMIT": OTHER, "OTEL_RESOURCE_ATTRIBUTES": f"vcs.ref.head.revision={COMMIT}"}

        assert describe(NONE_GIVEN, environ, tmp_path)["vcs.ref.head.revision"] == COMMIT

    def test_the_working_folder_is_where_the_checkout_is_looked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A service that is started from its checkout needs no setting."""
        monkeypatch.chdir(checkout(tmp_path, COMMIT))

        assert describe(NONE_GIVEN, {})["vcs.ref.head.revision"] == COMMIT

    def test_a_working_folder_that_is_gone_does_not_stop_the_service(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deployment may remove the folder under a running process; there is no commit to be told then."""
        gone = tmp_path / "release-1"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()

        assert "vcs.ref.head.revision" not in describe(NONE_GIVEN, {})


class TestAttributes:
    def test_names_of_our_table_are_read(self) -> None:
        """`name=value` behind commas is the form of the OpenTelemetry specification."""
        text = "service.version=1.4, deployment.environment.name = production ,host.name=web-1"
        expected = {"service.version": "1.4", "deployment.environment.name": "production", "host.name": "web-1"}

        assert expected == attributes(text)

    def test_values_are_percent_decoded(self) -> None:
        """The specification encodes a comma and an equals sign in a value, as W3C Baggage does."""
        assert attributes("service.version=1%2C2%3D%C3%A4") == {"service.version": "1,2=ä"}

    def test_what_other_tools_put_there_is_left_out(self) -> None:
        """The variable is shared: a name that is not ours must not appear on every line."""
        assert attributes("cloud.region=eu-1,k8s.pod.name=shop-7") == {}

    @pytest.mark.parametrize("text", ["", ",", "=", "service.name", "service.name=", "=x", " , = ,"])
    def test_what_is_malformed_is_left_out(self, text: str) -> None:
        """A broken variable costs its own fields, and not the start of the service."""
        assert attributes(text) == {}

    def test_a_good_pair_survives_a_broken_one(self) -> None:
        """One mistake in the variable does not take the rest of it."""
        assert attributes("service.version,service.name=shop,,=") == {"service.name": "shop"}

    def test_a_value_keeps_its_equals_signs(self) -> None:
        """Only the first one parts the name from the value."""
        assert attributes("service.version=a=b") == {"service.version": "a=b"}


class TestIdentify:
    def test_the_process_has_a_pid_and_an_id_of_its_own(self) -> None:
        """Two processes of one service can be told apart, on one host by their pid, everywhere by their id."""
        first, second = identify({}), identify({})

        assert os.getpid() == first["process.pid"]
        assert str(uuid.UUID(str(first["service.instance.id"]))) == first["service.instance.id"]
        assert first["service.instance.id"] != second["service.instance.id"]

    def test_an_instance_id_that_was_given_stays(self) -> None:
        """A platform that knows the id of an instance knows it better."""
        assert identify({"service.instance.id": "pod-7"})["service.instance.id"] == "pod-7"

    def test_nobody_can_give_another_pid(self) -> None:
        """The pid is a fact."""
        assert os.getpid() == identify({"process.pid": "1"})["process.pid"]


class TestRevision:
    def test_a_branch_is_followed_to_its_commit(self, tmp_path: Path) -> None:
        """HEAD usually names a branch, whose file holds the commit."""
        assert revision(checkout(tmp_path, "ref: refs/heads/main", main=COMMIT)) == COMMIT

    def test_a_detached_head_is_the_commit(self, tmp_path: Path) -> None:
        """A build server checks out a commit, not a branch."""
        assert revision(checkout(tmp_path, COMMIT)) == COMMIT

    def test_a_packed_reference_is_found(self, tmp_path: Path) -> None:
        """`git gc` moves branches into one file, and a fresh clone has them only there."""
        checkout(tmp_path, "ref: refs/heads/main")
        rows = [
            "# pack-refs with: peeled fully-peeled sorted",
            f"{OTHER} refs/heads/not-main",
            f"{COMMIT} refs/heads/main",
        ]
        (tmp_path / ".git" / "packed-refs").write_text("\n".join(rows) + "\n")

        assert revision(tmp_path) == COMMIT

    def test_a_branch_with_slashes_is_found(self, tmp_path: Path) -> None:
        """`feature/basket` is a folder and a file below refs."""
        assert revision(checkout(tmp_path, "ref: refs/heads/feature/basket", **{"feature/basket": COMMIT})) == COMMIT

    def test_a_branch_without_a_commit_has_none(self, tmp_path: Path) -> None:
        """A repository just made has a HEAD that leads nowhere, with a packed-refs or without."""
        checkout(tmp_path, "ref: refs/heads/main")

        assert revision(tmp_path) is None
        (tmp_path / ".git" / "packed-refs").write_text(f"{OTHER} refs/heads/other\n")
        assert revision(tmp_path) is None

    def test_a_folder_below_the_checkout_has_its_commit(self, tmp_path: Path) -> None:
        """A service is often started from a folder of its checkout."""
        below = checkout(tmp_path, COMMIT) / "src" / "shop"
        below.mkdir(parents=True)

        assert revision(below) == COMMIT

    def test_outside_any_checkout_there_is_none(self, tmp_path: Path) -> None:
        """What is not known is left out."""
        assert revision(tmp_path) is None

    def test_a_linked_worktree_is_not_taken_for_the_checkout_around_it(self, tmp_path: Path) -> None:
        """A worktree or submodule has a file `.git`; the commit of another checkout would be a lie on every line."""
        inner = checkout(tmp_path, OTHER) / "vendor" / "library"
        own = tmp_path / ".git" / "modules" / "library"
        own.mkdir(parents=True)
        (own / "HEAD").write_text(f"{COMMIT}\n")
        inner.mkdir(parents=True)
        (inner / ".git").write_text("gitdir: ../../.git/modules/library\n")

        assert revision(inner) in {COMMIT, None}

    def test_a_head_that_is_no_text_is_none(self, tmp_path: Path) -> None:
        """A damaged checkout costs its field, and not the start of the service."""
        (checkout(tmp_path, COMMIT) / ".git" / "HEAD").write_bytes(b"\xff\xfe\x00")

        assert revision(tmp_path) is None


class TestNames:
    def test_every_name_that_is_read_stands_in_the_field_table(self) -> None:
        """The room takes no name from the environment that the table does not describe."""
        assert NAMES <= fields.NAMES
