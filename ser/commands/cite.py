"""`ser cite`: BibTeX of all that a result rests on."""

from pathlib import Path

import click

from ser.commands._base import Command, Session


@click.command("cite", cls=Command)
@click.argument("name")
def command(session: Session, name: str) -> None:
    """Print BibTeX entries for ser and for the corpora, encoders and methods of a result.

    NAME is an experiment or a study, the unique beginning of its name, a JSON file, or a folder written by ser export
    folder. For an evaluation, the experiment that was evaluated is cited.
    """
    from ser.export.citations import bibtex
    from ser.export.origins import origins_of, origins_of_model
    from ser.jsonfile import plain
    from ser.results.records.evaluation import Evaluation, OutputEvaluation
    from ser.results.records.names import CONFIG
    from ser.results.result import Result
    from ser.train.model_folder import read_model_folder

    if (Path(name) / CONFIG).is_file():
        click.echo(bibtex(origins_of_model(read_model_folder(Path(name)).config)), nl=False)
        return
    result = Result.find(name, session.workspace.results)
    records = [plain(result.record)]
    if isinstance(result.record, (Evaluation, OutputEvaluation)) and result.record.model.record:
        records.insert(0, plain(Result.find(str(result.path.with_name(result.record.model.record)), result.path.parent).record))
    click.echo(bibtex(origins_of({"records": records})), nl=False)
