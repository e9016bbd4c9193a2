"""Which policy files are in force where somebody stands: the user's own, and the project's."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

NAME = "blastwall.yaml"
"""What a policy file is called where nobody names one."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A policy file that a project brings along: read as data, and used when the user trusts it.

    Attributes:
        path: The file.
        acts: Whether it is to be used. One that is only looked at need not be trusted.
        name: What it is called in messages; the path by default.

    """

    path: str
    acts: bool = True
    name: str = field(default="", compare=False)

    def __fspath__(self) -> str:
        """Give the path."""
        return self.path

    def __str__(self) -> str:
        return self.name or self.path


def user_policy() -> Path:
    """Give where the user's own policy stands: `$XDG_CONFIG_HOME/blastwall/blastwall.yaml`."""
    return config_directory() / NAME


def config_directory() -> Path:
    """Give the folder of the user's own settings (XDG base directories)."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".config") / "blastwall"


def root_of(folder: str | os.PathLike[str]) -> str:
    """Give the folder of the project that a folder belongs to: the outermost repository around it.

    What a repository inside another one brings along can so take nothing out of force that the outer one
    says. Outside of a repository it is the folder itself.
    """
    ahead = _above(os.path.realpath(folder))
    repositories = [above for above in ahead if os.path.lexists(os.path.join(above, ".git"))]
    return repositories[-1] if repositories else ahead[0]


def project_of(file: str | os.PathLike[str]) -> str:
    """Give the folder that a file must lie in, to be read as a part of its project.

    What lies below the working directory's project, by its name, must do so in truth.
    """
    folder, here = os.path.dirname(os.path.abspath(file)), root_of(os.getcwd())
    return here if os.path.commonpath((folder, here)) == here else root_of(folder)


def candidates(folder: str | os.PathLike[str], *, acts: bool = True) -> tuple[ProjectFile, ...]:
    """Give where the policy files of the project around a folder would stand, the outermost first.

    They may stand in the folder and in those above it, up to the outermost repository, or else to the home
    folder. Nothing is opened.
    """
    here = os.path.realpath(folder)
    ahead, root = _above(here), root_of(here)
    if os.path.lexists(os.path.join(root, ".git")) or not here.startswith(_home() + "/"):
        ahead = ahead[: ahead.index(root) + 1]
    own = os.path.realpath(user_policy())
    found = [
        ProjectFile(os.path.join(place, NAME), acts, "" if place != here else NAME)
        for place in reversed(ahead)
    ]
    return tuple(file for file in found if file.path != own)


def _above(here: str) -> list[str]:
    """Give a folder, and those above it that may belong to the same project.

    The home folder is nobody's project, and neither is one that everybody can write, such as /tmp.
    """
    found, home = [here], _home()
    while found[-1] not in (home, "/"):
        place = os.path.dirname(found[-1])
        if place in (home, "/") or _everybodys(place):
            break
        found.append(place)
    return found


def _home() -> str:
    return os.path.realpath(Path.home())


def _everybodys(folder: str) -> bool:
    try:
        return bool(os.stat(folder).st_mode & stat.S_IWOTH)
    except OSError:
        return True
