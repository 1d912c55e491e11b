"""The live page of a proxy that asks for tokens: a person gives one as the password, and sees everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tailgate.access.tokens import Scope, Token, digest_of


async def test_a_token_given_as_the_password_opens_the_page_and_its_events(
    page: Any, start_proxy: Any, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text(Token("operator", frozenset((Scope.ADMIN, Scope.INFER)), digest_of(b"open-sesame")).line())
    running = await start_proxy(tokens=str(file))
    await running.infer("3/a", tailgate_label="3", authorization="Bearer open-sesame")
    # As if it had been typed into the browser's own dialogue, which a headless one has not.
    await page.ask("Page.navigate", url=f"http://anybody:open-sesame@{running.admin}/")
    await page.until("document.querySelector('#now-value').textContent.startsWith('100.0')")
    assert "scripted" in await page.text("#series")
    assert page.complaints == []
