from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from statedb import Store
from statedb.cli.formats import batches, repository
from tests.cli.helpers import Cli, Program

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git program to make repositories with")

START = 1_500_000_000
INTO = ("--agent", "a", "--type", "persistent")


class Repo:
    """A real repository; each commit is a minute later than the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = START
        path.mkdir()
        self("init", "-q", "-b", "main")

    def __call__(self, *args: str, author: str = "Ann Lee", at: int | None = None, stdin: bytes = b"") -> str:
        date = f"@{self.now if at is None else at} +0200"
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_AUTHOR_DATE": "@1 +0000",
            "GIT_COMMITTER_NAME": "Committer", "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_COMMITTER_DATE": date,
        }  # fmt: skip
        done = subprocess.run(["git", *args], cwd=self.path, env=env, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def write(self, file: str, text: str | bytes) -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(
        self,
        message: str = "m",
        files: Mapping[str, str] | None = None,
        /,
        *,
        at: int | None = None,
        author: str = "Ann Lee",
        **more: str | bytes | None,
    ) -> str:
        """Write files (None: delete), `a` for a.json, and commit; returns the commit's id."""
        for name, text in {**(files or {}), **more}.items():
            if text is None:
                self("rm", "-q", f"{name}.json")
            else:
                self.write(f"{name}.json", text)
        self.now += 60
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message, author=author, at=at)
        return self("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def bring(cli: Cli, repo: Repo) -> Callable[..., str]:
    """Import a.json, or another path, and return what is said on standard error."""

    def bring(path: str = "a.json", *options: str) -> str:
        ran = cli("import", "--format", "git", "--repo", str(repo.path), "--path", path, *INTO, *options)
        assert ran.code == 0, ran.err
        return ran.err

    return bring


def _history(cli: Cli, key: str = "a.json") -> list[Any]:
    """Return what the key was, oldest first: values, and the kind of what has none."""
    with Store(cli.name) as store:
        assert store.health.check().ok
        found = list(reversed(store.history.versions("a", "persistent", key)))
        values = [store.history.get("a", "persistent", key, each.version).value for each in found]
        return [each.change if each.change == "delete" else value for each, value in zip(found, values, strict=True)]


# ---- what becomes a version


def test_each_commit_that_changed_the_file_is_a_version_with_its_time_author_message_and_id(
    cli: Cli, repo: Repo, bring: Callable[..., str]
) -> None:
    repo.commit(other="{}")
    repo.commit("first\n\nwith a body", a="1", author="Zoë")
    repo.commit("elsewhere", other="[]")
    last = repo.commit("", a='{"b": 2}')
    assert bring() == ""
    assert _history(cli) == [1, {"b": 2}]
    newest, oldest = cli.ok("history", "a", "persistent", "a.json", "--json").json
    assert (oldest["by"], oldest["message"]) == ("Zoë", "first\n\nwith a body")
    assert (newest["by"], newest["message"]) == ("Ann Lee", None)
    with Store(cli.name) as store:
        version = store.history.versions("a", "persistent", "a.json")[0]
        assert version.origin_at == version.at
        assert version.at.timestamp() == START + 4 * 60
        assert store.history.commit(2).context == {"git": last}


def test_what_is_said_names_the_key_which_is_the_path_or_another(cli: Cli, repo: Repo) -> None:
    repo.commit("m", {"in/a": "1"})
    given = ("import", "--format", "git", "--repo", str(repo.path), "--path", "in/a.json", *INTO)
    assert cli.ok(*given).text == "imported 1 versions of in/a.json\n"
    assert cli.ok(*given, "--key", "k").text == "imported 1 versions of k\n"
    assert _history(cli, "k") == [1]


def test_a_deletion_is_a_version_and_the_file_may_come_again(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="1")
    repo.commit("away", a=None)
    repo.commit(other="{}")
    repo.commit(a="2")
    bring()
    assert _history(cli) == [1, "delete", 2]


def test_renames_are_followed_be_there_several(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    alike = json.dumps(list(range(100)), indent=1)
    repo.commit(first=alike)
    repo("mv", "first.json", "second.json")
    repo.commit("moved as it was")
    repo.commit(second=alike.replace("50,", "51,"))
    repo("mv", "second.json", "a.json")
    repo.commit("moved and changed", a=alike.replace("50,", "52,"))
    bring()
    assert [value[50] for value in _history(cli)] == [50, 50, 51, 52]


def test_a_file_has_no_past_from_one_it_is_a_copy_of(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(other="[1]")
    repo.commit(other="{}")
    repo.commit(a="{}")  # git log --follow would go on with other.json
    repo.commit(a=None)
    repo.commit(a="{}")
    bring()
    assert _history(cli) == [{}, "delete", {}]


def test_a_name_that_had_a_life_before_a_rename_took_it_has_that_of_the_renamed(
    cli: Cli, repo: Repo, bring: Callable[..., str]
) -> None:
    repo.commit(a='"somebody else"', x="[7, 7]")
    repo.commit(a=None, b="[1, 2, 3]")
    repo("mv", "b.json", "a.json")
    repo("mv", "x.json", "0.json")  # which the list of renames has before the other
    repo.commit()
    bring()
    assert _history(cli) == [[1, 2, 3]] * 2


def test_a_merge_is_one_version(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="[\n1,\n2,\n3,\n4\n]")
    repo("checkout", "-q", "-b", "side")
    repo.commit(a="[\n1,\n2,\n3,\n5\n]")
    repo.commit(a="[\n1,\n2,\n3,\n6\n]")
    repo("checkout", "-q", "main")
    repo.commit(a="[\n0,\n2,\n3,\n4\n]")
    repo("merge", "-q", "--no-ff", "-m", "merged", "side")
    bring()
    assert _history(cli) == [[1, 2, 3, 4], [0, 2, 3, 4], [0, 2, 3, 6]]
    assert cli.ok("history", "a", "persistent", "a.json", "--json").json[0]["message"] == "merged"


def test_a_rename_that_came_with_a_merge_is_followed_before_it(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(old="[1, 2, 3]")
    repo("checkout", "-q", "-b", "side")
    repo("mv", "old.json", "a.json")
    repo.commit()
    repo("checkout", "-q", "main")
    repo.commit(other="{}")
    repo("merge", "-q", "--no-ff", "-m", "merged", "side")
    bring()
    assert _history(cli) == [[1, 2, 3]] * 2


def test_another_branch_or_commit_can_be_asked_for(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="1")
    repo("tag", "-a", "v1", "-m", "a tag")
    repo("checkout", "-q", "-b", "side")
    repo.commit(a="2")
    repo("checkout", "-q", "main")
    repo.commit(a="3")
    for ref, expected in (("side", [1, 2]), ("main", [1, 3]), ("v1", [1]), ("HEAD~1", [1])):
        bring("a.json", "--branch", ref, "--key", ref)
        assert _history(cli, ref) == expected


def test_times_out_of_order_come_in_the_order_of_the_branch(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    for number, at in enumerate([START, START + 500, START + 100, START + 600]):
        repo.commit(a=str(number), at=at)
    bring()
    assert _history(cli) == [0, 1, 2, 3]
    with Store(cli.name) as store:
        found = list(reversed(store.history.versions("a", "persistent", "a.json")))
    assert [each.origin_at.timestamp() - START for each in found] == [0, 500, 100, 600]
    assert [each.at.timestamp() - START for each in found] == [0, 500, 500, 600]


def test_many_versions_come_in_batches(
    cli: Cli, repo: Repo, bring: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 3)
    for number in range(8):
        repo.commit(a=str(number))
    bring()
    assert _history(cli) == list(range(8))


# ---- what makes none


@pytest.mark.parametrize(
    "bad",
    [
        b"<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> side\n",
        b"",
        b'{"a": NaN}',
        b"[" * 195 + b"]" * 195,
        b"[" * 5000,
        b'"\xff"',
        b'"\\ud800"',
        b"1" * 5000,
    ],
    ids=["conflict", "empty", "NaN", "deep", "deeper", "latin", "surrogate", "digits"],
)
def test_contents_that_are_no_json_are_left_out_and_named(
    cli: Cli, repo: Repo, bring: Callable[..., str], bad: bytes
) -> None:
    repo.commit(a="1")
    commit = repo.commit(a=bad)
    repo.commit(a="2")
    said = bring()
    assert said.startswith(f"statedb: skipped 1 commit whose contents are no JSON the store takes: {commit[:10]} (")
    assert said.count("\n") == 1
    assert _history(cli) == [1, 2]


def test_of_many_left_out_the_first_are_named(repo: Repo, bring: Callable[..., str]) -> None:
    ids = [repo.commit(a=f"bad {number}") for number in range(7)]
    repo.commit(a="1")
    assert (
        f"skipped 7 commits whose contents are no JSON the store takes: {', '.join(i[:10] for i in ids[:5])}, … ("
        in (bring())
    )


def test_what_is_too_large_is_left_out(
    cli: Cli, repo: Repo, bring: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEDB_MAX_VALUE_BYTES", "100")
    repo.commit(a="1")
    repo.commit(a=f'"{"x" * 100}"')
    repo.commit(a="2" + " " * 100)
    assert "more than 100 bytes" in bring()
    assert _history(cli) == [1, 2]


def test_a_file_too_long_to_read_is_passed_over(
    cli: Cli, repo: Repo, bring: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statedb.cli.formats.git.LONGEST", 100)
    monkeypatch.setattr(repository, "_CHUNK", 7)
    repo.commit(a="1")
    repo.commit(a=f'"{"x" * 1000}"')
    repo.commit(a='"exact"' + " " * 93)
    assert "more than 100 bytes" in bring()
    assert _history(cli) == [1, "exact"]


def test_a_link_is_no_file_even_where_its_target_reads_as_json(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="1")
    (repo.path / "a.json").unlink()
    (repo.path / "a.json").symlink_to("2")
    repo.commit()
    assert "no ordinary file" in bring()
    assert _history(cli) == [1]


def test_a_file_that_never_was_json_is_refused_and_leaves_nothing(cli: Cli, repo: Repo) -> None:
    repo.commit(a="nonsense")
    repo.commit(a=None)
    said = cli.refused("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert said.startswith("the file never held what the store takes: 1 commit whose contents are no JSON")
    assert cli.untouched


def test_a_deletion_of_what_never_came_in_deletes_nothing(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    cli.ok("set", "a", "persistent", "a.json", '"ours"')
    repo.commit(a="nonsense")
    repo.commit(a=None)
    repo.commit(a="1")
    bring()
    assert _history(cli) == ["ours", 1]


def test_a_time_no_calendar_has_is_left_out(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="1")
    repo.commit(a="2", at=10**12)
    repo.commit(a="3")
    assert "no time in seconds" in bring()
    assert _history(cli) == [1, 3]


# ---- names and texts that are anybody's


@pytest.mark.parametrize(
    "name",
    ["with a space.json", "-rf.json", "--help", "ünï ☃.json", "a\nb.json", "*.json", ":(top)a.json", "a\tb", '"'],
)
def test_any_path_is_taken_for_itself(cli: Cli, repo: Repo, bring: Callable[..., str], name: str) -> None:
    repo.commit(a='"another"')
    repo.write(name, "1")
    repo.commit()
    repo.commit(a='"another still"')
    repo("mv", "--", name, f"moved {name}")
    repo.commit()
    bring(f"moved {name}")
    assert _history(cli, f"moved {name}") == [1, 1]
    assert cli("import", "--format", "git", "--repo", str(repo.path), f"--path={name}", *INTO).code == 0
    assert _history(cli, name) == [1, "delete"]


def test_a_message_that_is_no_utf8_is_read_as_well_as_can_be(cli: Cli, repo: Repo, bring: Callable[..., str]) -> None:
    repo.commit(a="1")
    tree = repo("rev-parse", "HEAD^{tree}")
    for encoding in ("", "encoding ISO-8859-1\n"):
        repo.commit(a="2")
        head = f"tree {tree}\nparent {repo('rev-parse', 'HEAD')}\nauthor \xe9 <> 1 +0000\ncommitter c <> 1 +0000\n"
        raw = (head + encoding + "\nd\xe9j\xe0").encode("latin-1")
        made = repo("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw)
        repo("reset", "-q", "--hard", made)
    bring()
    told = [(each["by"], each["message"]) for each in cli.ok("history", "a", "persistent", "a.json", "--json").json]
    assert (told[0], told[2]) == (("é", "déjà"), ("\ufffd", "d\ufffdj\ufffd"))


@pytest.mark.parametrize("ref", ["--output=stolen", "-1", "no-such", "main..side", "", "a b"])
def test_a_branch_that_is_none_is_refused(cli: Cli, repo: Repo, ref: str) -> None:
    repo.commit(a="1")
    ran = cli("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO, f"--branch={ref}")
    if ref:
        assert (ran.code, ran.line) == (1, f"{repo.path}: there is no branch or commit {ref}")
    assert sorted(os.listdir(repo.path)) == [".git", "a.json"]


def test_what_a_person_or_the_repository_has_set_changes_nothing(
    cli: Cli, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit("é", {"in/b": "[1]", "in/a": "[1]"})
    repo("checkout", "-q", "-b", "side")
    repo.commit("m", {"in/a": "2"})
    repo("checkout", "-q", "main")
    repo("merge", "-q", "--no-ff", "-m", "merged", "side")
    stolen = tmp_path / "stolen"
    for name, value in {
        "log.follow": "true", "log.showRoot": "false", "log.showSignature": "true", "log.diffMerges": "off",
        "diff.relative": "true", "diff.renames": "copies", "color.ui": "always", "format.pretty": "oneline",
        "core.quotePath": "true", "log.date": "relative", "i18n.logOutputEncoding": "ISO-8859-1",
        "core.pager": f"touch {stolen}", "core.fsmonitor": f"touch {stolen}", "diff.external": f"touch {stolen}",
        "alias.log": "help",
    }.items():  # fmt: skip
        repo("config", name, value)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {stolen}")
    monkeypatch.setenv("GIT_TRACE", "1")
    (repo.path / "beside").mkdir()
    cli.ok("import", "--format", "git", "--repo", str(repo.path / "beside"), "--path", "../in/a.json", *INTO)
    assert _history(cli, "../in/a.json") == [[1], 2]
    told = cli.ok("history", "a", "persistent", "../in/a.json", "--json").json
    assert [each["message"] for each in told] == ["merged", "é"]
    assert not stolen.exists()


def test_a_path_is_seen_from_the_folder_that_is_named(cli: Cli, repo: Repo) -> None:
    repo.commit("m", {"in/er/a": "1", "a": "2"})
    given = ("import", "--format", "git", "--repo", str(repo.path / "in"), *INTO, "--path")
    cli.ok(*given, "er/a.json")
    cli.ok(*given, "../a.json")
    assert (_history(cli, "er/a.json"), _history(cli, "../a.json")) == ([1], [2])


def test_a_bare_repository_will_do(cli: Cli, repo: Repo, tmp_path: Path) -> None:
    repo.commit(a="1")
    repo("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    cli.ok("import", "--format", "git", "--repo", str(tmp_path / "bare.git"), "--path", "a.json", *INTO)
    assert _history(cli) == [1]


# ---- what is refused


def test_what_is_no_whole_repository_is_said_in_one_line(cli: Cli, repo: Repo, tmp_path: Path) -> None:
    def refused(where: Path, path: str = "a.json") -> str:
        said = cli.refused("import", "--format", "git", "--repo", str(where), "--path", path, *INTO)
        assert cli.untouched
        return said

    assert refused(repo.path) == f"{repo.path}: there is no branch or commit HEAD"
    repo.commit("m", {"a": "1", "in/b": "1"})
    repo.commit(a="2")
    repo("clone", "-q", "--depth", "1", f"file://{repo.path}", str(tmp_path / "shallow"))
    (tmp_path / "plain").mkdir()
    assert "No such file or directory" in refused(tmp_path / "nowhere")
    assert refused(tmp_path / "plain").startswith(f"{tmp_path / 'plain'}: not a git repository")
    assert "is a shallow clone, whose history is cut; 'git fetch --unshallow'" in refused(tmp_path / "shallow")
    assert refused(repo.path, "b.json") == f"{repo.path}: no commit of HEAD holds a file b.json"
    assert refused(repo.path, "in") == f"{repo.path}: no commit of HEAD holds a file in"
    assert refused(repo.path, "../b.json") == f"{repo.path}: no commit of HEAD holds a file ../b.json"


def test_without_a_git_program_that_is_what_is_said(
    cli: Cli, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = cli.refused("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert said.startswith("there is no git program on the PATH")


def test_contents_that_are_gone_are_no_shorter_history(cli: Cli, repo: Repo) -> None:
    for number in range(3):
        repo.commit(a=f"[{number}]")
    blob = repo("rev-parse", "HEAD~1:a.json")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    said = cli.refused("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert said == f"the contents {blob[:10]} are not in the repository; is it a partial clone?; nothing was imported"


def test_a_commit_that_is_gone_is_no_shorter_history(cli: Cli, repo: Repo) -> None:
    ids = [repo.commit(a=f"[{number}]") for number in range(3)]
    (repo.path / ".git" / "objects" / ids[0][:2] / ids[0][2:]).unlink()
    assert "import" not in cli.refused("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert cli.untouched


def test_a_key_that_cannot_be_is_no_commits_fault(cli: Cli, repo: Repo) -> None:
    repo.commit(a="1")
    given = ("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", "--type", "local", "--agent")
    assert cli.refused(*given, "").startswith("agent_id has 0 bytes")


def test_the_program_itself_brings_a_history_in(program: Program, repo: Repo) -> None:
    repo.commit(a="1")
    commit = repo.commit(a="<<<<<<<")
    repo.commit(a=None)
    ran = program("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert (ran.code, ran.text) == (0, "imported 2 versions of a.json\n")
    assert commit[:10] in ran.line
    assert program("get", "a", "persistent", "a.json").code == 1


def test_importing_again_brings_in_what_is_new(cli: Cli, repo: Repo) -> None:
    repo.commit("one", a='{"n": 1}')
    repo.commit("two", a='{"n": 2}')
    args = ("import", "--format", "git", "--repo", str(repo.path), "--path", "a.json", *INTO)
    assert cli.ok(*args).text == "imported 2 versions of a.json\n"
    assert cli.ok(*args).text == "imported 0 versions of a.json; 2 were there already\n"
    repo.commit("gone", a=None)
    repo.commit("back", a='{"n": 2}')
    assert cli.ok(*args).text == "imported 2 versions of a.json; 2 were there already\n"
    found = cli.ok("history", "a", "persistent", "a.json", "--json").json
    assert [(each["version"], each["message"], each["change"]) for each in found] == [
        (4, "back", "create"), (3, "gone", "delete"), (2, "two", "update"), (1, "one", "create"),
    ]  # fmt: skip
    assert [each["at"] for each in found] == sorted((each["at"] for each in found), reverse=True)
    assert cli(*args, "--key", "other").text == "imported 4 versions of other\n"
