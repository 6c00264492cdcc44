"""`reconcile`: what we believe, against what Twilio and Vapi say."""

from __future__ import annotations

from dataclasses import asdict

import click

from gateway.cli.opening import opened, settings_with_logs
from gateway.cli.output import as_json_option, print_json, print_table
from gateway.flow.reconcile import Report
from gateway.flow.reconcile import reconcile as compare


@click.command()
@click.option("--apply", is_flag=True, help="Have tenants look and mend what can be mended without money.")
@as_json_option
def reconcile(apply: bool, as_json: bool) -> None:
    """Compare everything under our tags. Without --apply nothing is changed; a running gateway applies by itself.

    Status 1 when something differs that nobody mends.
    """
    from gateway.wiring import build, with_pretend_world

    with opened(with_pretend_world(settings_with_logs())) as session:
        gateway = build(session.settings, session.database)
        try:
            report = compare(gateway.steps, apply=apply)
        finally:
            gateway.close()
    tell(report, apply, as_json)
    if len(report.drifts) > report.mended:
        click.get_current_context().exit(1)


def tell(report: Report, apply: bool, as_json: bool) -> None:
    if as_json:
        for drift in report.drifts:
            print_json(asdict(drift))
        counts = {"compared": report.compared, "different": len(report.drifts), "mended": report.mended}
        print_json({**counts, "held_back": report.held_back})
        return
    print_table(
        ["what", "tenant", "explained"],
        [[drift.code, drift.tenant_key, drift.message] for drift in report.drifts],
        empty=f"{report.compared} {'tenant' if report.compared == 1 else 'tenants'} compared: "
        "everything is as we believe.",
    )
    if report.held_back:
        click.echo(report.held_back)
    if report.drifts and not apply:
        click.echo("Nothing was changed. With --apply, imports and assignments are mended; money is only reported.")
    elif report.drifts:
        click.echo(f"{report.mended} of {len(report.drifts)} are being mended; the rest needs a person.")
