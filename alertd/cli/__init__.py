"""The command line: arguments in, text and an exit status out; each command imports what it needs when it runs.

Exit status: 0 done; 1 the thing asked about failed; 2 usage or unreadable input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from alertd import __version__
from alertd.cli.options import CONFIG, FILE, JSON, told
from alertd.cli.running import ack, alerts, drill, silence


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="alertd %(version)s")
def alertd() -> None:
    """Alerts on Twilio Video: polls the Video Log Analyzer, judges settled rooms by your rules, tells who is on call.

    Try `alertd demo` first: it needs no account.
    """


for _command in (alerts, ack, drill, silence):
    alertd.add_command(_command)


@alertd.command()
@CONFIG
@click.option(
    "--once",
    is_flag=True,
    help="One complete cycle, then exit: read all that is missing (long, the first time), judge, send what is due.",
)
@click.option(
    "--clock",
    metavar="URL",
    help="Live in the time of the simulator at URL instead of the machine's, to rehearse at its speed.",
)
def run(config: Path, once: bool, clock: str | None) -> None:
    """The daemon: collects, evaluates and delivers until SIGTERM or Ctrl-C."""
    from alertd.cli.run import run_daemon

    with told():
        sys.exit(run_daemon(config, once=once, clock_url=clock))


@alertd.command()
@click.option("--config", "config", type=FILE, metavar="FILE", help="The configuration to check, with its rules.")
@click.argument("files", nargs=-1, type=FILE, metavar="[FILE]...")
@JSON
def check(config: Path | None, files: tuple[Path, ...], as_json: bool) -> None:
    """Validate a configuration and its rules, rule files alone, or history files.

    FILE is a rule file, a folder of them, or a history that ends in .ndjson or .ndjson.gz; `-` is a history on standard
    input. Every problem is a line `file:line:column: message`, of a history the first 100; notices are not problems.
    Exit status 1 if there are problems.
    """
    from alertd.cli.check import print_check

    with told():
        sys.exit(print_check(config, files, as_json=as_json))


@alertd.command()
@CONFIG
@click.option("--rule", required=True, metavar="NAME", help="The rule, by the name of its alert.")
@click.option("--receiver", metavar="NAME", help="Whom to tell, instead of whom the routes lead to.")
@click.option("--resolved", is_flag=True, help="The message that it is over, instead of that it fires.")
@click.option("--html", type=FILE, metavar="FILE", help="Write the HTML part of the first email to FILE.")
@JSON
def render(config: Path, rule: str, receiver: str | None, resolved: bool, html: Path | None, as_json: bool) -> None:
    """The message that a rule would send, without sending it: once for each integration that would be told.

    Figures and calls are made up so that the rule fires; labels, texts, routes and templates are your own. Exit status
    1 if a template fails.
    """
    from alertd.cli.render import print_rendered

    with told():
        sys.exit(print_rendered(config, rule, receiver, resolved=resolved, as_json=as_json, html=html))


@alertd.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--junit", type=FILE, metavar="FILE", help="Write the verdicts to FILE too, as JUnit's XML.")
def test(files: tuple[Path, ...], junit: Path | None) -> None:
    """Unit tests of rules: NAME.test.yaml or .toml files, or folders of them.

    They run what runs live: settling, rules, routes and groups, with the clock of each test. Where one fails, it is
    said what was expected, what came, and what the rule saw. Exit status 1 if a test fails.
    """
    from alertd.cli.test import run_tests

    with told():
        sys.exit(run_tests(files, junit))


@alertd.command()
@CONFIG
@click.option("--since", metavar="DURATION", help="Only rooms that ended within DURATION, such as 7d; else all kept.")
@click.option(
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write to FILE instead of standard output, replacing it once all is there; gzip if it ends in .gz.",
)
def export(config: Path, since: str | None, output: Path | None) -> None:
    """The history as NDJSON, to keep or to use elsewhere: a line for each settled room with its participants.

    Nothing is left out or replaced by pseudonyms: identities and room names stand in it as Twilio gave them, so keep it
    where personal data may be kept. It can be taken while the daemon runs.
    """
    from alertd.cli.export import export_history

    with told():
        export_history(config, since, output)


@alertd.command()
@CONFIG
@click.option("--since", metavar="DURATION", help="Only the last DURATION, such as 7d (the default).")
@click.option("--from", "begin", metavar="TIME", help="From TIME: 2026-03-02T12:00Z, or a duration before the end.")
@click.option("--to", "end", metavar="TIME", help="Up to TIME instead of the present (of --data: the end of the file).")
@click.option("--data", type=FILE, metavar="FILE", help="The rooms of a history file, - on standard input; all of it.")
@click.option("--skip-bad", is_flag=True, help="Pass by bad lines of --data instead of stopping at the first.")
@click.option("--own", is_flag=True, help="Only the own history: never ask Twilio if it has nothing.")
@click.option("--rules", type=FILE, metavar="RULES", help="The rules in this file or folder, not the configuration's.")
@click.option("--against", type=FILE, metavar="RULES", help="Compare with the rules in this file or folder.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a page with a timeline of each rule to FILE.")
@click.option("--zone", default="UTC", show_default=True, metavar="ZONE", help="The time zone of nights and times.")
@click.option("--progress", is_flag=True, help="With --json: how far it is, and notes, as lines too.")
@JSON
def backtest(config: Path, **options: Any) -> None:  # noqa: ANN401 - the options as click gives them
    """What the rules would have fired and sent over the past: nothing is sent, nothing is changed.

    The past is the own history, or a file (--data), or, where there is neither, what Twilio still has. It takes no
    notice of a running daemon, nor does that of it. Rules look back before the beginning as far as there is history.
    """
    from alertd.cli.backtest import Asked, run_backtest

    with told():
        run_backtest(Asked(config, **options))


@alertd.command()
@click.option("--listen", default="127.0.0.1:9096", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--scenario", default="clean", show_default=True, metavar="NAME|FILE", help="What happens; --list names them."
)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same traffic.")
@click.option(
    "--speed",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="How many times as fast as real time.",
)
@click.option("--rooms-per-day", type=click.IntRange(0, 1_000_000), help="Traffic, instead of the scenario's.")
@click.option("--list", "listing", is_flag=True, help="List the scenarios and exit.")
def simulate(listen: str, scenario: str, seed: int, speed: float, rooms_per_day: int | None, listing: bool) -> None:
    """A Video Log Analyzer that behaves like the real one, faults included, for rehearsals and tests."""
    from alertd.cli.simulate import list_scenarios, run_simulator

    with told():
        if listing:
            list_scenarios()
        else:
            run_simulator(listen, scenario, seed, speed, rooms_per_day)


@alertd.command()
@click.option("--scenario", default="short-outage", show_default=True, metavar="NAME|FILE", help="What happens.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same traffic.")
@click.option(
    "--speed",
    default=180.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="How many times as fast as real time.",
)
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="alertd's own address.")
@click.option("--stay", is_flag=True, help="Go on after the incident is over, until Ctrl-C.")
def demo(scenario: str, seed: int, speed: float, listen: str, stay: bool) -> None:
    """An incident from beginning to end in about a minute, with the built-in simulator: no account needed."""
    from alertd.cli.demo import run_demo

    with told():
        sys.exit(run_demo(scenario, seed, speed, listen, stay=stay))


@alertd.group(invoke_without_command=True)
@click.option("--config", "config", type=FILE, metavar="FILE", help="The configuration, for the database it names.")
@click.option("--failed", is_flag=True, help="Only what was given up.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@JSON
@click.pass_context
def deliveries(context: click.Context, config: Path | None, failed: bool, limit: int, as_json: bool) -> None:
    """The outbox: what was sent, to whom, why, and how it went."""
    from alertd.cli.deliveries import print_deliveries

    context.obj = config
    if context.invoked_subcommand is None:
        with told():
            print_deliveries(_needed(config), failed=failed, limit=limit, as_json=as_json)


@deliveries.command()
@click.argument("id")
@click.option("--config", "config", type=FILE, metavar="FILE", help="The configuration, for the database it names.")
@click.pass_obj
def retry(above: Path | None, config: Path | None, id: str) -> None:  # noqa: A002 - the word users see in --help
    """Send a notification again that was given up, send one that was withheld, or try one sooner that waits."""
    from alertd.cli.deliveries import retry_delivery

    with told():
        sys.exit(retry_delivery(_needed(config or above), id))


@alertd.group()
def receivers() -> None:
    """The receivers: whether they take what they are told."""


@receivers.command("test")
@click.argument("name")
@CONFIG
@click.option("--rule", metavar="RULE", help="Tell what an alert of this rule would, instead of a neutral message.")
@JSON
def test_receivers(name: str, config: Path, rule: str | None, as_json: bool) -> None:
    """Send a drill marked TEST to the receiver NAME, and say what the other side answered.

    NAME is a receiver, with all its integrations, or one of these, such as `oncall/slack[0]`. It is sent at once and
    past the outbox, whether or not a daemon runs; figures and calls are made up. Exit status 1 if one did not take it.
    """
    from alertd.cli.receivers import test_receivers as send

    with told():
        sys.exit(send(config, name, rule=rule, as_json=as_json))


@alertd.command()
@click.argument("name")
@click.option("--token", is_flag=True, help="A token for a program, made up here, instead of a password.")
def login(name: str, token: bool) -> None:
    """Print what to write into the configuration so that NAME can log in.

    Asks for a password, or reads a line of standard input. The configuration holds a hash of it only.
    """
    from alertd.cli.login import print_login

    print_login(name, token=token)


@alertd.group()
def db() -> None:
    """The database: bring its schema up to date, copy it while it is in use."""


@db.command()
@CONFIG
def upgrade(config: Path) -> None:
    """Bring the schema up to date (done at every start as well)."""
    from alertd.cli.database import upgrade_database

    with told():
        upgrade_database(config)


@db.command()
@CONFIG
@click.argument("file", type=FILE)
def backup(config: Path, file: Path) -> None:
    """Write a consistent copy of the live database to FILE (SQLite; for PostgreSQL use pg_dump)."""
    from alertd.cli.database import backup_database

    with told():
        backup_database(config, file)


@alertd.command()
@click.argument("what", type=click.Choice(["config", "rules", "webhook"]))
def schema(what: str) -> None:
    """Print a JSON Schema: of the configuration, of rule files (for editors), or of the webhook (for consumers)."""
    from alertd.cli.schema import print_schema

    print_schema(what)


def _needed(config: Path | None) -> Path:
    if config is None:
        raise click.UsageError("name the configuration with --config FILE")
    return config
