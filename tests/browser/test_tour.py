"""The tour of `docs/tour.md`: its day can still be played, and its text and its pictures agree."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.tour.__main__ import FOLDER, TEXTS
from tests.tour.album import MOST_BYTES, Album, faults
from tests.tour.day import play

WORDS = "a picture of something that can be seen"


def test_the_day_can_be_played(chrome: Browser, chromium: Path, tmp_path: Path) -> None:
    """Every scene, after a short life, comes out as it should, and leaves just the pictures that the text shows."""
    album, told = Album(tmp_path), list[str]()
    play(chrome.browser_type, chromium, album, weeks=1, people=40, tell=told.append)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.iterdir()}
    assert all(path.read_bytes()[8:12] == b"WEBP" for path in tmp_path.iterdir())


def test_text_and_pictures_agree() -> None:
    """Each picture that is named is there, each that is there is named, each has words, and all are light enough."""
    assert faults(FOLDER, *TEXTS) == []


def test_a_tour_that_does_not_agree_is_found(tmp_path: Path) -> None:
    """A picture that is missing, one that nobody shows, one without words, and too many bytes."""
    (tmp_path / "there.webp").write_bytes(b"RIFF")
    text = tmp_path / "tour.md"
    shown = f'![{WORDS}](tour/there.webp)\n<img src="tour/there.webp" alt="{WORDS}">'
    text.write_text(shown)
    assert faults(tmp_path, text) == []
    text.write_text(shown + f"\n![{WORDS}](tour/gone.webp)")
    assert faults(tmp_path, text) == ["gone.webp is named but not there"]
    text.write_text(shown + '\n<img src="tour/there.webp">')
    assert faults(tmp_path, text) == ['no words for who cannot see: <img src="tour/there.webp">']
    text.write_text(shown)
    (tmp_path / "alone.webp").write_bytes(b"R" * MOST_BYTES)
    assert [fault.split(" ")[0] for fault in faults(tmp_path, text)] == ["alone.webp", "the"]
