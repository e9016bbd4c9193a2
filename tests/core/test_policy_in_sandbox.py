"""A policy that lies in the workspace of its own sandbox is out of that sandbox's reach."""

import os
import shutil

import pytest

from blastwall import sandbox
from blastwall.policyfile import load

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and not os.environ.get("CI"), reason="bubblewrap is not installed"
)

POLICY = """
version: 1
defaults: {state: {directory: .blastwall}}
connectors: {tools: {rules: []}}
sandboxes: {project: {workspace: ., timeout_s: 20}}
"""
REWRITE = """
for path in blastwall.yaml .blastwall/audit.jsonl; do
    cat $path
    echo forged > $path && echo "wrote $path"
    rm $path && echo "removed $path"
    mv $path elsewhere && echo "moved $path"
done
echo harmless > note && echo "wrote note"
"""


def test_the_policy_and_its_state_can_be_neither_read_nor_written(tmp_path):
    project = tmp_path / "project"
    (project / ".blastwall").mkdir(parents=True)
    files = {project / "blastwall.yaml": POLICY, project / ".blastwall" / "audit.jsonl": "record"}
    for file, text in files.items():
        file.write_text(text)
    if os.geteuid() == 0:
        for path in (project, *project.rglob("*")):
            os.chown(path, 65534, 65534)
    profile = load(project / "blastwall.yaml").profiles["project"]
    done = sandbox.run(["sh", "-c", REWRITE], profile)
    assert done.stdout == b"wrote note\n"
    assert {file: file.read_text() for file in files} == files
    assert (project / "note").read_text() == "harmless\n"
