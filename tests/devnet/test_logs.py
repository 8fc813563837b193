"""Following logs: whole lines, several files, rotation."""

from pathlib import Path

from devnet.logs import Follower, follow


def test_only_new_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    follower = Follower(log)
    assert follower.new_lines() == []
    with log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert follower.new_lines() == ["one"]
        file.write("o\n")
    assert follower.new_lines() == ["two"]
    follower.close()


def test_a_log_that_comes_later_and_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = Follower(log)
    assert follower.new_lines() == []
    log.write_text("first\n")
    assert follower.new_lines() == []  # finds the file
    assert follower.new_lines() == ["first"]
    log.rename(tmp_path / "log.1")
    assert follower.new_lines() == []
    log.write_text("second\n")
    assert follower.new_lines() == []  # notices the new one
    assert follower.new_lines() == ["second"]
    follower.close()


def test_follow_shows_which_log(tmp_path: Path) -> None:
    logs = [tmp_path / "a", tmp_path / "b"]
    for log in logs:
        log.touch()
    shown: list[tuple[int, str]] = []
    rounds = iter(["write", "look", None])

    def go_on() -> bool:
        for log in logs if next_round() == "write" else ():
            log.write_text(f"to {log.name}\n")
        return len(shown) < 2

    def next_round() -> str | None:
        return next(rounds)

    follow(logs, lambda position, line: shown.append((position, line)), go_on)
    assert shown == [(0, "to a"), (1, "to b")]
