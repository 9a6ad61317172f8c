"""The peer `script`: one class with requests and executemany, and a JSON file per KOL as cache, like the old script."""

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pymysql
import requests

CACHE = Path(".kol_cache")
UPSERT = """
    INSERT INTO twitter_kol_all (id, name, user_name, avatar, description, created_at, created_at_time,
                                 followers, `following`, statuses_count)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON DUPLICATE KEY UPDATE name = VALUES(name), user_name = VALUES(user_name), avatar = VALUES(avatar),
        description = VALUES(description), created_at = VALUES(created_at),
        created_at_time = VALUES(created_at_time), followers = VALUES(followers),
        `following` = VALUES(`following`), statuses_count = VALUES(statuses_count)
"""


class KOLFollowingsFetcher:
    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.http = requests.Session()
        self.http.headers["X-API-Key"] = os.environ["API_KEY"]
        self.db = pymysql.connect(
            host=os.environ["DB_HOST"],
            port=int(os.environ["DB_PORT"]),
            user=os.environ["DB_USER"],
            password=os.environ["DB_PASSWORD"],
            database=os.environ["DB_NAME"],
            charset="utf8mb4",
        )
        CACHE.mkdir(exist_ok=True)
        progress = CACHE / "progress.json"
        self.done = set(json.loads(progress.read_text())) if progress.exists() else set()

    def run(self, *, resume: bool) -> None:
        with self.db.cursor() as cursor:
            cursor.execute("SELECT user_name FROM twitter_kol ORDER BY id")
            kols = [name for (name,) in cursor.fetchall()]
        for kol in kols:
            file = CACHE / f"{kol}.json"
            if kol in self.done or (resume and not file.exists()):
                continue
            if file.exists():
                users = json.loads(file.read_text(encoding="utf-8"))
            else:
                users = self.fetch(kol)
                file.write_text(json.dumps(users, ensure_ascii=False), encoding="utf-8")
            self.save(users)
            self.done.add(kol)
            (CACHE / "progress.json").write_text(json.dumps(sorted(self.done)))
            file.unlink()
            print(f"{kol}: {len(users)} users")

    def fetch(self, kol: str) -> list[dict]:
        users, cursor = [], ""
        while True:
            params = {"userName": kol, "pageSize": 200, **({"cursor": cursor} if cursor else {})}
            response = self.http.get(f"{os.environ['API_URL']}/twitter/user/followings", params=params, timeout=30)
            response.raise_for_status()
            page = response.json()
            users += page["followings"]
            time.sleep(self.delay)
            if not page["has_next_page"]:
                return users
            cursor = page["next_cursor"]

    def save(self, users: list[dict]) -> None:
        with self.db.cursor() as cursor:
            cursor.executemany(UPSERT, [self.row(user) for user in users])
        self.db.commit()

    @staticmethod
    def row(user: dict) -> tuple:
        created = datetime.strptime(user["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
        return (
            user["id"],
            user["name"],
            user["screen_name"],
            user["profile_image_url_https"],
            user["description"],
            user["created_at"],
            created.strftime("%Y-%m-%d %H:%M:%S"),
            user["followers_count"],
            user["following_count"],
            user["statuses_count"],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--delay", type=float, default=2)
    arguments = parser.parse_args()
    KOLFollowingsFetcher(arguments.delay).run(resume=arguments.resume)
