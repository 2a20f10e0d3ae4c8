"""The workflows and what else GitHub reads: valid, pinned, and their scripts work."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.github-issue-forms": sorted(GITHUB.glob("ISSUE_TEMPLATE/[0-9]*.yml")),
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


def run(*command, **options):
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", **{"cwd": ROOT} | options
    )


def jobs():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items():
            yield pytest.param(job, id=f"{path.stem}-{name}")


def scripts(job):
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_github_can_read_it(schema, program):
    assert SCHEMAS[schema]
    check = [program("check-jsonschema"), "--builtin-schema", schema]
    done = run(*check, *SCHEMAS[schema])
    assert done.returncode == 0, done.stdout


def test_nothing_is_unsafe(program):
    """Actions pinned, no token left behind, no permission too many, no injection."""
    done = run(
        program("zizmor"), "--offline", "--no-config", "--strict-collection",
        "--collect=all", "--persona=pedantic", GITHUB,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_their_versions_said(path):
    text = path.read_text("utf-8")
    uses = re.findall(r"uses: .+", text)
    for line in uses:
        assert re.fullmatch(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    assert len(uses) == sum("uses" in s for s in steps(text))


def steps(text):
    for job in yaml.safe_load(text)["jobs"].values():
        yield from job["steps"]


def test_an_action_has_one_version():
    pins = re.findall(
        r"uses: ([\w/-]+)@(.+)", "".join(p.read_text("utf-8") for p in WORKFLOWS)
    )
    assert len(dict(pins)) == len(set(pins))


@pytest.mark.parametrize("job", list(jobs()))
def test_what_a_job_calls_exists(job):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for script in scripts(job):
        assert set(re.findall(r"\bmake (\w+)", script)) <= set(targets)
        for file in re.findall(r"(?:^|/repository/)(\.\w+/[\w./-]+)", script, re.M):
            assert (ROOT / file).is_file(), file


def test_windows_and_macs_run_what_the_readme_says():
    """They have no make; only the environment is made by an action instead."""
    readme = (ROOT / "README.md").read_text("utf-8")
    [block] = re.findall(r"^Without `make`.*?```sh\n(.*?)```", readme, re.M | re.S)
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    tests = yaml.safe_load((GITHUB / "workflows" / "tests.yml").read_text("utf-8"))
    job = tests["jobs"]["without-make"]
    assert job["strategy"]["matrix"]["system"] == ["windows", "macos"]
    assert scripts(job) == commands[2:] != []


@pytest.mark.parametrize("job", list(jobs()))
def test_shellcheck_finds_nothing(job, program, tmp_path):
    for script in scripts(job):
        (tmp_path / "script").write_text(script, "utf-8", newline="\n")
        done = run(program("shellcheck"), "--shell=bash", tmp_path / "script")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [".ci/run", ".github/colab.sh"])
def test_shellcheck_finds_nothing_in(path, program):
    done = run(program("shellcheck"), path)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def bash(program):
    """Find the shell that the scripts are for: GitHub runs them on Linux."""
    if os.name == "nt":
        pytest.skip("on Windows, bash may be another system's")
    return program("bash")


GH = """
# Stands in for GitHub's own program: one issue at most, and what was asked of it.
import json, os, pathlib, sys
state = pathlib.Path(os.environ["STATE"])
issues = json.loads(state.read_text("utf-8")) if state.exists() else []
command, action, *rest = sys.argv[1:]
option = dict(zip(rest, rest[1:]))
if (command, action) == ("issue", "list"):
    assert option["--label"] == "weekly"
    print(issues[0]["number"] if issues else "")
elif (command, action) == ("issue", "create"):
    assert option["--label"] == "weekly"
    title, body = option["--title"], option["--body"]
    issues.append({"number": 41, "title": title, "said": [body]})
elif (command, action) == ("issue", "comment"):
    (issue,) = [i for i in issues if str(i["number"]) == rest[0]]
    issue["said"].append(option["--body"])
else:
    assert (command, action) == ("label", "create") and "--force" in rest
state.write_text(json.dumps(issues), "utf-8")
"""


def test_weekly_failures_go_to_one_issue(tmp_path, bash):
    report = yaml.safe_load((GITHUB / "workflows" / "weekly.yml").read_text("utf-8"))
    job = report["jobs"]["report"]
    (script,) = scripts(job)
    (tmp_path / "gh.py").write_text(GH, "utf-8")
    start = f"""#!/bin/sh\n'{sys.executable}' '{tmp_path}/gh.py' "$@"\n"""
    (tmp_path / "gh").write_text(start, "utf-8")
    (tmp_path / "gh").chmod(0o755)
    told = dict.fromkeys(job["env"], "success") | {"RUN": "https://run", "STATE": "s"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for failed in "COLAB", "LINKS":
        environment = os.environ | told | {failed: "failure", "PATH": path}
        # As GitHub runs it.
        command = [bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = run(*command, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
    (issue,) = yaml.safe_load((tmp_path / "s").read_text("utf-8"))
    first, second = issue["said"]
    assert "A weekly check fails" == issue["title"]
    assert "Colab's own runtime: failure" in first and first.count("success") == 2
    assert "links to other sites: failure" in second and "(https://run)" in second


def test_the_report_names_every_job():
    weekly = yaml.safe_load((GITHUB / "workflows" / "weekly.yml").read_text("utf-8"))
    others = set(weekly["jobs"]) - {"report"}
    report = weekly["jobs"]["report"]
    assert set(report["needs"]) == others
    for job in others:
        assert report["env"][job.upper()] == f"${{{{ needs.{job}.result }}}}"
        assert f"${job.upper()}" in scripts(report)[0]


# Stand in for Colab's image: what it brings along is in a file, and a chapter runs when
# the public address leads to the commit that is tried.
PYTHON = """#!/bin/sh
case "$2 $3" in
  "pip check") grep old "$HOME/versions" && echo "mnist-lesson has requirement torch" ;;
  pip*) ;;
  *) cat "$HOME/versions" ;;
esac
"""
JUPYTER = """#!/bin/sh
git ls-remote {address} | grep -q "$(git -C {repository} rev-parse HEAD)" || exit 1
case $(cat ./*.ipynb) in
  fails) exit 1 ;;
  replaces) echo torch 1 > "$HOME/versions" ;;
  bounded) echo torch old > "$HOME/versions" ;;
esac
"""


@pytest.mark.parametrize(
    ("chapters", "code", "said"),
    [
        (["runs", "runs"], 0, "torch 2\na.ipynb …\nb.ipynb …\n"),
        (["fails", "runs"], 1, "torch 2\na.ipynb …\nb.ipynb …\n"),
        (["runs", "replaces"], 1, "replaced what Colab brings along:\ntorch 1\n"),
        (["bounded"], 1, "the bounds in pyproject.toml exclude what Colab brings"),
    ],
)
def test_colab_rehearsal_sees_failures(tmp_path, bash, program, chapters, code, said):
    git, repository = program("git"), tmp_path / "repository"
    (repository / "notebooks").mkdir(parents=True)
    address = "https://github.com/nobody/nothing"
    (repository / "pyproject.toml").write_text(f'Repository = "{address}"\n', "utf-8")
    for name, chapter in zip("ab", chapters, strict=False):
        (repository / "notebooks" / f"{name}.ipynb").write_text(chapter, "utf-8")
    (tmp_path / "versions").write_text("torch 2\n", "utf-8")
    for name, script in ("python3", PYTHON), ("jupyter", JUPYTER):
        script = script.format(address=address, repository=repository)
        (tmp_path / name).write_text(script, "utf-8")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"HOME": str(tmp_path), "PATH": path}
    who = ["-c", "user.name=a", "-c", "user.email=a"]
    for command in ["init"], ["add", "."], [*who, "commit", "-m", "a"]:
        run(git, *command, cwd=repository, env=environment)
    done = run(bash, GITHUB / "colab.sh", repository, env=environment)
    assert (done.returncode, said in done.stdout) == (code, True), done
