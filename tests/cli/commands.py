"""Verbs of the command line, run in this process."""

import json

from typer.testing import CliRunner

from hinaug.cli.app import app

RATES = ("user", "rates", "item")
TARGET = ("--target", "user,rates,item", "--evidence", "review")  # of split


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def document(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)
