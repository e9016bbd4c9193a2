"""`blastwall templates`: people can read what they get."""

import json

import pytest
import typer
from typer.testing import CliRunner

from blastwall.cli.templates import templates
from blastwall.policy import shipped


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.command()(templates)
    return lambda *words: CliRunner().invoke(app, words)


def test_the_list_names_every_template_and_profile_and_what_it_is_for(run):
    done = run()
    assert done.exit_code == 0
    for name in shipped.names():
        assert f"{name} " in done.output
        assert shipped.about(name) in done.output
    for name, about in shipped.profiles().items():
        assert f"{name} " in done.output
        assert about in done.output


@pytest.mark.parametrize("name", [*shipped.names(), "profiles"])
def test_one_is_shown_as_it_is_written(run, name):
    done = run(name)
    assert done.exit_code == 0
    assert done.output == shipped.text(name)


def test_an_unknown_one_is_a_wrong_use_and_says_which_there_are(run):
    done = run("githib")
    assert done.exit_code == 2
    assert "did you mean 'github'?" in done.output


def test_for_machines(run):
    listed = json.loads(run("--json").output)
    assert listed["templates"]["filesystem"]["parameters"]["roots"]["required"] is True
    assert listed["templates"]["filesystem"]["about"] == shipped.about("filesystem")
    assert listed["profiles"] == shipped.profiles()
    shown = json.loads(run("mail", "--json").output)
    assert (shown["name"], shown["text"]) == ("mail", shipped.text("mail"))
    assert json.loads(run("profiles", "--json").output)["profiles"] == shipped.profiles()
