"""A workspace and its surroundings as people have them, made of canaries."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

PROJECT = {
    ".git/HEAD": "ref: refs/heads/main\n",
    ".git/config": "[core]\n\tbare = false\n",
    ".git/config.worktree": "[core]\n",
    ".git/hooks/pre-commit.sample": "#!/bin/sh\n",
    ".git/modules/sub/HEAD": "ref: refs/heads/main\n",
    ".git/modules/sub/config": "[core]\n",
    ".git/modules/sub/hooks/update.sample": "#!/bin/sh\n",
    "sub/.git": "gitdir: ../.git/modules/sub\n",
    "a/b/c/d/e/.git/HEAD": "ref: refs/heads/main\n",
    "a/b/c/d/e/.git/config": "[core]\n",
    "a/b/c/d/e/.git/hooks/update.sample": "#!/bin/sh\n",
    "other/.GIT/HEAD": "ref: refs/heads/main\n",
    "other/.GIT/config": "[core]\n",
    "other/.GIT/hooks/update.sample": "#!/bin/sh\n",
    "other/.Claude/settings.json": "{}\n",
    ".claude/settings.json": "{}\n",
    ".claude/commands/deploy.md": "Deploy.\n",
    ".claude/agents/helper.md": "Help.\n",
    ".vscode/tasks.json": "{}\n",
    ".bashrc": "# mine\n",
    ".env": "TOKEN=none\n",
    ".gitattributes": "*.txt text\n",
    "Makefile": "all:\n",
    "package.json": "{}\n",
    "src/main.py": "print('hello')\n",
    "vault/secret": "",
}
"""A workspace. What is not here is what an attack may want to make."""

HOME = (".aws/credentials", ".ssh/id_rsa", ".netrc", ".bashrc", ".config/gh/hosts.yml", "notes")
"""A home that has something to steal."""

_LOOP = 7
"""The kernel's number for disks that are files."""


def make_files(top: Path, word: str) -> None:
    """Fill an empty folder: a workspace, a folder outside, a home, and a folder that is shown."""
    workspace, outside, home, readable = (top / n for n in ("workspace", "outside", "home", "readable"))
    for folder in (workspace, outside, home, readable, workspace / "own"):
        folder.mkdir()
    texts = {workspace / name: text for name, text in PROJECT.items()}
    texts |= {home / name: word for name in HOME}
    texts |= {outside / "canary": word, readable / "notes": word, workspace / "vault/secret": word}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (outside / "canary").chmod(0o666)
    outside.chmod(0o777)
    # A project whose hooks are a symlink into the project itself, as some managers of hooks make them.
    hooks = workspace / "linked" / "own-hooks"
    hooks.mkdir(parents=True)
    (hooks / "update.sample").write_text("#!/bin/sh\n")
    _leave_a_disk(readable / "disk")


def _leave_a_disk(path: Path) -> None:
    """Leave a disk's device where it can be read, if we may: to show the file is not to show the disk."""
    with contextlib.suppress(OSError):
        os.mknod(path, stat.S_IFBLK | 0o400, os.makedev(_LOOP, 0))


def give(top: Path, user: int, group: int) -> None:
    """Make all of it that user's and nobody else's: what lies in it is for no other user of this machine."""
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            os.chown(path, user, group)
    top.chmod(0o700)


def leave_a_way_to_root(path: Path) -> None:
    """Leave a program that makes whoever starts it root, if we may. All that it does is to say who it is."""
    program = shutil.which("id")
    if program is None or _has_many_faces(program):
        return
    shutil.copyfile(program, path)
    if os.geteuid() == 0:
        os.chown(path, 0, 0)
    path.chmod(0o4755)


def _has_many_faces(program: str) -> bool:
    """Say whether it is one with other programs, as in busybox: as root's it would do anything."""
    other = shutil.which("cat")
    return other is None or os.path.samefile(program, other)


def remove(top: Path) -> None:
    """Remove a folder, whatever modes were set in it."""
    with contextlib.suppress(OSError):
        top.chmod(0o700)
        for folder, names, _ in os.walk(top):  # it lists a folder only after this opened it
            for path in (os.path.join(folder, name) for name in names):
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
    shutil.rmtree(top, ignore_errors=True)
