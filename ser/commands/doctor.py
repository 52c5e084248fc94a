"""`ser doctor`: check that everything here works."""

import json
from dataclasses import asdict

import click

from ser.commands._base import Command, Session


@click.command("doctor", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(session: Session, as_json: bool) -> None:
    """Check packages, GPU, caches and the workspace, and say what to do about each finding.

    It needs no network and takes a few seconds. The exit code is 3 if there is a problem; notes are not problems.
    """
    import ser
    from ser.extract.doctor.examine import examine_installation

    findings = []
    for finding in examine_installation(session.workspace.root):
        findings.append(finding)
        if not as_json and (finding.verdict == "problem" or not session.quiet):
            click.echo(finding.line())
    problems, notes = (sum(f.verdict == verdict for f in findings) for verdict in ("problem", "note"))
    if as_json:
        content = {"ser": ser.__version__, "problems": problems, "notes": notes, "findings": [asdict(f) for f in findings]}
        click.echo(json.dumps(content, indent=2))
    else:
        session.say(f"problems: {problems}, notes: {notes}")
    if problems:
        raise click.exceptions.Exit(3)
