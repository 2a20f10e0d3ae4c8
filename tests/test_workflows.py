"""The workflows do what their names say; the hooks of pre-commit check their form."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
JOBS = {
    name: job
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
    for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items()
}
GH = """#!/bin/sh
echo "$@" >> said
case "$1 $2" in "issue list") cat number ;; "issue create") echo 41 > number ;; esac
"""


def scripts(job):
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_what_is_run_exists_and_a_change_is_tested_with_and_without_mnist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    run = (ROOT / ".ci" / "run").read_text("utf-8")
    everything = "\n".join([run, *(script for job in JOBS for script in scripts(job))])
    assert {*re.findall(r"^ *make (\w+)", everything, re.M)} <= {
        *re.findall(r"^(\w+):", makefile, re.M)
    }
    for file in re.findall(r"(?:^|/repository/)(\.\w+/[\w./-]+)", everything, re.M):
        assert (ROOT / file).is_file(), file
    assert scripts("tests") == [".ci/run"]
    assert run.endswith(
        "\nmake test\nmake book\n"
        'make notebooks ARGS="--sample tests/test_chapters.py"\n'
    )


def test_windows_and_macs_run_what_the_readme_says():
    """They have no make; only the environment is made by an action instead."""
    readme = (ROOT / "README.md").read_text("utf-8")
    [block] = re.findall(r"^Without `make`.*?```sh\n(.*?)```", readme, re.M | re.S)
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    job = JOBS["without-make"]
    assert job["strategy"]["matrix"]["system"] == ["windows", "macos"]
    assert scripts("without-make") == commands[2:] != []


@pytest.mark.skipif(os.name == "nt", reason="GitHub runs these scripts on Linux")
def test_weekly_failures_go_to_one_issue(tmp_path, program):
    job, [script] = JOBS["report"], scripts("report")
    assert set(job["needs"]) == {"links", "versions", "colab"}
    for name in job["needs"]:
        assert job["env"][name.upper()] == f"${{{{ needs.{name}.result }}}}"
    (tmp_path / "gh").write_text(GH, "utf-8")
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "number").touch()
    told = dict.fromkeys(job["env"], "success") | {"RUN": "https://run"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for failed in "COLAB", "LINKS":
        # As GitHub runs it.
        subprocess.run(
            [program("bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=tmp_path, env=os.environ | told | {failed: "failure", "PATH": path},
            check=True,
        )  # fmt: skip
    said = (tmp_path / "said").read_text("utf-8")
    first, second = said.split("issue comment 41 --body ")
    assert first.count("issue create --label weekly --title A weekly check fails") == 1
    assert "Colab's own runtime: failure" in first and first.count(": success") == 2
    assert "links to other sites: failure" in second and "(https://run)" in second
