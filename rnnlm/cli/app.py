"""The command line: experiments, what runs them, and what `rnnlm.cli.use` adds."""

import atexit
import contextlib
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from rnnlm import environment
from rnnlm.cli import data, models
from rnnlm.cli.terminal import Log, Traceback, errors_for_people
from rnnlm.store import EXPERIMENTS


class _Commands(TyperGroup):
    """The commands; `rnnlm.cli.use`, whose options are made of settings, is imported when one of its own is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in USE:
            from rnnlm.cli import use

            command = use.command(name)
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does a language model pretrained on one text help on another task, by how much, and which way is best?",
    epilog="All that a run leaves is in $RNNLM_HOME, by default .rnnlm in the working directory.",
)

# The commands of `rnnlm.cli.use`, and what the list of all commands says of them.
USE = {
    "score": "Say how probable a language model finds texts: perplexity of a token, bits per character, nats of all.",
    "classify": "Say which class a classifier takes texts for, and how sure it is.",
    "predict": "Predict a number for each text, with a model that was trained on numbers.",
    "tag": "Find the entities in texts, with a model that was trained on tags of words.",
    "complete": "Go on with texts: the likeliest words, or with --temperature words drawn by their probability.",
    "rescore": "Put n-best lists in a better order: their scores and the language model's, added up; the best first.",
    "correct": "Correct the spelling of texts, going by the letters of each word and by the words around it.",
    "export": "Write a model for programs without our Python: token ids to probabilities or numbers.",
}
for _name, _help in USE.items():
    app.command(_name, help=_help, rich_help_panel="Using a model")(lambda: None)
models.add_to(app)
data.add_to(app)

NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILE", help="An experiment's name (see `rnnlm list`) or its YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, for example model.hidden=256; may be repeated."),
]
Port = Annotated[int | None, typer.Option(min=1, max=65_535, show_default="the usual one, or the next that is free")]


def main() -> None:
    """Run the command line."""
    # As it ends, Python looks once more through all objects for garbage: six seconds where TensorFlow is loaded.
    atexit.register(gc.freeze)
    # Pydantic would look for plugins in the metadata of every installed package: a tenth of what `rnnlm show` takes.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    app(prog_name="rnnlm")


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Look for no garbage: imports make many objects and none of it, and looking is 5 % of what `show` takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run_alone() -> None:
    """Run `rnnlm run` as a program of its own, for `python -m rnnlm.flows.transfer`."""
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(run)
    program(prog_name="python -m rnnlm.flows.transfer")


@app.command()
def run(
    experiment: NameOrFile,
    override: Overrides = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Train nothing: list every training, what it needs, and the time left.")
    ] = False,
    log: Log = False,
    traceback: Traceback = False,
) -> None:
    """Run an experiment from text to verdict; what an earlier run has done already is not done again."""
    with errors_for_people(traceback):
        from rnnlm.experiment import load_experiment

        settings = load_experiment(experiment, override)
        environment.prepare()
        from rnnlm.cli.display import flow_shown, work_shown

        if plan:
            with work_shown(log, traceback):
                from rnnlm.steps.planned import planned

                found = planned(settings)
            from rnnlm.cli.outcome import print_plan

            print_plan(found, settings.comparison.looks)
            return
        with flow_shown(log, traceback):
            # Imported here, after the environment is prepared: this loads Prefect.
            from rnnlm.flows.transfer import transfer

            report = transfer(settings)
        from rnnlm.cli.outcome import print_verdict

        print_verdict(report)
        for model in report.models:
            typer.echo(f"Model    {model}")
        _say_where_runs_are()
        typer.echo(f"Report   {report.path / 'report.html'}")
        typer.echo(f"Verdict  {report.path / 'verdict.json'}")


@app.command()
def pretrain(
    experiment: NameOrFile, override: Overrides = None, log: Log = False, traceback: Traceback = False
) -> None:
    """Train an experiment's source model alone, and register it; `run` goes on from there. No target is needed."""
    with errors_for_people(traceback):
        from rnnlm.experiment import load_pretraining

        settings = load_pretraining(experiment, override)
        environment.prepare()
        from rnnlm.cli.display import flow_shown

        with flow_shown(log, traceback):
            from rnnlm.flows.pretrain import pretrain

            model = pretrain(settings.name, settings.source, settings.model, settings.comparison.seed)
        from rnnlm.registry.registered import registered
        from rnnlm.report import words
        from rnnlm.targets import measure_of

        source = registered(model.uri).checkpoint
        said = [
            f"{words.metric(name)} {words.score(name, source.metrics[name])}"
            for name in ("perplexity", measure_of(source.kind).name)
            if name in source.metrics
        ]
        typer.echo()
        typer.echo(f"Scores   {', '.join(said)}, on its test split")
        typer.echo(f"Model    models:/{model.name}@{model.alias} (version {model.version})")
        _say_where_runs_are()


@app.command()
def lr(experiment: NameOrFile, override: Overrides = None, log: Log = False, traceback: Traceback = False) -> None:
    """Look for a learning rate for the source language model: a short test with a rate that grows, and its curve."""
    with errors_for_people(traceback):
        from rnnlm.experiment import load_pretraining

        settings = load_pretraining(experiment, override)
        environment.prepare()
        from rnnlm.cli.display import flow_shown

        with flow_shown(log, traceback):
            from rnnlm.flows.learning_rate import learning_rate

            found = learning_rate(settings)
        present = settings.source.language_model.learning_rate
        typer.echo()
        if found.suggestions:
            minimum, steep = found.suggestions.minimum, found.suggestions.steep
            typer.echo(f"minimum  {minimum:.2g}, a tenth of the rate at which the smoothed loss is lowest")
            typer.echo(f"steep    {steep:.2g}, the rate at which it falls most steeply")
            typer.echo(f"It is {present:g} now; --set source.language_model.learning_rate={minimum:.2g} tries another.")
        else:
            typer.echo("The loss did not fall at any learning rate: there is nothing to suggest. See the curve.")
        typer.echo()
        typer.echo(f"Figure   {found.path / 'learning-rate.png'}")
        typer.echo(f"Curve    {found.path / 'learning-rate.json'}")


@app.command()
def estimate(
    experiments: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME_OR_FILE…",
            help="An experiment's name or its YAML file. Name several with the same target to rank their sources.",
        ),
    ],
    override: Overrides = None,
    log: Log = False,
    traceback: Traceback = False,
) -> None:
    """Estimate in minutes, training nothing, whether a source is likely to help the target; or rank several sources."""
    with errors_for_people(traceback):
        from rnnlm.experiment import load_experiment

        settings = [load_experiment(experiment, override) for experiment in experiments]
        environment.prepare()
        from rnnlm.cli.display import flow_shown

        with flow_shown(log, traceback):
            from rnnlm.flows.estimate import estimate_transfer, rank

            ranked = rank(settings) if len(settings) > 1 else None
            found = None if ranked else estimate_transfer(settings[0])
        from rnnlm.cli.estimates import print_estimate, print_ranking

        if ranked:
            print_ranking(ranked.ranking)
            typer.echo(f"Ranking   {ranked.path / 'ranking.json'}")
        elif found:
            print_estimate(found.estimation.estimate)
            typer.echo(f"Estimate  {found.path / 'estimate.json'}")


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…", help="A run's id in MLflow, or an experiment's name: its latest finished run."
        ),
    ],
    traceback: Traceback = False,
) -> None:
    """Put finished runs side by side: what was set differently, and what came of it."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.flows.comparison import compare_runs

        found = compare_runs(runs)
        typer.echo(found.text)
        typer.echo()
        typer.echo(f"Page  {found.path / 'side-by-side.html'}")


@app.command()
def show(experiment: NameOrFile, override: Overrides = None, traceback: Traceback = False) -> None:
    """Check an experiment and print all of it, defaults included, as YAML."""
    with _without_garbage_collection(), errors_for_people(traceback):
        import yaml

        from rnnlm.experiment import load_experiment

        settings = load_experiment(experiment, override).model_dump(mode="json")
        # Seven times as fast, where PyYAML was built with it.
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        typer.echo(yaml.dump(settings, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120), nl=False)


@app.command(name="list")
def list_experiments() -> None:
    """List the experiments that come with rnnlm."""
    with errors_for_people(traceback=False):
        files = sorted(EXPERIMENTS.glob("*.yaml"))
        width = max((len(file.stem) for file in files), default=0)
        for file in files:
            typer.echo(f"{file.stem:<{width}}  {_first_comment(file)}".rstrip())


@app.command()
def up(prefect_port: Port = None, mlflow_port: Port = None, traceback: Traceback = False) -> None:
    """Start Prefect's and MLflow's server, a worker and the deployments, over $RNNLM_HOME; Ctrl-C stops all."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.stack.up import up

        up(prefect_port, mlflow_port)


@app.command()
def down(traceback: Traceback = False) -> None:
    """Stop what `rnnlm up` runs."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.stack.up import down

        down()


@app.command()
def status(traceback: Traceback = False) -> None:
    """Say whether `rnnlm up` runs, where, and what runs and waits there."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.stack.status import status

        status()


@app.command()
def info(traceback: Traceback = False) -> None:
    """Say what computes on this machine and why: the kernels, the processor, versions, the workplace."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.cli.info import facts

        for name, value in facts().items():
            typer.echo(f"{name:<10}  {value}")


@app.command(name="gc")
def collect_garbage(
    days: Annotated[float, typer.Option(min=0, help="Keep what was used in the last N days.")] = 30,
    keep_gb: Annotated[float | None, typer.Option(min=0, help="Stop when no more than this many GB are left.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    traceback: Traceback = False,
) -> None:
    """Remove outputs that no run has used for long; if one is needed again, its step runs again."""
    with errors_for_people(traceback):
        from rnnlm.steps.unused import kept, remove, unused

        everything = kept()
        may_go = unused(everything, days, None if keep_gb is None else keep_gb * 1e9)
        gone = may_go if dry_run else [one for one in may_go if remove(one)]
        for one in gone:
            when = time.strftime("%Y-%m-%d", time.localtime(one.used))
            typer.echo(f"{when}  {one.size / 1e6:>10,.1f} MB  {one.path}")
        what = "would go" if dry_run else "are gone"
        freed, whole = (sum(one.size for one in some) / 1e9 for some in (gone, everything))
        typer.echo(f"{len(gone):,} of {len(everything):,} outputs {what}: {freed:,.2f} of {whole:,.2f} GB.")


@app.command()
def deploy(
    pool: Annotated[
        Literal["process", "kubernetes"],
        typer.Option(help="What a new work pool starts: processes, or a cluster's jobs."),
    ] = "process",
    traceback: Traceback = False,
) -> None:
    """Make the deployments and automations in the Prefect server of PREFECT_API_URL; `up` does it for its own."""
    with errors_for_people(traceback):
        environment.prepare()
        from rnnlm.stack.deploy import deploy

        deploy(os.environ.get("PREFECT_API_URL"), pool)


def _say_where_runs_are() -> None:
    pages = environment.pages()
    if len(pages) == 2:
        typer.echo(f"Runs     {pages['prefect']} (Prefect), {pages['mlflow']} (MLflow)")
    else:
        typer.echo("Runs     start `rnnlm up` (or `make up`) to see them in Prefect and MLflow")


def _first_comment(file: Path) -> str:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
