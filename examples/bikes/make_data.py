"""Makes hourly counts of rented bikes at three stations for the last half year. The same seed and end give the same.

python make_data.py          # writes data/rentals.csv beside this file
"""

from __future__ import annotations

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAYS = 180
BRIDGE = timedelta(days=90)  # before the end
SIZES = {"station": 1.6, "park": 1.0, "hill": 0.5}
COLUMNS = ["rental_id", "station", "at", "hour", "weekday", "temperature", "rain", "counted_at", "rented"]


def rentals(until: datetime, days: int = DAYS, seed: int = 0) -> list[list[object]]:
    """Return one row a station and hour, oldest first. Half way through a new bridge doubles the way up the hill."""
    draw = random.Random(seed)
    start = until.replace(minute=0, second=0, microsecond=0) - timedelta(days=days, hours=2)
    made: list[list[object]] = []
    for number in range(days * 24):
        at = start + timedelta(hours=number)
        warm = 12.0 + 10.0 * math.sin(number / (24 * 180) * math.pi) + 4.0 * math.sin((at.hour - 9) / 24 * 2 * math.pi)
        temperature = round(warm + draw.gauss(0.0, 2.0), 1)
        rain = round(max(0.0, draw.gauss(-1.0, 1.5)), 1)
        for station, size in SIZES.items():
            bridge = 2.0 if station == "hill" and at >= until - BRIDGE else 1.0
            rented = _rented(draw, at, size * bridge, temperature, rain)
            counted = at + timedelta(hours=1, minutes=5)
            made.append([
                f"{station}-{at:%Y%m%dT%H}", station, at.isoformat(), at.hour, at.weekday(), temperature, rain,
                counted.isoformat(), rented,
            ])  # fmt: skip
    return made


def write(folder: Path, until: datetime, days: int = DAYS) -> None:
    """Write ``rentals.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rentals.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rentals(until, days))


def _rented(draw: random.Random, at: datetime, size: float, temperature: float, rain: float) -> int:
    working = at.weekday() < 5
    commute = math.exp(-((at.hour - 8) ** 2) / 4) + math.exp(-((at.hour - 17) ** 2) / 6)
    leisure = math.exp(-((at.hour - 14) ** 2) / 18)
    demand = (24.0 * commute + 6.0 * leisure) if working else 18.0 * leisure
    mean = size * demand * max(0.2, 0.5 + temperature / 30.0) * math.exp(-0.5 * rain)
    return max(0, round(draw.gauss(mean, 1.0 + math.sqrt(mean))))


if __name__ == "__main__":
    write(Path(__file__).parent / "data", datetime.now(UTC))
    print(f"wrote {Path(__file__).parent / 'data'}")
