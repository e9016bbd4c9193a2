"""Who else could have written a file that is believed."""

import grp
import os
import pwd
import stat


def exposed(status: os.stat_result) -> str:
    """Say how others could write this file or folder, or "" when only the user and root can.

    Root may believe a file of any owner: who runs as root names the file.
    """
    me = os.geteuid()
    if me and status.st_uid not in (0, me):
        return f"belongs to another user ({status.st_uid}), who can write it"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return "everybody can write it: chmod o-w"
    if status.st_mode & stat.S_IWGRP and not _private(status):
        return "its group can write it: chmod g-w"
    return ""


def _private(status: os.stat_result) -> bool:
    """Say whether a group is its owner's alone: each user has one of the same name on many systems.

    Of root's group nobody is a member who could not do as root does.
    """
    if status.st_gid == 0:
        return True
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}
