"""The help page: what people ask, answered in a sentence each, and who stands by. The foot of every page leads here."""

from __future__ import annotations

from api.web.shell import Visit, page, render, web


@web.get("/c/<city>/help")
@page("city.read")
def help_page(visit: Visit) -> str:
    """Questions and answers for learners first, then for shops; none of it needs a sign-in."""
    return render(
        "help.html",
        hold_minutes=visit.settings["hold_minutes"],
        helper={name: visit.settings.get(f"help_{name}", "") for name in ("phone", "th", "en")},
    )
