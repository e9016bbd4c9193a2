"""A machine with every client on it, its files filled from the samples."""

import shutil
from pathlib import Path

from blastwall.clients.find import Machine
from blastwall.clients.table import CLIENTS, Form

SAMPLES = Path(__file__).with_name("samples")
CONNECTABLE = [client.name for client in CLIENTS]


def user_file(client, machine):
    """Give the file of a client that its sample stands for."""
    place = next(place for place in client.places if not place.project and place.form is not Form.XML)
    (path,) = machine.paths(place)
    return Path(path)


def sample(name):
    return next(path for path in SAMPLES.glob(f"{name}.*") if path.suffix != ".xml")


def full(home, platform="linux"):
    """Fill a home folder, and give the machine."""
    machine = Machine(str(home), {"APPDATA": str(home / "AppData" / "Roaming")}, platform)
    for client in CLIENTS:
        put(sample(client.name), user_file(client, machine))
    return machine


def put(source, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    path.chmod(0o600)
    return path
