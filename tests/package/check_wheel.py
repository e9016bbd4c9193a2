"""Build the wheel, install it into an empty environment, and see that it works and harms nobody."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEIGHBOURS = {"guardrails": "guardrails-ai", "adapters": "adapters"}
"""Other people's packages whose import names are also the names of our source folders."""

SMOKE = """
import blastwall, blastwall.cli, blastwall.policyfile, blastwall.sandbox, importlib.util, pathlib
assert blastwall.Guard and "site-packages" in blastwall.__file__, blastwall.__file__
for adapter, extra in (("blastwall_langchain", "langchain"), ("blastwall_mcp", "mcp")):
    try:
        __import__(adapter)
    except ImportError as error:
        assert f"blastwall[{extra}]" in str(error), error
    else:
        raise SystemExit(f"{adapter} imported without its framework")
assert pathlib.Path(blastwall.__file__).with_name("py.typed").exists()
from blastwall.sandbox.escape import attacks
assert "site-packages" in str(attacks.FOLDER) and len(attacks.attacks()) > 200, attacks.FOLDER
"""


def main() -> None:
    """Exit 1 with the reason when the wheel is not what it should be."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        wheel = _build(where)
        python = _environment(where)
        packages = Path(
            _output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        )
        _pip(python, "install", "--no-deps", *NEIGHBOURS.values())
        before = _fingerprint(packages)
        _pip(python, "install", str(wheel))
        _output(python, "-c", SMOKE, cwd=where)
        print(_output(python.with_name("blastwall"), "--version").strip())
        if _fingerprint(packages) != before:
            sys.exit("installing the wheel changed another package's files")
        _pip(python, "uninstall", *(() if shutil.which("uv") else ("--yes",)), "blastwall")
        if _fingerprint(packages) != before:
            sys.exit("uninstalling the wheel took another package's files")
    print("the wheel installs alone, imports, and leaves other packages as they were")


def _build(where: Path) -> Path:
    if uv := shutil.which("uv"):
        subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", where, ROOT], check=True)
    else:
        _pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", str(where), str(ROOT))
    return next(where.glob("blastwall-*.whl"))


def _environment(where: Path) -> Path:
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, where / "empty"], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", where / "empty"], check=True)
    return where / "empty" / "bin" / "python"


def _pip(python: Path, verb: str, *words: str) -> None:
    uv = shutil.which("uv")
    pip = [uv, "pip", verb, "--python", str(python)] if uv else [str(python), "-m", "pip", verb]
    subprocess.run([*pip, "--quiet", *words], check=True)


def _fingerprint(packages: Path) -> str:
    files = sorted(file for name in NEIGHBOURS for file in (packages / name).rglob("*.py"))
    if not all((packages / name / "__init__.py") in files for name in NEIGHBOURS):
        sys.exit("a neighbour is missing, so this proves nothing")
    return hashlib.sha256(b"".join(str(file).encode() + file.read_bytes() for file in files)).hexdigest()


def _output(program: Path, *words: str, cwd: Path | None = None) -> str:
    environment = {"PATH": os.defpath, "HOME": str(cwd or ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [program, *words], check=True, text=True, stdout=subprocess.PIPE, cwd=cwd, env=environment
    ).stdout


if __name__ == "__main__":
    main()
