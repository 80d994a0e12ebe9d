"""The command line: ``labkit list | run | report | ledger | check | student | lab``.

Exit status: 0 all well, 1 a notebook failed or breaks the contract, 2 a mistake in the command. Everything heavy is
imported where it is used: listing, and a run that is already done, load neither torch nor papermill nor dask.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Notebooks as functions: parameters in, a report and verdicts out.",
)

Selectors = Annotated[
    list[str] | None, typer.Argument(metavar="NOTEBOOK...", help="A topic, any part of a name, a path, or all.")
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder of runs and reports.")]
Root = Annotated[
    Path | None,
    typer.Option("--notebooks", metavar="DIR", help="The notebooks folder (default: found from here upwards)."),
]
Profile = Annotated[str, typer.Option("--profile", help="smoke (does it run?), report (the verdicts) or full.")]


@app.command("list")
def list_(
    selectors: Selectors = None,
    root: Root = None,
    parameters: Annotated[bool, typer.Option("--parameters", "-v", help="Show the parameters too.")] = False,
) -> None:
    """Show the notebooks: name, title, minutes by profile, and the question each one answers.

    \b
    labkit list
    labkit list smoothing --parameters
    """
    from .workbook.notebook import PROFILES

    _, notebooks = _notebooks(selectors, root)
    width = max((len(n.name) for n in notebooks), default=0)
    for notebook in notebooks:
        about = notebook.about
        minutes = " / ".join(f"{about.get('minutes', {}).get(profile, '?')}" for profile in PROFILES)
        print(
            f"{notebook.name:<{width}}  {about.get('title', '')}  [{minutes} min{', GPU' if about.get('gpu') else ''}]"
        )
        if about.get("question"):
            print(f"{'':<{width}}  {about['question']}")
        for parameter in notebook.parameters if parameters else ():
            print(f"{'':<{width}}    {parameter.name}: {parameter.type} = {parameter.default!r}  {parameter.help}")
    print(f"{len(notebooks)} notebooks; minutes are smoke / report / full")


@app.command()
def run(
    selectors: Selectors = None,
    out: Out = Path("reports"),
    root: Root = None,
    profile: Profile = "report",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME VALUE", help="A parameter's value; may be repeated."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Notebooks at a time (default: half the cores, at most 4).")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A dask cluster that exists.")
    ] = None,
    shard: Annotated[str | None, typer.Option(metavar="i/n", help="Only part i of n, for job arrays.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Limit per notebook (default: ten times its stated minutes, at least 10).")
    ] = None,
    cell_minutes: Annotated[float | None, typer.Option(help="Limit per cell.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what is done.")] = False,
    report_: Annotated[bool, typer.Option("--report/--no-report", help="Write the index and the ledger.")] = True,
) -> None:
    """Run notebooks and write their reports. What is done is skipped; what was interrupted is taken up.

    \b
    labkit run tour --profile smoke
    labkit run smoothing -p seeds 5 -p dataset fashion_mnist --out my-reports
    labkit run all --workers 4
    labkit run all --profile full --scheduler tcp://10.0.0.5:8786
    labkit run all --shard 2/8                      (in a job array; the folder is shared)
    """
    from .workbook import jobs as make
    from .workbook import profiles

    if not selectors:
        raise ValueError("which notebooks? Name them, such as `labkit run tour`, or say `labkit run all`")
    where, chosen = _notebooks(selectors, root)
    presets = profiles.load(where, _all(where))[_profile(profile)]
    if workers is None:
        workers = min(4, max(1, make.cores() // 2))
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    jobs = [
        make.make_job(
            notebook, out, profile, presets, _pairs(parameter), minutes=minutes, cell_minutes=cell_minutes, force=force
        )
        for notebook in chosen
    ]
    make.writable(out)
    for notebook in chosen:
        if notebook.has_outputs:
            print(f"labkit: note: {notebook.name} has outputs saved in it; they are not used", file=sys.stderr)
    if shard:
        jobs = make.shard(jobs, shard)
    failed = _run(jobs, workers, scheduler)
    if report_:
        from .workbook import index

        print(f"index: {index.build(out, where)}")
    raise typer.Exit(1 if failed else 0)


def _run(jobs: list[dict], workers: int, scheduler: str | None) -> int:
    from .workbook import jobs as make
    from .workbook import records

    todo = [job for job in jobs if not make.done(job)]
    for job in jobs:
        if job not in todo:
            print(f"{'done':<12}  {job['name']}  {_short(make.final_folder(job))}")
    failed = 0
    if not todo:
        return failed
    from .workbook import cluster

    workers = min(workers, len(todo))
    if scheduler is None:  # kernels side by side share the cores; on a cluster the worker's own setting stands
        todo = [job | {"threads": max(1, make.cores() // workers)} for job in todo]
    for job, result in cluster.run_all(todo, workers, scheduler):
        if isinstance(result, Exception):
            failed += 1
            print(
                f"{'no result':<12}  {job['name']}  {type(result).__name__}: {result}; what is finished is kept, run "
                "the same command again",
                flush=True,
            )
            continue
        record = records.read(result)
        failed += record.status != "ok"
        page = result / "report.html" if (result / "report.html").is_file() else result
        print(f"{record.status:<12}  {job['name']}  {record.seconds:.1f} s  {_short(page)}", flush=True)
        if record.error:
            print(f"{'':<12}  {record.error.splitlines()[0]}", flush=True)
    return failed


@app.command()
def report(
    out: Out = Path("reports"),
    root: Root = None,
    profile: Profile = "report",
    again: Annotated[bool, typer.Option("--again", help="Make every report.html again.")] = False,
) -> None:
    """Write index.html and the ledger (CSV, Markdown, HTML) of the runs in a folder, without running anything."""
    from .workbook import index

    print(f"index: {index.build(_existing(out), _root_or_none(root), _counted(profile), render_again=again)}")


@app.command("ledger")
def ledger_(
    out: Out = Path("reports"),
    profile: Profile = "report",
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to a .csv or .md file.")] = None,
) -> None:
    """Show the verdicts of the executed notebooks in a folder as a Markdown table, or save them.

    \b
    labkit ledger
    labkit ledger --save data/ledger.csv
    """
    from .workbook import ledger

    rows = ledger.rows(_existing(out), _counted(profile))
    if save is None:
        print(ledger.to_markdown(rows), end="")
    else:
        ledger.save(rows, save)
        print(f"{len(rows)} claims in {save}")


@app.command()
def check(selectors: Selectors = None, root: Root = None) -> None:
    """Check notebooks against the contract (parameters, kernel, metadata, no outputs) without running them."""
    from .workbook.check import check_notebook

    _, notebooks = _notebooks(selectors, root)
    problems = [(notebook.name, problem) for notebook in notebooks for problem in check_notebook(notebook.path)]
    for name, problem in problems:
        print(f"{name}: {problem}")
    print(f"{len(notebooks)} notebooks, {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@app.command()
def student(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Where the copies go.")],
    selectors: Selectors = None,
    root: Root = None,
    force: Annotated[bool, typer.Option("--force", help="Write over copies that exist.")] = False,
) -> None:
    """Copy notebooks without their solutions: cells tagged `solution` become exercises."""
    from .workbook.student import write_copies

    _, notebooks = _notebooks(selectors, root)
    print(f"{len(write_copies(notebooks, target, force=force))} notebooks in {target}")


@app.command()
def lab(root: Root = None) -> None:
    """Open JupyterLab on the notebooks."""
    where, _ = _notebooks(None, root)
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", "--notebook-dir", str(where)])


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. A person's mistake is one line on stderr and status 2; LABKIT_DEBUG=1 shows the traceback."""
    try:
        app(args=_joined(sys.argv[1:] if arguments is None else arguments), prog_name="labkit")
    except (ValueError, OSError) as error:
        if os.environ.get("LABKIT_DEBUG"):
            raise
        print(f"labkit: error: {error}", file=sys.stderr)
        sys.exit(2)


def _joined(arguments: Sequence[str]) -> list[str]:
    """``-p name value`` as ``-p name=value``: the option parser knows no repeated option with two values."""
    arguments, joined = list(arguments), []
    while arguments:
        joined.append(arguments.pop(0))
        if joined[-1] in ("-p", "--parameter") and len(arguments) >= 2 and "=" not in arguments[0]:
            joined.append(f"{arguments.pop(0)}={arguments.pop(0)}")
    return joined


def _pairs(given: list[str] | None) -> list[tuple[str, str]]:
    for pair in given or []:
        if "=" not in pair:
            raise ValueError(f"-p expects a name and a value, such as -p seeds 5; got {pair!r} alone")
    return [(name, value) for name, _, value in (pair.partition("=") for pair in given or [])]


def _notebooks(selectors: list[str] | None, root: Path | None) -> tuple[Path, list]:
    from .workbook import notebook

    where = notebook.folder_of_notebooks(root)
    return where, notebook.select(_all(where), selectors or ["all"])


def _all(where: Path) -> list:
    from .workbook import notebook

    found = notebook.find(where)
    if not found:
        raise FileNotFoundError(f"no notebooks in {where}; expected files NN_topic/NN_slug.ipynb")
    return found


def _profile(name: str) -> str:
    from .names import nearest
    from .workbook.notebook import PROFILES

    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; {nearest(name, PROFILES)}")
    return name


def _counted(profile: str) -> tuple[str, ...]:
    """The profiles whose verdicts count: report and larger, or from the one that is named upwards."""
    from .workbook.notebook import PROFILES

    return PROFILES[PROFILES.index(_profile(profile)) :]


def _existing(out: Path) -> Path:
    if not out.is_dir():
        raise FileNotFoundError(f"there is no folder {out}; `labkit run` makes it, --out names another")
    return out


def _root_or_none(root: Path | None) -> Path | None:
    from .workbook import notebook

    try:
        return notebook.folder_of_notebooks(root)
    except FileNotFoundError:
        if root is not None:
            raise
        return None


def _short(path: Path) -> str:
    """The path from here where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
