"""The commands that look after registered models: `rnnlm lineage` and `rnnlm rollback`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from rnnlm import environment
from rnnlm.cli.terminal import Traceback, errors_for_people

PANEL = "Registered models"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (lineage, rollback):
        app.command(rich_help_panel=PANEL)(command)


def lineage(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME@ALIAS or models:/NAME/VERSION.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one line of JSON.")] = False,
    traceback: Traceback = False,
) -> None:
    """Say where a registered model comes from: texts, settings, code and runs."""
    with errors_for_people(traceback):
        environment.prepare()
        import yaml

        from rnnlm.registry.lineage import Lineage, lineage

        told = lineage(model)
        if as_json:
            typer.echo(json.dumps(asdict(told), ensure_ascii=False))
            return
        found: Lineage | None = told
        while found is not None:
            typer.echo(found.model)
            width = max(map(len, found.facts))
            for name, value in found.facts.items():
                typer.echo(f"  {name:<{width}}  {value}")
            if found.configuration:
                typer.echo("  configuration")
                text = yaml.safe_dump(found.configuration, sort_keys=False, allow_unicode=True, width=110)
                typer.echo("".join(f"    {line}\n" for line in text.splitlines()), nl=False)
            found = found.source


def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered model, as demo-source.")],
    traceback: Traceback = False,
) -> None:
    """Put the champion before the present one back in its place."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.registry.address import name_of
        from rnnlm.registry.aliases import rollback

        name = name_of(name)
        gone, back = rollback(name)
        typer.echo(f"{name}: version {back.version} is champion again, in place of version {gone.version}.")
